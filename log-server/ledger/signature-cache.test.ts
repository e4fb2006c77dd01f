import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { testKey } from '../../fixtures/documents.ts';
import { utf8 } from '../../verifier/bytes.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';
import { CachingVerifier } from './signature-cache.ts';

/** A verifier that counts what it is asked. */
class Counting implements SignatureVerifier {
  asked = 0;

  async verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    this.asked += jobs.length;
    return nativeVerifier.verifyMany(jobs);
  }
}

function job(n: number, text: string): SignatureJob {
  const key = testKey(n);
  return { publicKey: key.publicKey, message: utf8(text), signature: key.sign(utf8(text)) };
}

const GOOD = job(1, 'a');

describe('CachingVerifier', () => {
  it('asks once about a good signature', async () => {
    const inner = new Counting();
    const verifier = new CachingVerifier(inner);
    assert.deepEqual(await verifier.verifyMany([GOOD, job(2, 'b')]), [true, true]);
    assert.deepEqual(await verifier.verifyMany([job(2, 'b'), GOOD]), [true, true]);
    assert.equal(inner.asked, 2);
  });

  const others: readonly (readonly [why: string, job: SignatureJob])[] = [
    ['another message', { ...GOOD, message: utf8('b') }],
    ['another key', { ...GOOD, publicKey: testKey(2).publicKey }],
    ['another signature', { ...GOOD, signature: new Uint8Array(64) }],
    [
      'the signature and a byte more',
      { ...GOOD, signature: new Uint8Array([...GOOD.signature, 0]) },
    ],
    [
      'a byte moved from the message to the signature',
      { ...GOOD, signature: new Uint8Array([...GOOD.signature, 0x61]), message: utf8('') },
    ],
  ];
  for (const [why, other] of others) {
    it(`does not take a good one for ${why}`, async () => {
      const verifier = new CachingVerifier(nativeVerifier);
      assert.deepEqual(await verifier.verifyMany([GOOD]), [true]);
      for (let i = 0; i < 2; i++) {
        assert.deepEqual(await verifier.verifyMany([other, GOOD, other]), [false, true, false]);
      }
    });
  }

  it('keeps no bad ones, which would push good ones out', async () => {
    const inner = new Counting();
    const verifier = new CachingVerifier(inner, 2);
    await verifier.verifyMany([GOOD]);
    for (let i = 0; i < 10; i++) await verifier.verifyMany([{ ...GOOD, message: utf8(`${i}`) }]);
    const before = inner.asked;
    assert.deepEqual(await verifier.verifyMany([GOOD]), [true]);
    assert.equal(inner.asked, before);
  });

  it('asks whom it is told to, and remembers for all', async () => {
    const [inner, other] = [new Counting(), new Counting()];
    const verifier = new CachingVerifier(inner);
    assert.deepEqual(await verifier.asking(other).verifyMany([GOOD]), [true]);
    assert.deepEqual(await verifier.verifyMany([GOOD]), [true]);
    assert.deepEqual([inner.asked, other.asked], [0, 1]);
  });

  it('forgets everything, also for those who ask through another', async () => {
    const inner = new Counting();
    const verifier = new CachingVerifier(inner);
    await verifier.verifyMany([GOOD]);
    verifier.clear();
    await verifier.asking(inner).verifyMany([GOOD]);
    assert.equal(inner.asked, 2);
  });

  it('forgets what was not used for long', async () => {
    const inner = new Counting();
    const verifier = new CachingVerifier(inner, 4);
    await verifier.verifyMany([GOOD, job(2, 'b')]);
    for (const text of ['c', 'd', 'e', 'f']) {
      await verifier.verifyMany([job(3, text)]);
      await verifier.verifyMany([GOOD]);
    }
    assert.equal(inner.asked, 6, 'what is asked again and again stays');
    await verifier.verifyMany([job(2, 'b')]);
    assert.equal(inner.asked, 7);
  });
});
