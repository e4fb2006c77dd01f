import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { laterRefusalOf } from '../../fixtures/documents.ts';
import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { encodeHex } from '../encoding.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import { EMPTY_ROOT } from '../merkle/hash.ts';
import { RELEASE_PAYLOAD_TYPE } from '../statements/release.ts';
import {
  CONTRADICTION_FORMAT,
  formatContradiction,
  parseContradiction,
  verifyContradiction,
  type Contradiction,
  type HeadClaim,
} from './contradiction.ts';

// Two histories of one log, the same replicas and maintainers, that part after the first batch.
function makeLog(branch: string, batches: number, seed = 'seed'): SyntheticLog {
  const log = new SyntheticLog({ seed });
  log.maintain('p', { maintainers: ['ada', 'ben', 'eve'], faulty: 1 });
  log.maintain('other', { maintainers: ['zoe'], faulty: 0 });
  log.commit();
  for (let i = 1; i < batches; i++) {
    log.release({ name: 'p', version: `1.${branch}.${i}` });
    log.commit();
  }
  return log;
}

const log = makeLog('0', 5);
const shown = makeLog('9', 3);

/** What the signers who were shown the other history release next. */
function claimOf(from: SyntheticLog, signers = ['ada', 'ben'], name = 'p'): HeadClaim {
  const sequence = from.packages.get(name) === undefined ? 0 : undefined;
  from.release(
    { name, version: '2.0.0', ...(sequence === undefined ? {} : { sequence }) },
    signers,
  );
  const data = from.entries.pop();
  assert.ok(data !== undefined, 'a release was made');
  const { envelope } = JSON.parse(Buffer.from(data).toString()) as {
    envelope: { payload: string; signatures: { keyid: string; sig: string }[] };
  };
  return {
    kind: 'statement',
    package: name,
    statement: {
      payloadType: RELEASE_PAYLOAD_TYPE,
      payload: new Uint8Array(Buffer.from(envelope.payload, 'base64')),
      signatures: envelope.signatures.map(({ keyid, sig }) => ({
        keyid,
        signature: new Uint8Array(Buffer.from(sig, 'base64')),
      })),
    },
  };
}

const SIZE = shown.size;
const evidence = log.evidence([{ kind: 'package', name: 'p' }], { since: SIZE });
const root = log.root(SIZE);
const claim = claimOf(makeLog('9', 3));
const byStatement: Contradiction = { claim, root, evidence };
const byNote: Contradiction = {
  claim: { kind: 'note', note: shown.note({ cosigners: [1, 3] }) },
  root,
  evidence: log.evidence([], { since: SIZE }),
};

async function check(
  document: Contradiction,
  pin = log.pin,
): ReturnType<typeof verifyContradiction> {
  return verifyContradiction(
    parseContradiction(formatContradiction(document)),
    pin,
    nativeVerifier,
  );
}

describe('verifyContradiction', () => {
  it('names the maintainers that were shown another log', async () => {
    const proof = await check(byStatement);
    assert.equal(proof.size, SIZE);
    assert.equal(proof.claimed, encodeHex(shown.root(SIZE)));
    assert.equal(proof.logged, encodeHex(root));
    assert.equal(proof.checkpointSize, log.size);
    assert.deepEqual(
      proof.witness?.signers.map(({ name }) => name),
      ['ada', 'ben'],
    );
    assert.deepEqual([proof.witness.package, proof.witness.sequence], ['p', 0]);
    assert.deepEqual([proof.faulty, proof.signedOther], [[], []]);
  });

  it('names the replicas that cosigned the other log, fewer than a quorum too', async () => {
    const proof = await check(byNote);
    assert.deepEqual(
      proof.faulty.map(({ name }) => name),
      ['replica-1.example', 'replica-3.example'],
    );
    assert.equal(proof.witness, null);
  });

  // f1 and f2 (replicas 1 and 3) fork the log into {0, 1, 3} and {1, 2, 3}, and post the other branch's
  // note with the line of the correct one alone: it cosigned what was committed at it.
  const blame: readonly (readonly [string, number[], number[], string[], string[]])[] = [
    ['nobody, of a note with the victim’s line only', [2], [0, 1, 3], [], ['2']],
    ['who signed both, of the whole note', [1, 2, 3], [0, 1, 3], ['1', '3'], ['2']],
    ['a lone liar that the log’s side shows', [1], [0, 1, 2, 3], ['1'], []],
  ];
  for (const [why, claimed, logged, faulty, signedOther] of blame) {
    it(`blames ${why}`, async () => {
      const proof = await check({
        ...byNote,
        claim: { kind: 'note', note: shown.note({ cosigners: claimed }) },
        evidence: log.evidence([], { since: SIZE, cosigners: logged }),
      });
      const namesOf = (list: typeof proof.faulty): string[] => list.map(({ name }) => name);
      const full = (list: string[]): string[] => list.map((i) => `replica-${i}.example`);
      assert.deepEqual(namesOf(proof.faulty), full(faulty));
      assert.deepEqual(namesOf(proof.signedOther), full(signedOther));
    });
  }

  it('names nobody for a line with his name that he did not sign', async () => {
    const good = shown.note({ cosigners: [1] });
    const framed =
      log
        .note({ size: SIZE, cosigners: [2] })
        .split('\n')
        .at(-2) ?? '';
    assert.match(framed, /^— replica-2/);
    const proof = await check({ ...byNote, claim: { kind: 'note', note: `${good}${framed}\n` } });
    assert.deepEqual(
      proof.faulty.map(({ name }) => name),
      ['replica-1.example'],
    );
  });

  it('counts maintainers that have left since', async () => {
    const later = makeLog('0', 5);
    later.maintain('p', { maintainers: ['ada', 'fay', 'gus'], faulty: 1 });
    later.commit();
    const newer = later.evidence([{ kind: 'package', name: 'p' }], { since: SIZE });
    const proof = await check({ ...byStatement, evidence: newer });
    assert.equal(proof.witness?.sequence, 0);
  });

  it('is of use at the very size of the checkpoint', async () => {
    const evidenceNow = log.evidence([{ kind: 'package', name: 'p' }]);
    const same = makeLog('9', 5);
    assert.equal(same.size, log.size);
    const document = { claim: claimOf(same), root: log.root(), evidence: evidenceNow };
    assert.equal((await check(document)).size, log.size);
  });

  it('needs no proof for the empty log, which has one root', async () => {
    const odd = makeLog('9', 3);
    odd.observed = () => new Map([[log.origin, { size: 0, root: shown.root(1) }]]);
    const document = { ...byStatement, claim: claimOf(odd), root: EMPTY_ROOT };
    assert.equal((await check(document)).size, 0);
    const other = { ...document, root: shown.root(2) };
    assert.equal(await laterRefusalOf(() => check(other)), 'EVIDENCE_MALFORMED');
  });

  const refused: readonly (readonly [string, () => Contradiction, string])[] = [
    [
      'a head that is one of the log',
      () => ({ ...byStatement, claim: claimOf(makeLog('0', 3)) }),
      'EVIDENCE_MALFORMED',
    ],
    [
      'a note of the log itself',
      () => ({ ...byNote, claim: { kind: 'note', note: log.note({ size: SIZE }) } }),
      'EVIDENCE_MALFORMED',
    ],
    [
      'too few maintainers',
      () => ({ ...byStatement, claim: claimOf(makeLog('9', 3), ['ada']) }),
      'EVIDENCE_MALFORMED',
    ],
    [
      'one maintainer twice',
      () => ({ ...byStatement, claim: claimOf(makeLog('9', 3), ['ada', 'ada']) }),
      'EVIDENCE_MALFORMED',
    ],
    [
      'maintainers of another package',
      () => ({ ...byStatement, claim: claimOf(makeLog('9', 3), ['zoe']) }),
      'EVIDENCE_MALFORMED',
    ],
    [
      'a package that the statement is not about',
      () => ({
        ...byStatement,
        claim: { ...claim, package: 'other' } as HeadClaim,
        evidence: log.evidence([{ kind: 'package', name: 'other' }], { since: SIZE }),
      }),
      'EVIDENCE_MALFORMED',
    ],
    [
      'a note that no replica signed',
      () => ({
        ...byNote,
        claim: { kind: 'note', note: makeLog('9', 3, 'strangers').note() },
      }),
      'EVIDENCE_MALFORMED',
    ],
    [
      'another root than the log has',
      () => ({ ...byStatement, root: shown.root(2) }),
      'CONSISTENCY_PROOF_INVALID',
    ],
    [
      'no proof for the root',
      () => ({ ...byStatement, evidence: log.evidence([{ kind: 'package', name: 'p' }]) }),
      'EVIDENCE_MALFORMED',
    ],
    [
      'a proof from another size',
      () => ({
        ...byStatement,
        evidence: log.evidence([{ kind: 'package', name: 'p' }], { since: SIZE - 1 }),
      }),
      'CONSISTENCY_PROOF_INVALID',
    ],
    [
      'a checkpoint without a quorum',
      () => ({
        ...byStatement,
        evidence: log.evidence([{ kind: 'package', name: 'p' }], {
          since: SIZE,
          cosigners: [0, 1],
        }),
      }),
      'QUORUM_NOT_REACHED',
    ],
    [
      'a checkpoint older than the claim',
      () => ({
        ...byStatement,
        evidence: log.evidence([{ kind: 'package', name: 'p' }], { size: 3 }),
      }),
      'EVIDENCE_MALFORMED',
    ],
  ];
  for (const [why, make, code] of refused) {
    it(`refuses ${why}`, async () => {
      assert.equal(await laterRefusalOf(() => check(make())), code);
    });
  }

  it('refuses a pin of another log', async () => {
    const pin = makeLog('0', 1, 'strangers').pin;
    assert.equal(await laterRefusalOf(() => check(byStatement, pin)), 'ROSTER_NOT_PINNED');
  });
});

describe('parseContradiction', () => {
  const text = formatContradiction(byStatement);
  const refused: readonly (readonly [string, string, string])[] = [
    ['no JSON', 'x', 'EVIDENCE_MALFORMED'],
    ['another format', text.replace(CONTRADICTION_FORMAT, 'x/v9'), 'FORMAT_UNSUPPORTED'],
    ['a second spelling', ` ${text}`, 'EVIDENCE_MALFORMED'],
    ['two claims', text.replace('"note":null', '"note":"x"'), 'EVIDENCE_MALFORMED'],
    [
      'no claim',
      formatContradiction(byNote).replace(/"note":"(?:[^"\\]|\\.)*"/, '"note":null'),
      'EVIDENCE_MALFORMED',
    ],
    [
      'a package with a note',
      formatContradiction(byNote).replace('"package":null', '"package":"p"'),
      'EVIDENCE_MALFORMED',
    ],
    ['a field more', text.replace('{"evidence"', '{"a":1,"evidence"'), 'EVIDENCE_MALFORMED'],
  ];
  for (const [why, source, code] of refused) {
    it(`refuses ${why}`, async () => {
      assert.equal(await laterRefusalOf(async () => parseContradiction(source)), code);
    });
  }
});
