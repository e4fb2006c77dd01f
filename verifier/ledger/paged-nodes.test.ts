import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { numbersFrom } from '../../fixtures/any-statements.ts';
import { PagesInMemory } from '../../fixtures/pages-in-memory.ts';
import { utf8 } from '../bytes.ts';
import { encodeHex } from '../encoding.ts';
import { EMPTY_MAP_ROOT, type MapNode } from '../map/node.ts';
import { lookupMap, updateMap, type MapChange } from '../map/trie.ts';
import type { Hash } from '../merkle/hash.ts';
import { PagePool } from '../paging/pages.ts';
import { sha256 } from '../sha256.ts';
import { PagedNodes } from './paged-nodes.ts';

const KEYS = 400;
const KNOWN_MAX = 50;

function keyOf(n: number): Uint8Array {
  return sha256(utf8(`key ${n}`));
}

describe('PagedNodes', () => {
  it('follows a map from update to update, and remembers no more than it may', () => {
    const next = numbersFrom(5);
    const pool = new PagePool(4, new PagesInMemory());
    const paged = new PagedNodes(pool, KNOWN_MAX);
    // All nodes that there ever were, by hash.
    const plain = new Map<string, MapNode>();
    const plainNodes = { get: (hash: Hash) => plain.get(encodeHex(hash)) };
    const values = new Map<number, string>();
    let root = EMPTY_MAP_ROOT;
    for (let round = 0; round < 150; round++) {
      const changes: MapChange[] = [];
      for (let i = next(8); i >= 0; i--) {
        const key = next(KEYS);
        // Values of all lengths: a slot of another leaf's may not fit.
        values.set(key, `${round} ${'x'.repeat(next(200))}`);
        changes.push({ key: keyOf(key), value: utf8(values.get(key) ?? '') });
      }
      const update = updateMap(paged, root, changes);
      const expected = updateMap(plainNodes, root, changes);
      assert.deepEqual(update, expected);
      for (const node of expected.added) plain.set(encodeHex(node.hash), node);
      root = expected.root;
      paged.apply(update);
      assert.equal(paged.count, 2 * values.size - 1);
      assert.ok(paged.remembered <= KNOWN_MAX, `${paged.remembered} nodes are remembered`);
      const key = next(KEYS);
      const value = values.get(key);
      assert.deepEqual(lookupMap(paged, root, keyOf(key)), value && utf8(value));
    }
    // What was replaced has given its room back: nodes of some 300 keys, a third of a kilobyte for each key.
    assert.ok(pool.pagesInFile < 40, `${pool.pagesInFile} pages for ${values.size} keys`);
  });
});
