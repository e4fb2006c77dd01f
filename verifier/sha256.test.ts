import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import { sha256 as noble } from '@noble/hashes/sha2.js';

import { utf8 } from './bytes.ts';
import { encodeHex } from './encoding.ts';
import { sha256, sha256Hex } from './sha256.ts';

describe('sha256', () => {
  // FIPS 180-4 examples (NIST CAVP, SHA256ShortMsg and the two-block message).
  for (const [why, input, expected] of [
    ['nothing', '', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['one block', 'abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    [
      'two blocks',
      'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    ],
  ] as const) {
    it(`is that of the standard: ${why}`, () => {
      assert.equal(encodeHex(sha256(utf8(input))), expected);
    });
  }

  it('is the same function on both back ends, at every length up to three blocks and beyond', () => {
    const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => (i * 131) & 0xff);
    const lengths = [...Array.from({ length: 200 }, (_, i) => i), 4096, 65_535, 70_000];
    for (const length of lengths) {
      const input = bytes.subarray(0, length);
      const expected = createHash('sha256').update(input).digest('hex');
      assert.equal(encodeHex(sha256(input)), expected, `${length} bytes`);
      assert.equal(sha256Hex(input), expected, `${length} bytes, as text`);
      assert.equal(encodeHex(noble(input)), expected, `${length} bytes, noble`);
    }
  });

  it('reads a view, not the buffer below it', () => {
    const whole = utf8('xxabcxx');
    assert.deepEqual(sha256(whole.subarray(2, 5)), sha256(utf8('abc')));
  });

  it('gives a plain array that is the caller’s own', () => {
    const first = sha256(utf8('abc'));
    assert.equal(Object.getPrototypeOf(first), Uint8Array.prototype);
    assert.equal(first.buffer.byteLength, 32);
    first.fill(0);
    assert.notDeepEqual(sha256(utf8('abc')), first);
  });
});
