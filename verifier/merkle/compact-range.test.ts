import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { naiveRoot, testLeaves } from '../../fixtures/naive-tree.ts';
import { encodeHex } from '../encoding.ts';
import { CompactRange, foldRight } from './compact-range.ts';
import { EMPTY_ROOT, type Hash, leafHash, nodeHash } from './hash.ts';

function rangeOf(leaves: readonly Hash[]): CompactRange {
  return leaves.reduce((range, leaf) => range.append(leaf), CompactRange.EMPTY);
}

describe('leafHash and nodeHash', () => {
  const rows: readonly [string, Hash, string][] = [
    [
      'the empty tree',
      EMPTY_ROOT,
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    ],
    // Of the test vectors of certificate transparency.
    [
      'an empty leaf',
      leafHash(new Uint8Array(0)),
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    ],
    [
      'two leaves',
      nodeHash(leafHash(new Uint8Array(0)), leafHash(Uint8Array.of(0))),
      'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    ],
  ];
  for (const [what, hash, hex] of rows)
    it(`hash ${what}`, () => assert.equal(encodeHex(hash), hex));
});

describe('CompactRange', () => {
  it('has the root of the tree at every size', () => {
    const leaves = testLeaves(150);
    let range = CompactRange.EMPTY;
    assert.deepEqual(range.root(), EMPTY_ROOT);
    for (const [i, leaf] of leaves.entries()) {
      range = range.append(leaf);
      assert.equal(range.size, i + 1);
      assert.deepEqual(
        range.root(),
        naiveRoot(leaves.slice(0, i + 1), EMPTY_ROOT),
        `size ${i + 1}`,
      );
    }
  });

  it('leaves the state that it grew from unchanged', () => {
    const [leaf = EMPTY_ROOT] = testLeaves(1);
    const before = rangeOf(testLeaves(7));
    const root = before.root();
    const bytes = before.toBytes();
    before.append(leaf).append(leaf);
    assert.equal(before.size, 7);
    assert.deepEqual(before.root(), root);
    assert.deepEqual(before.toBytes(), bytes);
    assert.equal(CompactRange.EMPTY.size, 0);
  });

  it('tells each perfect node once, leaves first', () => {
    const leaves = testLeaves(21);
    const seen = new Map<string, Hash>();
    let range = CompactRange.EMPTY;
    for (const leaf of leaves) {
      range = range.append(leaf, (level, index, hash) => {
        assert.equal(seen.has(`${level} ${index}`), false, `node ${level} ${index} comes once`);
        seen.set(`${level} ${index}`, hash);
      });
    }
    let expected = 0;
    for (let level = 0; 2 ** level <= 21; level++) {
      for (let index = 0; (index + 1) * 2 ** level <= 21; index++) {
        const below = leaves.slice(index * 2 ** level, (index + 1) * 2 ** level);
        assert.deepEqual(seen.get(`${level} ${index}`), naiveRoot(below, EMPTY_ROOT));
        expected += 1;
      }
    }
    assert.equal(seen.size, expected);
  });

  it('comes back from its bytes at every size', () => {
    for (let size = 0; size <= 40; size++) {
      const range = rangeOf(testLeaves(size));
      const restored = CompactRange.fromBytes(size, range.toBytes());
      assert.deepEqual(restored.root(), range.root(), `size ${size}`);
      const [leaf = EMPTY_ROOT] = testLeaves(1);
      assert.deepEqual(restored.append(leaf).root(), range.append(leaf).root(), `size ${size}`);
    }
  });

  it('does not change with the buffer it was read from', () => {
    const bytes = rangeOf(testLeaves(3)).toBytes();
    const range = CompactRange.fromBytes(3, bytes);
    const root = range.root();
    bytes.fill(0);
    assert.deepEqual(range.root(), root);
  });

  const seven = rangeOf(testLeaves(7)).toBytes();
  const refused: readonly [string, number, Uint8Array][] = [
    ['too few hashes', 7, seven.subarray(32)],
    ['half a hash', 7, seven.subarray(16)],
    ['too many hashes', 6, seven],
    ['hashes of no leaves', 0, seven],
    ['a negative size', -1, new Uint8Array(0)],
    ['a fraction', 0.5, new Uint8Array(0)],
    ['a size of 2^53', 2 ** 53, seven.subarray(0, 32)],
  ];
  for (const [why, size, bytes] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => CompactRange.fromBytes(size, bytes), { code: 'TILE_MALFORMED' });
    });
  }

  it('counts beyond 2^32 leaves', () => {
    const [a = EMPTY_ROOT, b = EMPTY_ROOT] = testLeaves(2);
    // 2^40 leaves, then one more.
    const range = CompactRange.fromBytes(2 ** 40, a).append(b);
    assert.equal(range.size, 2 ** 40 + 1);
    assert.deepEqual(range.root(), nodeHash(a, b));
  });

  it('takes nothing but a hash', () => {
    assert.throws(() => CompactRange.EMPTY.append(new Uint8Array(31)), { name: 'AssertionError' });
  });
});

describe('foldRight', () => {
  it('has no node above nothing', () => assert.equal(foldRight([]), undefined));
});
