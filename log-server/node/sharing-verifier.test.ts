import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { testKey } from '../../fixtures/documents.ts';
import { utf8 } from '../../verifier/bytes.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';
import { SharingVerifier } from './sharing-verifier.ts';

/** Answers when it is told to. */
class Held implements SignatureVerifier {
  readonly asked: (readonly SignatureJob[])[] = [];
  readonly #answers: (() => void)[] = [];

  verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    this.asked.push(jobs);
    return new Promise((resolve) => {
      this.#answers.push(() => resolve(nativeVerifier.verifyMany(jobs)));
    });
  }

  answer(): void {
    for (const answer of this.#answers.splice(0)) answer();
  }
}

function job(n: number, text: string, signed: string = text): SignatureJob {
  const key = testKey(n);
  return { publicKey: key.publicKey, message: utf8(text), signature: key.sign(utf8(signed)) };
}

const [A, B, C] = [job(1, 'a'), job(2, 'b'), job(3, 'c')];
const BAD = job(1, 'a', 'another');

describe('SharingVerifier', () => {
  it('asks once about what two ask about meanwhile, and answers each in its order', async () => {
    const inner = new Held();
    const verifier = new SharingVerifier(inner);
    const first = verifier.verifyMany([A, BAD, B]);
    const second = verifier.verifyMany([C, B, BAD, A]);
    assert.deepEqual(inner.asked, [[A, BAD, B], [C]]);
    inner.answer();
    assert.deepEqual(await first, [true, false, true]);
    assert.deepEqual(await second, [true, true, false, true]);
  });

  it('waits for the answers of somebody else, however soon its own are there', async () => {
    const inner = new Held();
    const verifier = new SharingVerifier(inner);
    let isAnswered = false;
    void verifier.verifyMany([BAD]);
    const shared = verifier.verifyMany([BAD]).then((answers) => {
      isAnswered = true;
      return answers;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isAnswered, false);
    inner.answer();
    assert.deepEqual(await shared, [false]);
  });

  it('asks once about one that is there twice', async () => {
    const inner = new Held();
    const verifier = new SharingVerifier(inner);
    const answers = verifier.verifyMany([BAD, A, BAD, A]);
    assert.deepEqual(inner.asked, [[BAD, A]]);
    inner.answer();
    assert.deepEqual(await answers, [false, true, false, true]);
  });

  it('remembers good ones, and no bad ones', async () => {
    const inner = new Held();
    const verifier = new SharingVerifier(inner);
    for (const asked of [[A, BAD], [BAD]]) {
      const answers = verifier.verifyMany([A, BAD]);
      assert.deepEqual(inner.asked.at(-1), asked);
      inner.answer();
      assert.deepEqual(await answers, [true, false]);
    }
  });

  const others: readonly (readonly [why: string, other: SignatureJob])[] = [
    ['another message', { ...A, message: utf8('b') }],
    ['another key', { ...A, publicKey: B.publicKey }],
    ['another signature', { ...A, signature: new Uint8Array(64) }],
  ];
  for (const [why, other] of others) {
    it(`does not take a good one for ${why}`, async () => {
      const verifier = new SharingVerifier(nativeVerifier);
      assert.deepEqual(await verifier.verifyMany([A]), [true]);
      assert.deepEqual(await verifier.verifyMany([other, A]), [false, true]);
    });
  }

  it('hands on that nothing could be checked, and asks anew after that', async () => {
    let isFull = true;
    const verifier = new SharingVerifier({
      verifyMany: async (jobs) => {
        await Promise.resolve();
        if (isFull) throw new Error('full');
        return nativeVerifier.verifyMany(jobs);
      },
    });
    const both = [verifier.verifyMany([A]), verifier.verifyMany([A])];
    for (const one of both) await assert.rejects(one, /full/);
    isFull = false;
    assert.deepEqual(await verifier.verifyMany([A]), [true]);
  });

  it('takes no answers that leave one out', async () => {
    const verifier = new SharingVerifier({ verifyMany: async () => [true] });
    await assert.rejects(verifier.verifyMany([BAD, B]), /answers each job/);
    await assert.rejects(verifier.verifyMany([BAD, B]), /answers each job/);
  });
});
