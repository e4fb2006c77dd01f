// More subjects than are planned at a time: the same verdicts in the same order, and nothing asked twice.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import type { SignatureJob } from '../signatures.ts';
import type { Subject } from './subject.ts';
import { SLICE_SUBJECTS, verifyEvidence } from './verify.ts';

const COUNT = 2 * SLICE_SUBJECTS + 10;

function makeLog(): SyntheticLog {
  const log = new SyntheticLog();
  const people = { maintainers: ['ada'], faulty: 0 };
  for (let i = 0; i < COUNT; i++) log.maintain(`p${i}`, people);
  log.commit();
  for (let i = 1; i < COUNT - 1; i++) {
    // One that nobody signed, in the second slice.
    log.release({ name: `p${i}`, version: '1.0.0' }, i === SLICE_SUBJECTS + 5 ? ['mal'] : ['ada']);
  }
  // One statement about the first and the last subject.
  log.release([
    { name: 'p0', version: '1.0.0' },
    { name: `p${COUNT - 1}`, version: '1.0.0' },
  ]);
  // Another version of a package of the first slice, asked about in the last.
  log.release({ name: 'p1', version: '2.0.0' });
  log.commit();
  return log;
}

describe('evidence for more subjects than are planned at a time', () => {
  it('gives a verdict for each, in order, and verifies each signature once', async () => {
    const log = makeLog();
    const subjects: Subject[] = Array.from({ length: COUNT }, (_, i) => {
      return { kind: 'release', name: `p${i}`, version: '1.0.0' };
    });
    subjects.push({ kind: 'release', name: 'p1', version: '2.0.0' });
    const asked: SignatureJob[] = [];
    const rounds: number[] = [];
    const counting = {
      verifyMany: async (jobs: readonly SignatureJob[]) => {
        asked.push(...jobs);
        rounds.push(jobs.length);
        return await nativeVerifier.verifyMany(jobs);
      },
    };
    const request = {
      evidence: log.evidence(subjects),
      pin: log.pin,
      subjects,
      nowSeconds: log.time,
      checkpointAgeMaxSeconds: 600,
      clockSkewMaxSeconds: 60,
    };
    const { subjects: results } = await verifyEvidence(request, nativeVerifier, counting);
    assert.deepEqual(
      results.map(({ subject }) => subject),
      subjects,
    );
    const refused = results.flatMap((result, i) =>
      result.kind === 'verified' ? [] : [[i, result.kind === 'refused' ? result.error.code : '']],
    );
    assert.deepEqual(refused, [[SLICE_SUBJECTS + 5, 'MAINTAINER_SIGNATURES_MISSING']]);
    assert.equal(rounds.length, 3);
    const distinct = new Set(asked.map(({ signature }) => Buffer.from(signature).toString('hex')));
    assert.equal(distinct.size, asked.length);
    // A set and a release for each, one statement for two of them, one more release, one without signature.
    assert.equal(asked.length, 2 * COUNT - 1 + 1 - 1);
  });
});
