import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { encodeHex } from '../../verifier/encoding.ts';
import { mapInner, mapLeaf, type MapNode } from '../../verifier/map/node.ts';
import type { MapNodes } from '../../verifier/map/trie.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { NodeCache } from './node-cache.ts';

/** A table that counts what it is asked. */
class Counting implements MapNodes {
  readonly nodes: ReadonlyMap<string, MapNode>;
  asked = 0;

  constructor(nodes: readonly MapNode[]) {
    this.nodes = new Map(nodes.map((node) => [encodeHex(node.hash), node]));
  }

  get(hash: Hash): MapNode | undefined {
    this.asked += 1;
    return this.nodes.get(encodeHex(hash));
  }
}

const NODES: readonly MapNode[] = Array.from({ length: 40 }, (_, i) =>
  i % 2 === 0
    ? mapLeaf(new Uint8Array(32).fill(i), Uint8Array.of(i))
    : mapInner(i, new Uint8Array(32).fill(i), new Uint8Array(32)),
);

describe('NodeCache', () => {
  it('answers as its table does, whatever shares a place', () => {
    const step = fc.record({ add: fc.boolean(), i: fc.nat(NODES.length - 1) });
    fc.assert(
      fc.property(fc.constantFrom(1, 3, 8, 15, 16), fc.array(step), (bits, steps) => {
        // The table lacks the last ten.
        const table = new Counting(NODES.slice(0, 30));
        const cache = new NodeCache(table, bits);
        for (const { add, i } of steps) {
          const node = NODES[i];
          assert.ok(node, 'one of the list');
          if (add && i < 30) cache.add([node]);
          // By other bytes than the node's own.
          const found = cache.get(Uint8Array.from(node.hash));
          assert.equal(found, i < 30 ? node : undefined, `${i}`);
        }
      }),
    );
  });

  it('asks its table once, and not at all for what a batch has made', () => {
    const table = new Counting(NODES);
    const cache = new NodeCache(table, 16);
    const [first, second] = NODES;
    assert.ok(first && second, 'two nodes');
    cache.add([first]);
    for (let i = 0; i < 3; i++) for (const { hash } of [first, second]) cache.get(hash);
    assert.equal(table.asked, 1);
    cache.forget();
    cache.get(first.hash);
    assert.equal(table.asked, 2, 'forgotten');
  });

  it('keeps one node in a place', () => {
    const table = new Counting(NODES);
    const cache = new NodeCache(table, 1);
    for (const { hash } of NODES) cache.get(hash);
    table.asked = 0;
    for (const { hash } of NODES.toReversed()) cache.get(hash);
    assert.ok(table.asked >= NODES.length - 2, `${table.asked} of ${NODES.length} asked again`);
  });
});
