import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { concat, utf8 } from '../../verifier/bytes.ts';
import { CompactRange } from '../../verifier/merkle/compact-range.ts';
import { leafHash } from '../../verifier/merkle/hash.ts';
import { isEdgeTile, leafHashOf, perfectRoots } from './tile-check.ts';

const LEAVES = Array.from({ length: 600 }, (_, i) => leafHash(utf8(`leaf ${i}`)));

function edgeOf(size: number): CompactRange {
  let range = CompactRange.EMPTY;
  for (const leaf of LEAVES.slice(0, size)) range = range.append(leaf);
  return range;
}

function rootOf(start: number, end: number): Uint8Array {
  let range = CompactRange.EMPTY;
  for (const leaf of LEAVES.slice(start, end)) range = range.append(leaf);
  return range.root();
}

describe('tiles', () => {
  it('have leaves hashed as RFC 6962 says', () => {
    for (const text of ['', 'a', 'x'.repeat(1000)]) {
      assert.deepEqual(leafHashOf(utf8(text)), leafHash(utf8(text)));
    }
  });

  it('fold to the roots of their perfect subtrees', () => {
    for (const size of [1, 2, 3, 4, 5, 7, 8, 100, 127, 255, 256]) {
      assert.deepEqual(perfectRoots(concat(...LEAVES.slice(0, size))), edgeOf(size).hashes);
    }
  });

  const sizes: readonly number[] = [1, 2, 3, 7, 100, 255, 257, 300, 511, 513, 600];
  for (const size of sizes) {
    it(`that grow are known by the right edge of ${size} leaves`, () => {
      const edge = edgeOf(size);
      const start = size - (size % 256);
      const tile = concat(...LEAVES.slice(start, size));
      assert.ok(isEdgeTile(tile, 0, edge));
      for (let at = 0; at < tile.length; at += 17) {
        const changed = Uint8Array.from(tile);
        changed[at] = (changed[at] ?? 0) ^ 1;
        assert.ok(!isEdgeTile(changed, 0, edge), `byte ${at}`);
      }
      // Parts of it, from either end, and more than there is.
      for (let cut = 32; cut < tile.length; cut += 32) {
        assert.ok(!isEdgeTile(tile.subarray(cut), 0, edge), `without its first ${cut} bytes`);
        assert.ok(!isEdgeTile(tile.subarray(0, -cut), 0, edge), `without its last ${cut} bytes`);
      }
      assert.ok(!isEdgeTile(concat(tile, rootOf(0, 1)), 0, edge), 'with one hash more');
      assert.ok(!isEdgeTile(tile, 1, edge), 'on another level');
    });
  }

  it('of the level above are known by the same edge', () => {
    const tile = concat(rootOf(0, 256), rootOf(256, 512));
    assert.ok(isEdgeTile(tile, 1, edgeOf(600)));
    assert.ok(!isEdgeTile(tile.subarray(0, 32), 1, edgeOf(600)));
    assert.ok(!isEdgeTile(tile, 1, edgeOf(300)));
  });
});
