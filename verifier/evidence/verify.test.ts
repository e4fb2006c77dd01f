import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { SyntheticLog, artifactDigest, flipBit } from '../../fixtures/synthetic-log.ts';
import { utf8 } from '../bytes.ts';
import { parseEnvelope, formatEnvelope } from '../dsse.ts';
import { encodeBase64 } from '../encoding.ts';
import { AssertionError, VerifyError, type VerifyErrorCode } from '../errors.ts';
import { canonicalJson, parseCanonicalJson, type JsonObject, type JsonValue } from '../json.ts';
import { prunedMap } from '../map/pruned-map.ts';
import { packageKey, releaseKey } from '../map/keys.ts';
import { prunedRanges } from '../merkle/pruned-tree.ts';
import { rangeRoot } from '../merkle/ranges.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import { formatNote, parseNote } from '../note.ts';
import { portableVerifier } from '../portable.ts';
import type { SignatureVerifier } from '../signatures.ts';
import { decodeUtf8 } from '../text.ts';
import {
  EVIDENCE_BYTES_MAX,
  formatEvidence,
  parseEvidence,
  type Evidence,
  type ShownEntry,
} from './format.ts';
import type { Subject, SubjectResult } from './subject.ts';
import { verifyEvidence, type EvidenceRequest, type VerifiedEvidence } from './verify.ts';

const release = (name: string, version: string): Subject => ({ kind: 'release', name, version });
const THREE = { maintainers: ['ada', 'ben', 'eve'], faulty: 1 };

// A log with a bit of everything. n = 4, f = 1; maintainers: f = 1, so that two must sign.
function makeLog(options: { seed?: string; origin?: string } = {}): SyntheticLog {
  const log = new SyntheticLog(options);
  log.maintain('left', THREE);
  log.release({ name: 'left', version: '1.0.0' });
  log.maintain('mono-a', THREE);
  log.maintain('@scope/mono-b', { maintainers: ['dan', 'fay'], faulty: 1 });
  log.commit();
  log.release([
    { name: 'mono-a', version: '2.0.0' },
    { name: '@scope/mono-b', version: '2.0.0' },
  ]);
  log.maintain('gone', THREE);
  log.release({ name: 'gone', version: '1.0.0' });
  log.release({ name: 'gone', version: '1.0.1' });
  log.commit();
  // Eve leaves, Dan comes.
  log.maintain('left', { maintainers: ['ada', 'ben', 'dan'], faulty: 1 });
  log.withdraw('gone', '1.0.0', 'revoked', 'steals keys');
  log.withdraw('gone', '1.0.1', 'yanked');
  log.commit();
  log.release({ name: 'left', version: '1.1.0' }, ['ada', 'dan']);
  log.commit();
  return log;
}

const LOG = makeLog();
const SUBJECTS: readonly Subject[] = [
  release('left', '1.0.0'),
  release('left', '1.1.0'),
  release('mono-a', '2.0.0'),
  release('@scope/mono-b', '2.0.0'),
];

function request(evidence: Evidence, more: Partial<EvidenceRequest> = {}): EvidenceRequest {
  return {
    evidence,
    pin: LOG.pin,
    subjects: SUBJECTS,
    nowSeconds: LOG.time,
    checkpointAgeMaxSeconds: 3600,
    clockSkewMaxSeconds: 10,
    ...more,
  };
}

function verify(
  evidence: Evidence,
  more: Partial<EvidenceRequest> = {},
  verifier: SignatureVerifier = nativeVerifier,
): Promise<VerifiedEvidence> {
  return verifyEvidence(request(evidence, more), verifier);
}

// The verdict on one subject, in a word: the digest's fit, or the code of the refusal.
async function judge(
  log: SyntheticLog,
  subject: Subject,
  more: Partial<EvidenceRequest> = {},
): Promise<string> {
  const evidence = log.evidence([subject]);
  const now = { pin: log.pin, nowSeconds: log.time, subjects: [subject] };
  const { subjects } = await verify(evidence, { ...now, ...more });
  return wordOf(subjects[0]);
}

function wordOf(result: SubjectResult | undefined): string {
  if (result === undefined) return 'nothing';
  if (result.kind === 'refused') return result.error.code;
  return result.kind === 'verified' ? `verified ${result.release.status}` : result.kind;
}

const refusedAs =
  (...codes: readonly VerifyErrorCode[]) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof VerifyError, `a refusal, not ${String(error)}`);
    assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`);
    return true;
  };

describe('verifyEvidence', () => {
  it('verifies releases with all that is known about them', async () => {
    const { subjects, roster, checkpoint, commit, trust } = await verify(LOG.evidence(SUBJECTS));
    assert.deepEqual(subjects.map(wordOf), Array(4).fill('verified active'));
    const [, second] = subjects;
    assert.ok(second?.kind === 'verified');
    const record = LOG.releases.get('left@1.1.0');
    assert.deepEqual(second.release, {
      name: 'left',
      version: '1.1.0',
      purl: 'pkg:npm/left@1.1.0',
      sha512: artifactDigest('pkg:npm/left@1.1.0'),
      size: 1000,
      manifest: {},
      index: record?.index,
      statement: record?.statement,
      loggedAt: LOG.time,
      status: 'active',
      signers: second.release.signers,
      required: 2,
      latest: '1.1.0',
    });
    assert.deepEqual(
      second.release.signers.map(({ name }) => name),
      ['ada', 'dan'],
    );
    assert.equal(roster.hash, LOG.pin);
    assert.equal(checkpoint.weight, 4);
    assert.equal(commit.height, 4);
    assert.equal(trust.size, LOG.size);
  });

  it('answers for packages, withdrawn releases and what is not there', async () => {
    const cases: readonly (readonly [Subject, string])[] = [
      [release('gone', '1.0.0'), 'RELEASE_REVOKED'],
      [release('gone', '1.0.1'), 'verified yanked'],
      [release('gone', '9.9.9'), 'absent'],
      [release('never', '1.0.0'), 'absent'],
      [{ kind: 'package', name: 'never' }, 'absent'],
      [{ kind: 'package', name: 'left' }, 'package'],
      [release('Not A Name', '1.0.0'), 'PACKAGE_NAME_INVALID'],
      [release('left', '1.0'), 'VERSION_INVALID'],
      [release('left', '1.0.0'), 'verified active'],
    ];
    const subjects = cases.map(([subject]) => subject);
    const wanted = subjects.filter((one) => one.name !== 'Not A Name');
    const result = await verify(LOG.evidence(wanted), { subjects });
    assert.deepEqual(
      result.subjects.map(wordOf),
      cases.map(([, word]) => word),
    );
    const [revoked] = result.subjects;
    assert.ok(revoked?.kind === 'refused');
    assert.match(revoked.error.message, /vulnerability, "steals keys"/);
    const left = result.subjects[5];
    assert.ok(left?.kind === 'package');
    assert.equal(left.package.sequence, 1);
    assert.equal(left.package.releases, 2);
    assert.equal(left.package.latest, '1.1.0');
    assert.equal(left.package.setHash, LOG.packages.get('left')?.sets[1]?.hash);
  });

  it('gives the same answers with the portable verifier', async () => {
    const evidence = LOG.evidence(SUBJECTS);
    assert.deepEqual(await verify(evidence, {}, portableVerifier), await verify(evidence));
  });

  it('compares the digest that a lockfile demands', async () => {
    const sha512 = artifactDigest('pkg:npm/left@1.0.0');
    const right = { ...release('left', '1.0.0'), sha512 };
    const wrong = { ...release('left', '1.0.0'), sha512: flipBit(sha512, 100) };
    const { subjects } = await verify(LOG.evidence(SUBJECTS), { subjects: [right, wrong] });
    assert.deepEqual(subjects.map(wordOf), ['verified active', 'INTEGRITY_MISMATCH']);
    const [, refused] = subjects;
    assert.ok(refused?.kind === 'refused');
    assert.match(refused.error.message, /asked for sha512-.* released sha512-/);
  });

  it('asks the verifier twice, and for nothing twice', async () => {
    const rounds: number[] = [];
    const seen = new Set<string>();
    const counting: SignatureVerifier = {
      verifyMany: (jobs) => {
        rounds.push(jobs.length);
        for (const job of jobs) {
          const id = [job.publicKey, job.signature, job.message].map(String).join(' ');
          assert.ok(!seen.has(id), 'a job is asked once');
          seen.add(id);
        }
        return nativeVerifier.verifyMany(jobs);
      },
    };
    const twice = [...SUBJECTS, ...SUBJECTS, { kind: 'package' as const, name: 'left' }];
    await verify(LOG.evidence(SUBJECTS), { subjects: twice }, counting);
    // 4 votes for the roster and 4 cosignatures. Then the sets: left 3 and 4, mono-a 3, mono-b 2;
    // then the releases: 3, 2, and 5 for the shared one.
    assert.deepEqual(rounds, [4 + 4, 3 + 4 + 3 + 2 + 3 + 2 + 5]);
  });

  it('verifies no statement that the checkpoint does not cover', async () => {
    const rounds: number[] = [];
    const counting: SignatureVerifier = {
      verifyMany: (jobs) => {
        rounds.push(jobs.length);
        return nativeVerifier.verifyMany(jobs);
      },
    };
    // A log that a stranger made up: everything fits together, and nobody has cosigned it.
    const evidence = { ...LOG.evidence(SUBJECTS), checkpoint: LOG.note({ cosigners: [0] }) };
    await assert.rejects(verify(evidence, {}, counting), refusedAs('QUORUM_NOT_REACHED'));
    assert.deepEqual(rounds, [4 + 1]);
  });

  it('asks whoever remembers statements about nothing else', async () => {
    const asked: string[] = [];
    const memory: SignatureVerifier = {
      verifyMany: (jobs) => {
        asked.push(...jobs.map(({ message }) => new TextDecoder().decode(message)));
        return Promise.resolve(jobs.map(() => true));
      },
    };
    await verifyEvidence(request(LOG.evidence(SUBJECTS)), nativeVerifier, memory);
    assert.equal(asked.length, 3 + 4 + 3 + 2 + 3 + 2 + 5);
    // Neither rosters nor cosignatures: what says that a quorum has seen all of it is checked each time.
    const isStatement = (text: string): boolean =>
      /^DSSEv1 \d+ application\/vnd\.(?:in-toto|bftpkg\.maintainers)\+json /.test(text);
    assert.deepEqual(
      asked.filter((text) => !isStatement(text)),
      [],
    );
    const evidence = { ...LOG.evidence(SUBJECTS), checkpoint: LOG.note({ cosigners: [0, 1] }) };
    await assert.rejects(
      verifyEvidence(request(evidence), nativeVerifier, memory),
      refusedAs('QUORUM_NOT_REACHED'),
    );
  });

  it('never calls anything verified when no signature is valid', async () => {
    const none: SignatureVerifier = {
      verifyMany: (jobs) => Promise.resolve(jobs.map(() => false)),
    };
    await assert.rejects(
      verify(LOG.evidence(SUBJECTS), {}, none),
      refusedAs('ROSTER_CHAIN_BROKEN'),
    );
  });

  const bugs: readonly (readonly [why: string, more: Partial<EvidenceRequest>])[] = [
    ['no subjects', { subjects: [] }],
    ['too many subjects', { subjects: Array(10_001).fill(release('left', '1.0.0')) }],
    ['a time that is not a number', { nowSeconds: Number.NaN }],
    ['an age that is not a number', { checkpointAgeMaxSeconds: Number.NaN }],
    ['endless patience', { checkpointAgeMaxSeconds: Number.POSITIVE_INFINITY }],
  ];
  for (const [why, more] of bugs) {
    it(`stops at ${why}: a bug of the caller`, () =>
      assert.rejects(verify(LOG.evidence(SUBJECTS), more), AssertionError));
  }
});

describe('verifyEvidence, against a lying replica', () => {
  const good = LOG.evidence(SUBJECTS);
  const other = makeLog({ seed: 'another world' });
  const foreign = other.evidence(SUBJECTS);
  const before = LOG.snapshots.at(-2);
  assert.ok(before !== undefined);

  const notes = (change: (lines: string[]) => readonly string[]): string => {
    const [text = '', lines = ''] = good.checkpoint.split('\n\n');
    return `${text}\n\n${change(lines.trimEnd().split('\n')).join('\n')}\n`;
  };
  const flipCosignature = (): string => {
    const note = parseNote(good.checkpoint);
    const [first, ...rest] = note.signatures;
    assert.ok(first !== undefined);
    const signature = flipBit(first.signature, 8 * 8 + 3);
    return formatNote({ ...note, signatures: [{ ...first, signature }, ...rest] });
  };
  const laterTime = (): string => {
    const note = parseNote(good.checkpoint);
    const signatures = note.signatures.map((line) => ({
      ...line,
      signature: flipBit(line.signature, 63),
    }));
    return formatNote({ ...note, signatures });
  };
  const midBatch = (): Evidence => {
    // A checkpoint inside the batch of three before the last commit: its last leaf is a set.
    const size = LOG.snapshots[1]?.size ?? 0;
    const cut = size + 1;
    LOG.snapshots.push({ size: cut, mapRoot: LOG.root(), epoch: 0, time: LOG.time });
    const checkpoint = LOG.note({ size: cut });
    LOG.snapshots.pop();
    const data = decodeUtf8(LOG.entries[cut - 1] ?? new Uint8Array(0));
    const log = prunedRanges(cut, [cut - 1]).map(({ start, end }) =>
      rangeRoot(start, end, (level, index) => LOG.hash(level, index)),
    );
    return { ...good, checkpoint, entries: [{ index: cut - 1, data }], log };
  };

  // The document as an honest replica would make it, but of the entries that a liar chooses.
  const showing = (indexes: readonly number[], map: Uint8Array): Evidence => ({
    ...good,
    entries: indexes.map((index) => ({
      index,
      data: decodeUtf8(LOG.entries[index] ?? new Uint8Array(0)),
    })),
    log: prunedRanges(LOG.size, indexes).map(({ start, end }) =>
      rangeRoot(start, end, (level, index) => LOG.hash(level, index)),
    ),
    map,
  });
  const shown = LOG.evidence(SUBJECTS, { size: before.size });

  type Attack = readonly [why: string, evidence: Evidence, ...codes: VerifyErrorCode[]];
  const attacks: readonly Attack[] = [
    ['no rosters', { ...good, rosters: [] }, 'ROSTER_NOT_PINNED'],
    ['rosters of another log', { ...good, rosters: foreign.rosters }, 'ROSTER_NOT_PINNED'],
    [
      'a roster that one of its replicas did not sign',
      {
        ...good,
        rosters: good.rosters.map((one) => ({ ...one, signatures: one.signatures.slice(1) })),
      },
      'ROSTER_CHAIN_BROKEN',
    ],
    [
      'the roster twice',
      { ...good, rosters: [...good.rosters, ...good.rosters] },
      'ROSTER_CHAIN_BROKEN',
    ],
    ['evidence of another log', foreign, 'ROSTER_NOT_PINNED'],
    [
      'evidence of another log under the pinned roster',
      { ...foreign, rosters: good.rosters },
      'QUORUM_NOT_REACHED',
    ],
    ['2f cosignatures', { ...good, checkpoint: notes((l) => l.slice(0, 2)) }, 'QUORUM_NOT_REACHED'],
    [
      '2f cosignatures, one of them twice',
      { ...good, checkpoint: notes(([a = '', b = '']) => [a, b, b]) },
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      '2f cosignatures and one of an outsider',
      {
        ...good,
        checkpoint: notes(([a = '', b = '']) => [
          a,
          b,
          parseNoteLine(other.note(), 2).replace('replica-2', 'replica-9'),
        ]),
      },
      'QUORUM_NOT_REACHED',
    ],
    [
      'a cosignature with a bit flipped',
      { ...good, checkpoint: flipCosignature() },
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      'cosignatures with another time',
      { ...good, checkpoint: laterTime() },
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      'another size in the checkpoint',
      { ...good, checkpoint: good.checkpoint.replace(`\n${LOG.size}\n`, `\n${LOG.size + 1}\n`) },
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      'another root in the checkpoint',
      {
        ...good,
        checkpoint: good.checkpoint.replace(encodeBase64(LOG.root()), encodeBase64(other.root())),
      },
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      'another origin',
      { ...good, checkpoint: good.checkpoint.replace('log.example/npm', 'log.example/pip') },
      'ORIGIN_MISMATCH',
    ],
    ['a checkpoint that is no note', { ...good, checkpoint: 'hello' }, 'NOTE_MALFORMED'],
    [
      'the checkpoint of a smaller log',
      { ...good, checkpoint: LOG.note({ size: before.size }) },
      'INCLUSION_PROOF_INVALID',
    ],
    [
      'the commit entry and the map before the last batch as if they were the last',
      showing(
        shown.entries.map(({ index }) => index),
        shown.map,
      ),
      'COMMIT_LEAF_MISSING',
    ],
    ['a checkpoint inside a batch', midBatch(), 'COMMIT_LEAF_MISSING'],
    ['no entries', { ...good, entries: [] }, 'INCLUSION_PROOF_INVALID'],
    ['the tree of another log', { ...good, log: foreign.log }, 'INCLUSION_PROOF_INVALID'],
    ['the map of another log', { ...good, map: foreign.map }, 'MAP_PROOF_INVALID'],
    [
      'the map before the last batch',
      { ...good, map: LOG.evidence(SUBJECTS, { size: before.size }).map },
      'MAP_PROOF_INVALID',
    ],
    ['a map cut short', { ...good, map: good.map.subarray(0, -1) }, 'MAP_MALFORMED'],
    ['no map', { ...good, map: new Uint8Array(0) }, 'MAP_MALFORMED'],
    ...good.entries.flatMap((entry, i): Attack[] => {
      const replaceWith = (...by: readonly ShownEntry[]): Evidence => ({
        ...good,
        entries: [...good.entries.slice(0, i), ...by, ...good.entries.slice(i + 1)],
      });
      const next = good.entries[i + 1] ?? good.entries[0];
      const foreignData = foreign.entries[i]?.data ?? '';
      const code = 'INCLUSION_PROOF_INVALID';
      return [
        [`entry ${i} left out`, replaceWith(), code],
        [`entry ${i} with another's data`, replaceWith({ ...entry, data: next?.data ?? '' }), code],
        [`entry ${i} of another log`, replaceWith({ ...entry, data: foreignData }), code],
        [`entry ${i} with a space more`, replaceWith({ ...entry, data: `${entry.data} ` }), code],
      ];
    }),
    ...good.log.flatMap((hash, i): Attack[] => {
      const replaceWith = (...by: readonly Uint8Array[]): Evidence => ({
        ...good,
        log: [...good.log.slice(0, i), ...by, ...good.log.slice(i + 1)],
      });
      return [
        [`tree hash ${i} left out`, replaceWith(), 'INCLUSION_PROOF_INVALID'],
        [`tree hash ${i} twice`, replaceWith(hash, hash), 'INCLUSION_PROOF_INVALID'],
        [
          `tree hash ${i} with a bit flipped`,
          replaceWith(flipBit(hash, 7)),
          'INCLUSION_PROOF_INVALID',
        ],
      ];
    }),
  ];

  it('has attacks on every part of the document', () => {
    assert.ok(good.entries.length >= 8 && good.log.length >= 3 && attacks.length > 60);
  });
  for (const [why, evidence, ...codes] of attacks) {
    it(`refuses ${why}`, () => assert.rejects(verify(evidence), refusedAs(...codes)));
  }

  it('refuses a name that the map shown says nothing about, and judges the others', async () => {
    const map = prunedMap(LOG.mapNodes, LOG.snapshots.at(-1)?.mapRoot ?? LOG.root(), [
      packageKey('left'),
    ]);
    const { subjects } = await verify(
      { ...good, map },
      { subjects: [{ kind: 'package', name: 'left' }, release('mono-a', '2.0.0')] },
    );
    assert.deepEqual(subjects.map(wordOf), ['package', 'MAP_PROOF_INVALID']);
  });

  it('refuses a subject whose entries are left out of an otherwise right document', async () => {
    const evidence = LOG.evidence([release('left', '1.0.0')]);
    const withMap = { ...evidence, map: good.map };
    const { subjects } = await verify(withMap);
    assert.deepEqual(subjects.map(wordOf), [
      'verified active',
      'INCLUSION_PROOF_INVALID',
      'INCLUSION_PROOF_INVALID',
      'INCLUSION_PROOF_INVALID',
    ]);
  });
});

function parseNoteLine(note: string, i: number): string {
  return note.split('\n\n')[1]?.split('\n')[i] ?? '';
}

describe('verifyEvidence, age of the view', () => {
  const verifyAt = (
    age: number,
    more: Parameters<SyntheticLog['note']>[0] = {},
  ): Promise<unknown> =>
    verify(LOG.evidence(SUBJECTS, more), {
      nowSeconds: LOG.time + age,
      checkpointAgeMaxSeconds: 100,
      clockSkewMaxSeconds: 10,
    });

  it('takes a view of exactly the allowed age or skew', async () => {
    await verifyAt(100);
    await verifyAt(-10);
  });
  it('refuses a view that is a second too old', () =>
    assert.rejects(verifyAt(101), refusedAs('CHECKPOINT_STALE')));
  it('refuses a view from the future', () =>
    assert.rejects(verifyAt(-11), refusedAs('CHECKPOINT_FUTURE')));

  const later = (...replicas: readonly number[]): ReadonlyMap<number, number> =>
    new Map(replicas.map((i) => [i, LOG.time + 500]));
  it('does not take the word of f replicas that an old view is new', () =>
    assert.rejects(verifyAt(500, { times: later(0) }), refusedAs('CHECKPOINT_STALE')));
  it('takes the word of f + 1', async () => {
    await verifyAt(500, { times: later(0, 3) });
  });
  it('is not moved into the future by f replicas', async () => {
    await verifyAt(0, { times: new Map([[1, Number.MAX_SAFE_INTEGER]]) });
  });
});

describe('verifyEvidence, against colluding replicas and maintainers', () => {
  // Each of these logs breaks a rule of the ledger, but has a quorum of cosignatures.
  const cases: readonly (readonly [
    why: string,
    make: (log: SyntheticLog) => void,
    word: string,
  ])[] = [
    ['nothing wrong', (log) => log.release({ name: 'p', version: '1.0.0' }), 'verified active'],
    [
      'f + 1 of the maintainers',
      (log) => log.release({ name: 'p', version: '1.0.0' }, ['ben', 'eve']),
      'verified active',
    ],
    [
      'f maintainers only',
      (log) => log.release({ name: 'p', version: '1.0.0' }, ['ben']),
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'one maintainer, twice',
      (log) => log.release({ name: 'p', version: '1.0.0' }, ['ben', 'ben']),
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'one maintainer and an outsider',
      (log) => log.release({ name: 'p', version: '1.0.0' }, ['ben', 'mallory']),
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'one maintainer and one of another package',
      (log) => {
        log.maintain('q', { maintainers: ['mallory', 'oscar'], faulty: 0 });
        log.release(
          [
            { name: 'p', version: '1.0.0' },
            { name: 'q', version: '1.0.0' },
          ],
          ['ben', 'mallory'],
        );
      },
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'a removed maintainer, by the old set',
      (log) => {
        log.maintain('p', { maintainers: ['ada', 'ben'], faulty: 1 });
        log.release({ name: 'p', version: '1.0.0', sequence: 0 }, ['ben', 'eve']);
      },
      'MAINTAINER_CHAIN_BROKEN',
    ],
    [
      'a removed maintainer, by the new set',
      (log) => {
        log.maintain('p', { maintainers: ['ada', 'ben'], faulty: 1 });
        log.release({ name: 'p', version: '1.0.0' }, ['ben', 'eve']);
      },
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'maintainers who came only after it',
      (log) => {
        log.release({ name: 'p', version: '1.0.0', sequence: 1 }, ['dan', 'fay']);
        log.maintain('p', { maintainers: ['dan', 'fay'], faulty: 1 });
      },
      'MAINTAINER_CHAIN_BROKEN',
    ],
    [
      'maintainers who left after it',
      (log) => {
        log.release({ name: 'p', version: '1.0.0' }, ['ben', 'eve']);
        log.maintain('p', { maintainers: ['dan', 'fay'], faulty: 1 });
      },
      'verified active',
    ],
    [
      'a successor set that f maintainers made',
      (log) => {
        log.maintain('p', {
          maintainers: ['eve', 'mallory'],
          faulty: 1,
          signers: ['eve', 'mallory'],
        });
        log.release({ name: 'p', version: '1.0.0' }, ['eve', 'mallory']);
      },
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'a successor set whose new maintainer never signed',
      (log) => {
        log.maintain('p', {
          maintainers: ['ada', 'ben', 'dan'],
          faulty: 1,
          signers: ['ada', 'ben'],
        });
        log.release({ name: 'p', version: '1.0.0' }, ['ada', 'ben']);
      },
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'a map that hides the set which removed a maintainer',
      (log) => {
        log.maintain('p', { maintainers: ['ada', 'ben'], faulty: 1 });
        log.release({ name: 'p', version: '1.0.0', sequence: 0 }, ['ben', 'eve']);
        const first = log.packages.get('p')?.sets[0]?.index ?? 0;
        const record = { maintainers: first, sequence: 0, releases: 1, latest: '1.0.0' };
        log.setPackageRecord('p', record);
      },
      'MAINTAINER_CHAIN_BROKEN',
    ],
    [
      'a map that names another entry as the set in force',
      (log) => {
        log.release({ name: 'p', version: '1.0.0' });
        log.setPackageRecord('p', { maintainers: 1, sequence: 0, releases: 1, latest: '1.0.0' });
      },
      'MAINTAINER_CHAIN_BROKEN',
    ],
    [
      'a map that knows the release but not the package',
      (log) => {
        log.release({ name: 'p', version: '1.0.0' });
        log.forgetPackageRecord('p');
      },
      'MAINTAINER_CHAIN_BROKEN',
    ],
    [
      'a map that counts more sets than the log has',
      (log) => {
        log.release({ name: 'p', version: '1.0.0' });
        log.setPackageRecord('p', { maintainers: 0, sequence: 5, releases: 1, latest: '1.0.0' });
      },
      'MAINTAINER_CHAIN_BROKEN',
    ],
    [
      'a map that binds the version to another statement',
      (log) => {
        const index = log.release({ name: 'p', version: '1.0.0' });
        log.setReleaseRecord('p', '1.0.0', {
          index,
          statement: 'ab'.repeat(32),
          status: 'active',
          withdrawal: null,
        });
      },
      'ENTRY_MISMATCH',
    ],
    [
      'a map that points to the release of another version',
      (log) => {
        log.release({ name: 'p', version: '2.0.0' });
        const other = log.releases.get('p@2.0.0');
        assert.ok(other !== undefined);
        log.setReleaseRecord('p', '1.0.0', other);
      },
      'ENTRY_MISMATCH',
    ],
    [
      'a statement of several packages that lacks signatures for one',
      (log) => {
        log.maintain('q', { maintainers: ['oscar', 'peggy'], faulty: 1 });
        log.release(
          [
            { name: 'p', version: '1.0.0' },
            { name: 'q', version: '1.0.0' },
          ],
          ['ada', 'ben', 'peggy'],
        );
      },
      'MAINTAINER_SIGNATURES_MISSING',
    ],
  ];
  for (const [why, make, word] of cases) {
    it(`${why}: ${word}`, async () => {
      const log = new SyntheticLog();
      log.maintain('p', THREE);
      make(log);
      log.commit();
      assert.equal(await judge(log, release('p', '1.0.0')), word);
    });
  }

  it('refuses a statement that the map takes for a release', async () => {
    const log = new SyntheticLog();
    const index = log.maintain('p', THREE);
    log.release({ name: 'p', version: '1.0.0' });
    log.commit();
    const good = log.releases.get('p@1.0.0');
    assert.ok(good !== undefined);
    // The evidence is made as if all were well; only then the map lies.
    const honest = log.evidence([release('p', '1.0.0')]);
    log.setReleaseRecord('p', '1.0.0', { ...good, index });
    log.commit();
    const { mapRoot } = log.snapshots.at(-1) ?? { mapRoot: log.root() };
    const lying: Evidence = {
      ...log.evidence([{ kind: 'package', name: 'p' }]),
      map: prunedMapFor(log, mapRoot),
    };
    const now = { pin: log.pin, nowSeconds: log.time, subjects: [release('p', '1.0.0')] };
    assert.equal(wordOf((await verify(honest, now)).subjects[0]), 'verified active');
    assert.equal(wordOf((await verify(lying, now)).subjects[0]), 'ENTRY_MISMATCH');
  });

  it('does not give the reason of another withdrawal', async () => {
    const log = new SyntheticLog();
    log.maintain('p', THREE);
    log.release({ name: 'p', version: '1.0.0' });
    log.release({ name: 'p', version: '2.0.0' });
    const wrong = log.withdraw('p', '2.0.0', 'yanked', 'other reason');
    log.withdraw('p', '1.0.0', 'revoked', 'right reason');
    const record = log.releases.get('p@1.0.0');
    assert.ok(record !== undefined);
    log.setReleaseRecord('p', '1.0.0', { ...record, withdrawal: wrong });
    log.commit();
    const subjects = [release('p', '1.0.0')];
    const now = { pin: log.pin, nowSeconds: log.time, subjects };
    const { subjects: results } = await verify(log.evidence(subjects), now);
    const [result] = results;
    assert.ok(result?.kind === 'refused' && result.error.code === 'RELEASE_REVOKED');
    assert.doesNotMatch(result.error.message, /reason/);
  });

  it('judges the good subjects beside the bad ones', async () => {
    const log = new SyntheticLog();
    log.maintain('p', THREE);
    log.maintain('q', THREE);
    log.release({ name: 'p', version: '1.0.0' }, ['ada']);
    log.release({ name: 'q', version: '1.0.0' });
    log.commit();
    const subjects = [release('p', '1.0.0'), release('q', '1.0.0'), release('r', '1.0.0')];
    const now = { pin: log.pin, nowSeconds: log.time, subjects };
    const result = await verify(log.evidence(subjects), now);
    assert.deepEqual(result.subjects.map(wordOf), [
      'MAINTAINER_SIGNATURES_MISSING',
      'verified active',
      'absent',
    ]);
  });
});

describe('verifyEvidence, epochs', () => {
  function grown(): SyntheticLog {
    const log = new SyntheticLog({ weights: [1, 1, 1, 1] });
    log.maintain('p', THREE);
    log.release({ name: 'p', version: '1.0.0' });
    log.commit();
    log.changeRoster({ weights: [2, 1, 1, 1, 1, 1] });
    log.release({ name: 'p', version: '1.0.1' });
    log.commit();
    return log;
  }
  const subject = release('p', '1.0.1');
  const with_ = (log: SyntheticLog): Partial<EvidenceRequest> => ({
    pin: log.pin,
    nowSeconds: log.time,
    subjects: [subject],
  });

  it('follows the chain of rosters, from any pin on it', async () => {
    const log = grown();
    assert.equal(await judge(log, subject), 'verified active');
    const pin = log.rosterOf(1).hash;
    const evidence = log.evidence([subject], { pin });
    assert.equal(evidence.rosters.length, 1);
    const { roster } = await verify(evidence, { ...with_(log), pin });
    assert.equal(roster.epoch, 1);
  });

  it('leaves out rosters that came into force after the checkpoint', async () => {
    const log = grown();
    const size = log.snapshots[0]?.size ?? 0;
    const subjects = [release('p', '1.0.0')];
    const evidence = log.evidence(subjects, { size });
    assert.equal(evidence.rosters.length, 1);
    const { roster } = await verify(evidence, { ...with_(log), subjects });
    assert.equal(roster.epoch, 0);
  });

  // Four replicas are replaced by four others at once: nobody is left to sign for the old roster.
  it('has the checkpoint of the batch that ends an epoch signed by the next roster', async () => {
    const log = grown();
    const { size } = log.snapshots[1] ?? { size: 0 };
    const subjects = [release('p', '1.0.0')];
    const evidence = log.evidence(subjects, { size, cosigners: [0, 4, 5, 1, 2] });
    assert.equal(evidence.rosters.length, 2);
    const { roster, commit } = await verify(evidence, { ...with_(log), subjects });
    assert.deepEqual([roster.epoch, commit.epoch], [1, 0]);
    // Of the same batch, the old roster's quorum counts for nothing under the new one.
    await assert.rejects(
      verify(log.evidence(subjects, { size, cosigners: [1, 2, 3] }), { ...with_(log), subjects }),
      refusedAs('QUORUM_NOT_REACHED'),
    );
  });

  it('refuses a next roster over a batch that did not log it', async () => {
    const log = grown();
    const [before, end] = log.snapshots;
    assert.ok(before !== undefined && end !== undefined);
    const subjects = [release('p', '1.0.0')];
    const { rosters } = log.evidence(subjects);
    // The new roster's keys over the tree before it was logged.
    const early = log.evidence(subjects, { size: before.size, epoch: 1 });
    await assert.rejects(
      verify({ ...early, rosters }, { ...with_(log), subjects }),
      refusedAs('ROSTER_CHAIN_BROKEN'),
    );
    // Neither when the place where it would be logged is not shown.
    const hidden = new SyntheticLog();
    hidden.maintain('p', THREE);
    hidden.release({ name: 'p', version: '1.0.0' });
    hidden.maintain('q', THREE);
    const size = hidden.commit();
    hidden.changeRoster({ weights: [1, 1, 1, 1, 1] });
    const { rosters: chain } = hidden.evidence(subjects);
    assert.equal(chain.length, 2);
    await assert.rejects(
      verify(
        { ...hidden.evidence(subjects, { size, epoch: 1 }), rosters: chain },
        { pin: hidden.pin, nowSeconds: hidden.time, subjects },
      ),
      refusedAs('ROSTER_CHAIN_BROKEN'),
    );
  });

  it('refuses a log that the replaced roster goes on with', async () => {
    const log = grown();
    const evidence = log.evidence([subject], { epoch: 0 });
    const { rosters } = evidence;
    await assert.rejects(
      verify({ ...evidence, rosters: rosters.slice(0, 1) }, with_(log)),
      refusedAs('ROSTER_CHAIN_BROKEN'),
    );
    // Four of the seven votes of the new one: a quorum of the old, not of the new.
    await assert.rejects(
      verify(log.evidence([subject], { cosigners: [1, 2, 3] }), with_(log)),
      refusedAs('QUORUM_NOT_REACHED'),
    );
  });

  it('refuses a next roster that no quorum signed', async () => {
    const log = grown();
    const evidence = log.evidence([subject]);
    const [first, second] = evidence.rosters;
    assert.ok(first !== undefined && second !== undefined);
    const signatures = second.signatures.slice(2);
    await assert.rejects(
      verify({ ...evidence, rosters: [first, { ...second, signatures }] }, with_(log)),
      refusedAs('QUORUM_NOT_REACHED'),
    );
  });

  it('refuses a batch that claims another epoch', async () => {
    const log = new SyntheticLog();
    log.maintain('p', THREE);
    log.commit({ epoch: 1 });
    const subjects: readonly Subject[] = [{ kind: 'package', name: 'p' }];
    await assert.rejects(
      verify(log.evidence(subjects, { epoch: 0 }), {
        pin: log.pin,
        nowSeconds: log.time,
        subjects,
      }),
      refusedAs('ROSTER_CHAIN_BROKEN'),
    );
  });

  it('counts weights, not replicas', async () => {
    const log = new SyntheticLog({ weights: [4, 1, 1, 1] });
    log.maintain('p', THREE);
    log.release({ name: 'p', version: '1.0.1' });
    log.commit();
    // W = 7, B = 2: a quorum is 5.
    await verify(log.evidence([subject], { cosigners: [0, 1] }), with_(log));
    await assert.rejects(
      verify(log.evidence([subject], { cosigners: [1, 2, 3] }), with_(log)),
      refusedAs('QUORUM_NOT_REACHED'),
    );
  });
});

describe('verifyEvidence, whatever is changed in the document', () => {
  const good = formatEvidence(LOG.evidence(SUBJECTS));
  const document = parseCanonicalJson(good, EVIDENCE_BYTES_MAX) as JsonObject;
  const foreign = parseCanonicalJson(
    formatEvidence(makeLog({ seed: 'another world' }).evidence(SUBJECTS)),
    EVIDENCE_BYTES_MAX,
  ) as JsonObject;
  const digests = SUBJECTS.map((one) =>
    one.kind === 'release'
      ? artifactDigest(`pkg:npm/${one.name.replace('@', '%40')}@${one.version}`)
      : undefined,
  );

  // Either nothing is concluded, or nothing but the truth.
  async function requireTruth(source: Uint8Array | string): Promise<string> {
    let result: VerifiedEvidence;
    try {
      result = await verify(parseEvidence(source));
    } catch (error) {
      assert.ok(error instanceof VerifyError, `a refusal, not ${String(error)}`);
      return 'refused';
    }
    for (const [i, one] of result.subjects.entries()) {
      assert.ok(one.kind === 'verified' || one.kind === 'refused', `subject ${i}: ${one.kind}`);
      if (one.kind === 'verified') assert.deepEqual(one.release.sha512, digests[i]);
    }
    return 'true';
  }

  it('tells the truth about the unchanged document', async () => {
    assert.equal(await requireTruth(good), 'true');
  });

  it('is never fooled by flipped bits', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(8 * good.length - 1), async (bit) => {
        await requireTruth(flipBit(good, bit));
      }),
      { seed: 1, numRuns: 250 },
    );
  });

  // Steps into the document at random and changes what is found there.
  type Edit = { readonly path: readonly number[]; readonly how: number; readonly salt: number };
  const edit: fc.Arbitrary<Edit> = fc.record({
    path: fc.array(fc.nat(30), { minLength: 1, maxLength: 6 }),
    how: fc.nat(5),
    salt: fc.nat(1000),
  });
  function mutate(value: JsonValue, twin: JsonValue, { path, how, salt }: Edit): JsonValue {
    const [step, ...rest] = path;
    const atEnd = step === undefined;
    if (Array.isArray(value)) {
      const items = [...(value as readonly JsonValue[])];
      const at = items.length === 0 ? 0 : (step ?? salt) % items.length;
      const other = Array.isArray(twin) ? (twin as readonly JsonValue[])[at] : undefined;
      const item = items[at];
      if (item === undefined) return items;
      if (!atEnd && rest.length > 0)
        items[at] = mutate(item, other ?? item, { path: rest, how, salt });
      else if (how === 0) items.splice(at, 1);
      else if (how === 1) items.splice(at, 0, item);
      else if (how === 2) items[at] = other ?? item;
      else if (how === 3) items[at] = items[salt % items.length] ?? item;
      else items.reverse();
      return items;
    }
    if (value !== null && typeof value === 'object') {
      const object = value as JsonObject;
      const keys = Object.keys(object);
      const key = keys[(step ?? salt) % keys.length] ?? '';
      const member = object[key] ?? null;
      const other =
        twin !== null && typeof twin === 'object' ? (twin as JsonObject)[key] : undefined;
      const changed =
        how === 2 ? (other ?? member) : mutate(member, other ?? member, { path: rest, how, salt });
      return { ...object, [key]: changed };
    }
    if (typeof value === 'number') return Math.max(0, value + (how - 2));
    if (typeof value === 'string' && value.length > 0) {
      const at = salt % value.length;
      const character = how < 3 ? '' : (value[(salt * 7) % value.length] ?? 'A');
      return value.slice(0, at) + character + value.slice(at + 1);
    }
    return how === 0 ? 0 : null;
  }

  it('is never fooled by parts that are dropped, doubled, swapped or taken from another log', async () => {
    const outcomes = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
        const changed = edits.reduce<JsonValue>(
          (value, one) => mutate(value, foreign, one),
          document,
        );
        const outcome = await requireTruth(canonicalJson(changed));
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }),
      { seed: 2, numRuns: 600 },
    );
    // The edits must bite, or the property says nothing.
    assert.ok((outcomes.get('refused') ?? 0) > 200, JSON.stringify([...outcomes]));
  });

  it('is never fooled by edits inside the entries', async () => {
    const evidence = parseEvidence(good);
    await fc.assert(
      fc.asyncProperty(fc.nat(evidence.entries.length - 1), edit, async (at, one) => {
        const entries = evidence.entries.map(({ index, data }, i) => {
          if (i !== at) return { index, data };
          const parsed = parseCanonicalJson(data, 65_535);
          return { index, data: canonicalJson(mutate(parsed, parsed, one)) };
        });
        await requireTruth(formatEvidence({ ...evidence, entries }));
      }),
      { seed: 3, numRuns: 150 },
    );
  });

  it('does not care about signatures that somebody adds to a roster', async () => {
    const evidence = parseEvidence(good);
    const [roster] = evidence.rosters;
    const [line] = roster?.signatures ?? [];
    assert.ok(roster !== undefined && line !== undefined);
    const noise = { keyid: line.keyid, signature: flipBit(line.signature, 0) };
    const padded = parseEnvelope(
      utf8(formatEnvelope({ ...roster, signatures: [noise, ...roster.signatures] })),
    );
    const result = await verify({ ...evidence, rosters: [padded] });
    assert.deepEqual(result.subjects.map(wordOf), Array(4).fill('verified active'));
  });
});

function prunedMapFor(log: SyntheticLog, root: Uint8Array): Uint8Array {
  return prunedMap(log.mapNodes, root, [packageKey('p'), releaseKey('p', '1.0.0')]);
}
