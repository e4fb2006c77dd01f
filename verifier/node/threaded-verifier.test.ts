import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';

import { utf8 } from '../bytes.ts';
import { parsePublicKey } from '../ed25519.ts';
import { decodeHex } from '../encoding.ts';
import type { SignatureJob } from '../signatures.ts';
import { verifyNative } from './ed25519.ts';
import { SigningKey } from './signing-key.ts';
import { threadedVerifier } from './threaded-verifier.ts';

const keys = Array.from({ length: 5 }, (_, i) =>
  SigningKey.fromSeed(new Uint8Array(32).fill(i + 1)),
);

/** Every seventh job is bad, each in another way. */
function makeJobs(count: number): readonly SignatureJob[] {
  return Array.from({ length: count }, (_, i): SignatureJob => {
    const key = keys[i % keys.length];
    assert.ok(key !== undefined, 'there is a key');
    const message = utf8(`message ${i} `.repeat(i % 13));
    const good = { publicKey: key.publicKey, message, signature: key.sign(message) };
    if (i % 7 !== 3) return good;
    if (i % 4 === 0) return { ...good, message: utf8('other') };
    if (i % 4 === 1) return { ...good, signature: new Uint8Array(0) };
    // No point of the curve: OpenSSL finds out only when it verifies.
    if (i % 4 === 2)
      return { ...good, publicKey: parsePublicKey(decodeHex(`02${'00'.repeat(31)}`)) };
    return { ...good, signature: Uint8Array.of(...good.signature, 0) };
  });
}

describe('threadedVerifier', () => {
  for (const count of [0, 1, 16, 17, 255, 256, 257, 700]) {
    it(`answers ${count} jobs in order`, async () => {
      const jobs = makeJobs(count);
      const expected = jobs.map((_, i) => i % 7 !== 3);
      assert.deepEqual(await threadedVerifier.verifyMany(jobs), expected);
    });
  }

  it('agrees with the synchronous back end on the CCTV vectors', async () => {
    const file = new URL('../../fixtures/vectors/ed25519-cctv.json', import.meta.url);
    const vectors = JSON.parse(await readFile(file, 'utf8')) as readonly {
      readonly key: string;
      readonly sig: string;
      readonly msg: string;
    }[];
    const jobs = vectors.flatMap(({ key, sig, msg }): SignatureJob[] => {
      try {
        const publicKey = parsePublicKey(decodeHex(key));
        return [{ publicKey, message: utf8(msg), signature: decodeHex(sig) }];
      } catch {
        return [];
      }
    });
    assert.ok(jobs.length > 300, `${jobs.length} vectors have a key that can be parsed`);
    const answers = await threadedVerifier.verifyMany(jobs);
    assert.deepEqual(answers, jobs.map(verifyNative));
    assert.equal(answers.filter((isValid) => isValid).length, 86);
  });

  it('leaves files their turn while signatures are waiting', async () => {
    const verifying = threadedVerifier.verifyMany(makeJobs(3_000));
    let isDone = false;
    void verifying.then(() => (isDone = true));
    await readFile(new URL(import.meta.url));
    assert.equal(isDone, false, 'the file was read before the last signature was verified');
    await verifying;
  });
});
