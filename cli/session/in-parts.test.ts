import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { populatedLog } from '../../fixtures/synthetic-log.ts';
import type { Subject } from '../../verifier/evidence/subject.ts';
import { verifyEvidence } from '../../verifier/evidence/verify.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { CliError } from '../errors.ts';
import { SUBJECTS_TOTAL_MAX, verifyInParts, wholeDocument } from './in-parts.ts';
import type { Verified } from './log-session.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e'];
const SUBJECTS = NAMES.map((name) => ({ kind: 'release', name, version: '1.0.0' }) as const);

// A log that grows by a batch whenever it was asked.
function growing(): (part: readonly Subject[]) => Promise<Verified> {
  const log = populatedLog(0);
  const people = ['ada', 'ben'];
  for (const name of NAMES) {
    log.maintain(name, { maintainers: people, faulty: 1 });
    log.release({ name, version: '1.0.0' }, people);
  }
  log.commit();
  let turn = 0;
  return async (part) => {
    turn += 1;
    const evidence = await verifyEvidence(
      {
        evidence: log.evidence(part),
        pin: log.pin,
        subjects: part,
        nowSeconds: log.time,
        checkpointAgeMaxSeconds: 60,
        clockSkewMaxSeconds: 0,
      },
      nativeVerifier,
    );
    const name = `more-${turn}`;
    log.maintain(name, { maintainers: people, faulty: 1 });
    log.commit();
    const failures = [
      { url: 'https://down', error: new Error(`in part ${turn}`) },
      { url: `https://r${turn}`, error: new Error('once') },
    ];
    return {
      evidence,
      source: Uint8Array.of(turn),
      documents: 1,
      consistentWith: null,
      ageSeconds: turn,
      isBundle: false,
      failures,
    };
  };
}

describe('verifyInParts', () => {
  it('answers in order, under the oldest view, and trusts the newest', async () => {
    const verified = await verifyInParts(SUBJECTS, growing(), 2);
    const { subjects, checkpoint, trust } = verified.evidence;
    assert.deepEqual(
      subjects.map(({ kind, subject }) => `${kind} ${subject.name}`),
      NAMES.map((name) => `verified ${name}`),
    );
    const { size } = checkpoint.checkpoint;
    assert.equal(verified.ageSeconds, 1);
    assert.ok(trust.size > size, `${trust.size} is newer than ${size}`);
    assert.deepEqual(
      verified.failures.map(({ url }) => url),
      ['https://down', 'https://r1', 'https://r2', 'https://r3'],
    );
    assert.equal(verified.documents, 3);
  });

  it('hands one part on as it is, with a document to keep', async () => {
    const verified = await verifyInParts(SUBJECTS, growing(), SUBJECTS.length);
    assert.deepEqual(wholeDocument(verified), Uint8Array.of(1));
  });

  const refused = (error: unknown): boolean =>
    error instanceof CliError && error.diagnostic.code === 'BP9003';

  it('keeps no document that holds a part only', async () => {
    const verified = await verifyInParts(SUBJECTS, growing(), 4);
    assert.throws(() => wholeDocument(verified), refused);
  });

  it('asks about no more than it can, and then asks nobody', async () => {
    const many = Array.from({ length: SUBJECTS_TOTAL_MAX + 1 }, () => SUBJECTS[0]);
    let asked = 0;
    const verify = async (): Promise<Verified> => {
      asked += 1;
      throw new Error('asked');
    };
    const subjects = many.flatMap((subject) => (subject === undefined ? [] : [subject]));
    await assert.rejects(verifyInParts(subjects, verify), refused);
    assert.equal(asked, 0);
  });
});
