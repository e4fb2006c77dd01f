import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { signedBy, testKey } from '../../fixtures/documents.ts';
import { TestLedger } from '../../fixtures/test-ledger.ts';
import { utf8 } from '../../verifier/bytes.ts';
import { preAuthenticationEncoding, type Envelope } from '../../verifier/dsse.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';
import { KnownSignatures } from './known-signatures.ts';

class Counting implements SignatureVerifier {
  readonly calls: number[] = [];

  async verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    this.calls.push(jobs.length);
    return await nativeVerifier.verifyMany(jobs);
  }
}

function jobOf(envelope: Envelope, line: number, signer: number): SignatureJob {
  const signature = envelope.signatures[line]?.signature;
  assert.ok(signature !== undefined);
  return {
    publicKey: testKey(signer).publicKey,
    message: preAuthenticationEncoding(envelope.payloadType, envelope.payload),
    signature,
  };
}

describe('KnownSignatures', () => {
  const { author } = new TestLedger();
  // Ada, ben and eve are the test keys 1 to 3, and the set names them.
  const set = author.set('left-pad');
  const release = author.release({ name: 'left-pad', version: '1.0.0' });

  it('asks once for all that is foreseen, and answers from that', async () => {
    const counting = new Counting();
    const known = new KnownSignatures(counting);
    await known.foresee([set, release]);
    assert.deepEqual(counting.calls, [5]);
    const jobs = [jobOf(set, 0, 1), jobOf(set, 2, 3), jobOf(release, 1, 2)];
    assert.deepEqual(await known.verifyMany(jobs), [true, true, true]);
    assert.deepEqual([counting.calls, known.verified], [[5], 5]);
  });

  it('never gives an answer to another question', async () => {
    const known = new KnownSignatures(new Counting());
    await known.foresee([set, release]);
    const good = jobOf(release, 0, 1);
    const questions: readonly SignatureJob[] = [
      { ...good, message: utf8('something else') },
      { ...good, publicKey: testKey(2).publicKey },
      { ...good, signature: jobOf(release, 1, 2).signature },
      { ...good, signature: new Uint8Array(64) },
    ];
    assert.deepEqual(await known.verifyMany([good, ...questions]), [
      true,
      false,
      false,
      false,
      false,
    ]);
  });

  it('keeps a bad answer bad', async () => {
    const known = new KnownSignatures(new Counting());
    const [first, ...rest] = release.signatures;
    assert.ok(first !== undefined);
    const forged = {
      ...release,
      signatures: [{ ...first, signature: new Uint8Array(64) }, ...rest],
    };
    await known.foresee([set, forged]);
    assert.deepEqual(await known.verifyMany([jobOf(forged, 0, 1), jobOf(forged, 1, 2)]), [
      false,
      true,
    ]);
  });

  it('foresees nothing by keys that were named too long ago, and verifies that when it is asked', async () => {
    const counting = new Counting();
    const known = new KnownSignatures(counting, 2);
    await known.foresee([set, release]);
    // Of the set and the release those of ben and eve: ada's key was the first of three.
    assert.deepEqual(counting.calls, [3]);
    assert.deepEqual(await known.verifyMany([jobOf(set, 0, 1), jobOf(release, 1, 2)]), [
      true,
      true,
    ]);
    assert.deepEqual(counting.calls, [3, 1]);
  });

  it('verifies what nobody could foresee, and forgets what is over', async () => {
    const counting = new Counting();
    const known = new KnownSignatures(counting);
    const stranger = signedBy('application/x', utf8('{}'), [testKey(9)]);
    await known.foresee([stranger]);
    assert.deepEqual(counting.calls, []);
    assert.deepEqual(await known.verifyMany([jobOf(stranger, 0, 9)]), [true]);
    // A batch may begin in one window and end in the next.
    await known.foresee([]);
    assert.deepEqual(await known.verifyMany([jobOf(stranger, 0, 9)]), [true]);
    assert.deepEqual(counting.calls, [1]);
    await known.foresee([]);
    await known.foresee([]);
    assert.deepEqual(await known.verifyMany([jobOf(stranger, 0, 9)]), [true]);
    assert.deepEqual(counting.calls, [1, 1]);
  });
});
