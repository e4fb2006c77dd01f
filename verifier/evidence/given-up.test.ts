// A document that is read for the verification alone is given up before subjects are judged.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { LOG, SUBJECTS, request } from '../../fixtures/evidence.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import { collectGarbage } from '../node/garbage.ts';
import type { SignatureVerifier } from '../signatures.ts';
import { formatEvidence, parseEvidence, type Evidence, type ShownEntry } from './format.ts';
import { verifyEvidence } from './verify.ts';

describe('verifyEvidence with a function that reads the document', () => {
  it('reads it once and holds its entries no longer than until they are under the checkpoint', async () => {
    const source = formatEvidence(LOG.evidence(SUBJECTS));
    let reads = 0;
    let entries: WeakRef<readonly ShownEntry[]> | undefined;
    const read = (): Evidence => {
      reads += 1;
      const evidence = parseEvidence(source);
      entries = new WeakRef(evidence.entries);
      return evidence;
    };
    const held: boolean[] = [];
    const watching: SignatureVerifier = {
      verifyMany: async (jobs) => {
        await turn();
        collectGarbage();
        held.push(entries?.deref() !== undefined);
        return await nativeVerifier.verifyMany(jobs);
      },
    };
    const wish = { ...request(parseEvidence(source)), evidence: read };
    const { subjects } = await verifyEvidence(wish, nativeVerifier, watching);
    const whole = await verifyEvidence(request(parseEvidence(source)), nativeVerifier);
    assert.deepEqual(subjects, whole.subjects);
    assert.equal(reads, 1);
    assert.deepEqual(held, [false]);
  });
});
