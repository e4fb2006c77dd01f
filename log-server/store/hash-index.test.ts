import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { encodeHex } from '../../verifier/encoding.ts';
import { HashIndex } from './hash-index.ts';

/** Many of them share their first four bytes: they meet in one slot. */
const hashes = fc
  .tuple(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.constantFrom(0, 1, 255),
    fc.constantFrom(0, 1, 7, 255),
  )
  .map(([first, word, last]) => {
    const hash = new Uint8Array(32);
    if (word === 0) hash.set(first);
    else hash.fill(word, 0, 4);
    hash[31] = last;
    return hash;
  });

describe('HashIndex', () => {
  it('gives positions as a map of texts does, however much room it began with', () => {
    const list = fc.array(hashes, { maxLength: 200 });
    fc.assert(
      fc.property(list, list, fc.constantFrom(0, 1, 7, 8, 100, 1000), (added, others, room) => {
        const index = new HashIndex(room);
        const expected = new Map<string, number>();
        for (const hash of added) {
          const key = encodeHex(hash);
          const position = expected.get(key) ?? expected.size;
          expected.set(key, position);
          assert.equal(index.add(hash), position, 'added');
        }
        assert.equal(index.count, expected.size);
        for (const [key, position] of expected) {
          assert.equal(encodeHex(index.hash(position)), key, 'at its position');
        }
        for (const hash of [...added, ...others]) {
          const found = index.find(Uint8Array.from(hash));
          assert.equal(found, expected.get(encodeHex(hash)), 'found');
        }
      }),
    );
  });

  it('reads a hash out of the middle of bytes', () => {
    const index = new HashIndex();
    const bytes = Uint8Array.from({ length: 96 }, (_, i) => i);
    assert.equal(index.add(bytes, 32), 0);
    assert.equal(index.find(bytes.slice(32, 64)), 0);
    assert.equal(index.find(bytes.slice(0, 32)), undefined);
    assert.throws(() => index.add(bytes, 65), /32 bytes/);
  });

  it('finds thousands', () => {
    const index = new HashIndex();
    const all = Array.from({ length: 10_000 }, (_, i) => {
      const hash = new Uint8Array(32);
      new DataView(hash.buffer).setUint32(i % 2 === 0 ? 0 : 20, i);
      return hash;
    });
    for (const [i, hash] of all.entries()) assert.equal(index.add(hash), i);
    for (const [i, hash] of all.entries()) assert.equal(index.find(hash), i);
  });
});

describe('inOrder', () => {
  it('orders by the first four bytes, and loses nothing', () => {
    fc.assert(
      fc.property(fc.array(hashes), (all) => {
        const index = new HashIndex();
        for (const hash of all) index.add(hash);
        const positions = [...index.inOrder()];
        const words = positions.map((one) => encodeHex(index.hash(one).subarray(0, 4)));
        assert.deepEqual(words, words.toSorted());
        const every = Array.from({ length: index.count }, (_, i) => i);
        assert.deepEqual(
          positions.toSorted((a, b) => a - b),
          every,
        );
      }),
    );
  });
});
