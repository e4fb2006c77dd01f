import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { mapInner, mapLeaf, type MapNode } from '../../verifier/map/node.ts';
import { NodeCache } from './node-cache.ts';

const NODES: readonly MapNode[] = Array.from({ length: 40 }, (_, i) =>
  i % 2 === 0
    ? mapLeaf(new Uint8Array(32).fill(i), Uint8Array.of(i))
    : mapInner(i, new Uint8Array(32).fill(i), new Uint8Array(32)),
);

describe('NodeCache', () => {
  it('has the node that was asked for or none, and the last one that came', () => {
    const step = fc.record({ add: fc.boolean(), i: fc.nat(NODES.length - 1) });
    fc.assert(
      fc.property(fc.constantFrom(1, 3, 8, 15, 16), fc.array(step), (bits, steps) => {
        const cache = new NodeCache(bits);
        const added = new Set<MapNode>();
        for (const { add, i } of steps) {
          const node = NODES[i];
          assert.ok(node, 'one of the list');
          if (add) {
            cache.add(node);
            added.add(node);
          }
          // By other bytes than the node's own.
          const found = cache.get(Uint8Array.from(node.hash));
          assert.ok(found === undefined || (found === node && added.has(node)), `${i}`);
          assert.ok(!add || found === node, `${i} has just come`);
        }
      }),
    );
  });

  it('keeps what came until it is told to forget', () => {
    const cache = new NodeCache(16);
    for (let life = 0; life < 2; life++) {
      for (const node of NODES) assert.equal(cache.get(node.hash), undefined, 'not yet');
      for (const node of NODES) cache.add(node);
      for (const node of NODES) assert.equal(cache.get(node.hash), node, 'places of their own');
      cache.forget();
    }
  });

  it('keeps one node in a place', () => {
    const cache = new NodeCache(1);
    for (const node of NODES) cache.add(node);
    const kept = NODES.filter(({ hash }) => cache.get(hash) !== undefined);
    assert.equal(kept.length, 2);
  });
});
