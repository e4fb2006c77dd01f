import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import {
  release,
  makeLog,
  LOG,
  SUBJECTS,
  request,
  verify,
  wordOf,
  refusedAs,
} from '../../fixtures/evidence.ts';
import { SyntheticLog, artifactDigest, flipBit } from '../../fixtures/synthetic-log.ts';
import { utf8 } from '../bytes.ts';
import { parseEnvelope, formatEnvelope } from '../dsse.ts';
import { AssertionError, VerifyError } from '../errors.ts';
import { canonicalJson, parseCanonicalJson, type JsonObject, type JsonValue } from '../json.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import { portableVerifier } from '../portable.ts';
import type { SignatureVerifier } from '../signatures.ts';
import { EVIDENCE_BYTES_MAX, formatEvidence, parseEvidence } from './format.ts';
import type { Subject } from './subject.ts';
import { verifyEvidence, type EvidenceRequest, type VerifiedEvidence } from './verify.ts';

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
