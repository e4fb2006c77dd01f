// Both back ends against the vectors of others, and against each other.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { utf8 } from '../bytes.ts';
import { parsePublicKey } from '../ed25519.ts';
import { decodeHex, encodeHex } from '../encoding.ts';
import { VerifyError } from '../errors.ts';
import { portableVerifier, verifyPortable } from '../portable.ts';
import type { SignatureJob } from '../signatures.ts';
import { nativeVerifier, verifyNative } from './ed25519.ts';
import { SigningKey } from './signing-key.ts';

const L = 2n ** 252n + 27742317777372353535851937790883648493n;

function readVectors(name: string): unknown {
  const url = new URL(`../../fixtures/vectors/${name}`, import.meta.url);
  return JSON.parse(readFileSync(url, 'utf8'));
}

/** The verdict of both back ends, which has to be the same. A key that doesn't parse is a refusal. */
function verdict(key: string, message: Uint8Array, signature: string, name: string): boolean {
  let job: SignatureJob;
  try {
    job = {
      publicKey: parsePublicKey(decodeHex(key)),
      message,
      signature: decodeHex(signature),
    };
  } catch (error) {
    assert.ok(error instanceof VerifyError && error.code === 'KEY_MALFORMED', name);
    return false;
  }
  const native = verifyNative(job);
  assert.equal(verifyPortable(job), native, `${name}: the back ends disagree`);
  return native;
}

describe('the Ed25519 rule', () => {
  it('accepts exactly 86 of the 914 CCTV vectors, on both back ends', () => {
    interface Vector {
      readonly number: number;
      readonly key: string;
      readonly sig: string;
      readonly msg: string;
      readonly flags: readonly string[] | null;
    }
    const vectors = readVectors('ed25519-cctv.json') as readonly Vector[];
    assert.equal(vectors.length, 914);
    const accepted = vectors.filter((vector) =>
      verdict(vector.key, utf8(vector.msg), vector.sig, `vector ${vector.number}`),
    );
    assert.equal(accepted.length, 86);
    const odd = accepted.filter((vector) =>
      (vector.flags ?? []).some((flag) =>
        ['low_order_A', 'non_canonical_A', 'non_canonical_R'].includes(flag),
      ),
    );
    assert.deepEqual(odd, []);
  });

  it('agrees with all 151 Wycheproof cases, on both back ends', () => {
    interface Group {
      readonly publicKey: { readonly pk: string };
      readonly tests: readonly {
        readonly tcId: number;
        readonly msg: string;
        readonly sig: string;
        readonly result: string;
      }[];
    }
    const { testGroups } = readVectors('ed25519-wycheproof.json') as {
      testGroups: readonly Group[];
    };
    let count = 0;
    for (const { publicKey, tests } of testGroups) {
      for (const { tcId, msg, sig, result } of tests) {
        const valid = verdict(publicKey.pk, decodeHex(msg), sig, `case ${tcId}`);
        assert.equal(valid, result === 'valid', `case ${tcId}`);
        count += 1;
      }
    }
    assert.equal(count, 151);
  });
});

describe('verifyNative and verifyPortable', () => {
  const key = SigningKey.fromSeed(new Uint8Array(32).fill(7));
  const other = SigningKey.fromSeed(new Uint8Array(32).fill(8));
  const message = utf8('left-pad@1.3.0');
  const signature = key.sign(message);
  const job: SignatureJob = { publicKey: key.publicKey, message, signature };

  const rows: readonly [string, boolean, SignatureJob][] = [
    ['accept a signature', true, job],
    ['refuse it under another key', false, { ...job, publicKey: other.publicKey }],
    ['refuse it for another message', false, { ...job, message: utf8('left-pad@1.3.1') }],
    ['refuse it for no message', false, { ...job, message: new Uint8Array(0) }],
    ['refuse no signature', false, { ...job, signature: new Uint8Array(0) }],
    ['refuse 63 bytes', false, { ...job, signature: signature.subarray(0, 63) }],
    ['refuse 65 bytes', false, { ...job, signature: Uint8Array.of(...signature, 0) }],
    ['refuse zeros', false, { ...job, signature: new Uint8Array(64) }],
    ['refuse S + L, a second spelling of S', false, { ...job, signature: plusL(signature) }],
    [
      'refuse under bytes that are no point of the curve',
      false,
      { ...job, publicKey: parsePublicKey(decodeHex(`02${'00'.repeat(31)}`)) },
    ],
  ];
  for (const [what, expected, row] of rows) {
    it(what, async () => {
      assert.deepEqual(await nativeVerifier.verifyMany([row]), [expected], 'native');
      assert.deepEqual(await portableVerifier.verifyMany([row]), [expected], 'portable');
    });
  }

  it('refuse every flip of one bit of a signature', () => {
    for (let bit = 0; bit < 512; bit++) {
      const flipped = Uint8Array.from(signature);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.equal(verifyNative({ ...job, signature: flipped }), false, `bit ${bit}`);
      // A millisecond each: every 16th is enough to see that the portable one looks at all bytes.
      if (bit % 16 === 5) {
        assert.equal(verifyPortable({ ...job, signature: flipped }), false, `bit ${bit}`);
      }
    }
  });

  it('keep working when more keys come than are cached', () => {
    const spare = new Uint8Array(32).fill(3);
    for (let i = 0; i < 4200; i++) {
      new DataView(spare.buffer).setUint32(0, i);
      verifyNative({ ...job, publicKey: parsePublicKey(spare) });
    }
    assert.equal(verifyNative(job), true);
  });
});

function plusL(signature: Uint8Array): Uint8Array {
  let s = 0n;
  for (const byte of signature.slice(32).reverse()) s = s * 256n + BigInt(byte);
  let sum = s + L;
  const bytes = Uint8Array.from(signature);
  for (let i = 32; i < 64; i++) {
    bytes[i] = Number(sum % 256n);
    sum /= 256n;
  }
  return bytes;
}

describe('SigningKey', () => {
  it('makes the key and signature of RFC 8032, test 2', () => {
    const key = SigningKey.fromSeed(
      decodeHex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb'),
    );
    assert.equal(
      encodeHex(key.publicKey),
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    );
    assert.equal(
      encodeHex(key.sign(Uint8Array.of(0x72))),
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
        '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    );
  });

  it('comes back from its seed', () => {
    const key = SigningKey.generate();
    assert.deepEqual(SigningKey.fromSeed(key.seed).publicKey, key.publicKey);
    assert.notDeepEqual(SigningKey.generate().publicKey, key.publicKey);
  });

  it('does not show its secret when it is printed', () => {
    const key = SigningKey.fromSeed(new Uint8Array(32).fill(9));
    assert.equal(JSON.stringify(key).includes('seed'), false);
    assert.equal(Object.keys(key).join(), 'publicKey');
  });

  it('refuses a seed of another length', () => {
    assert.throws(() => SigningKey.fromSeed(new Uint8Array(31)), { name: 'AssertionError' });
  });
});
