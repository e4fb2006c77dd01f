import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { keyId, parsePublicKey, parsePublicKeyHex, publicKeyHex } from './ed25519.ts';
import { VerifyError } from './errors.ts';
import { decodeHex } from './encoding.ts';

// RFC 8032 section 7.1, test 1.
const KEY = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';

describe('parsePublicKey', () => {
  it('takes a key and gives it back', () => {
    assert.equal(publicKeyHex(parsePublicKey(decodeHex(KEY))), KEY);
  });

  it('copies, so that a reused buffer does not change a key', () => {
    const buffer = decodeHex(KEY);
    const key = parsePublicKey(buffer);
    buffer.fill(0);
    assert.equal(publicKeyHex(key), KEY);
  });

  const canonical: readonly [string, string][] = [
    ['the largest y that is not of small order, p - 2', `eb${'ff'.repeat(30)}7f`],
    ['a y that is below p in its second byte only', `fffe${'ff'.repeat(29)}7f`],
    ['a y that is below p in its last byte but one only', `${'ff'.repeat(30)}fe7f`],
    ['a y that is below p in its last byte only', `${'ff'.repeat(31)}7e`],
  ];
  for (const [what, hex] of canonical) {
    it(`takes ${what}`, () => assert.equal(publicKeyHex(parsePublicKey(decodeHex(hex))), hex));
  }

  const refused: readonly [string, string][] = [
    ['nothing', ''],
    ['31 bytes', KEY.slice(2)],
    ['33 bytes', `${KEY}00`],
    ['the identity, which verifies every message under OpenSSL', `01${'00'.repeat(31)}`],
    ['the identity with the other sign', `01${'00'.repeat(30)}80`],
    ['the point of order 2', `ec${'ff'.repeat(30)}7f`],
    ['the point of order 2 with the other sign', `ec${'ff'.repeat(31)}`],
    ['a point of order 4', '00'.repeat(32)],
    ['the other point of order 4', `${'00'.repeat(31)}80`],
    ['order 8', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
    ['order 8', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85'],
    ['order 8', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
    ['order 8', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa'],
    ['y = p, a second spelling of 0', `ed${'ff'.repeat(30)}7f`],
    ['y = p + 1, a second spelling of the identity', `ee${'ff'.repeat(30)}7f`],
    ['y = p + 3, a second spelling of a good y', `f0${'ff'.repeat(30)}7f`],
    ['y = 2^255 - 1', `${'ff'.repeat(31)}7f`],
    ['y = 2^255 - 1 with the other sign', 'ff'.repeat(32)],
  ];
  for (const [why, hex] of refused) {
    it(`refuses ${why} (${hex.slice(0, 4)}…${hex.slice(-2)})`, () => {
      assert.throws(() => parsePublicKey(decodeHex(hex)), { code: 'KEY_MALFORMED' });
    });
  }
});

describe('keyId', () => {
  it('is SHA-256 of the raw key in hex', () => {
    assert.equal(
      keyId(parsePublicKey(decodeHex(KEY))),
      '21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9',
    );
  });
});

describe('parsePublicKeyHex', () => {
  it('gives the same key as its bytes do, under the same text', () => {
    const key = parsePublicKeyHex(KEY);
    assert.deepEqual(key, parsePublicKey(decodeHex(KEY)));
    assert.equal(publicKeyHex(key), KEY);
    assert.equal(keyId(key), keyId(parsePublicKey(decodeHex(KEY))));
  });

  const refused: readonly (readonly [why: string, text: string, code: string])[] = [
    ['capital letters, a second text of the key', KEY.toUpperCase(), 'ENCODING_MALFORMED'],
    ['a byte too few', KEY.slice(2), 'ENCODING_MALFORMED'],
    ['a byte too many', `${KEY}00`, 'ENCODING_MALFORMED'],
    ['a point of small order', '01'.padEnd(64, '0'), 'KEY_MALFORMED'],
  ];
  for (const [why, text, code] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(
        () => parsePublicKeyHex(text),
        (error) => error instanceof VerifyError && error.code === code,
      );
    });
  }
});
