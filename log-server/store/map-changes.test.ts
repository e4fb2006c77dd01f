import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { equalBytes } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { mapLeaf, type MapNode } from '../../verifier/map/node.ts';
import { MapChange, MapChanges, type Fold } from './map-changes.ts';
import { packHashes, packNodes } from './packed-nodes.ts';

/** Few, so that nodes go and come back. */
const NODES: readonly MapNode[] = Array.from({ length: 12 }, (_, i) =>
  mapLeaf(new Uint8Array(32).fill(i), Uint8Array.of(i)),
);

const ALL = Number.MAX_SAFE_INTEGER;

type Step =
  | { readonly toggle: readonly number[] }
  | { readonly prepare: number; readonly countMax: number }
  | { readonly fold: boolean }
  | { readonly foldBack: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ toggle: fc.uniqueArray(fc.nat(NODES.length - 1)) }) },
  {
    weight: 3,
    arbitrary: fc.record({ prepare: fc.nat(4), countMax: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 2, arbitrary: fc.record({ fold: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ foldBack: fc.nat(6) }) },
);

/** Changes of maps that are sets of nodes, beside these sets. */
class World {
  readonly changes = new MapChanges();
  /** The map of each height. */
  readonly maps: ReadonlySet<MapNode>[] = [new Set()];
  readonly table = new Map<string, Uint8Array>();
  /** Given out, and not in the table. */
  #fold: Fold | undefined;
  #tableHeight = 0;

  get height(): number {
    return this.maps.length - 1;
  }

  run(one: Step): void {
    if ('toggle' in one) this.#toggle(one.toggle);
    else if ('prepare' in one) this.#prepare(this.height - one.prepare, one.countMax);
    else if ('foldBack' in one) this.#take(() => this.changes.foldUpTo(this.height - one.foldBack));
    else if (one.fold) this.#take(() => this.changes.fold());
    else this.bringIn();
    this.check();
  }

  #toggle(which: readonly number[]): void {
    const map = new Set(this.maps.at(-1));
    const [added, removed]: [MapNode[], MapNode[]] = [[], []];
    for (const node of which.flatMap((i) => NODES[i] ?? [])) {
      if (map.delete(node)) removed.push(node);
      else added.push(node);
    }
    for (const node of added) map.add(node);
    this.maps.push(map);
    const hashes = packHashes(added.map(({ hash }) => hash));
    const gone = packHashes(removed.map(({ hash }) => hash));
    this.changes.add(new MapChange(this.height, hashes, packNodes(added), gone));
  }

  #prepare(heightMax: number, countMax: number): void {
    const ready = this.changes.prepare(heightMax, countMax);
    assert.ok((ready?.count ?? 0) <= this.changes.count, 'no more than there are');
  }

  // One at a time, as their owner has them.
  #take(take: () => Fold | undefined): void {
    if (this.#fold === undefined) this.#fold = take();
  }

  bringIn(): void {
    const fold = this.#fold;
    if (fold === undefined) return;
    for (const { hash, bytes } of fold.rows(0, fold.rowCount)) {
      if (bytes === undefined) this.table.delete(encodeHex(hash));
      else this.table.set(encodeHex(hash), bytes);
    }
    this.#tableHeight = fold.height;
    this.changes.dropFold();
    this.#fold = undefined;
  }

  check(): void {
    const names = (nodes: Iterable<MapNode>): readonly string[] =>
      Array.from(nodes, ({ hash }) => encodeHex(hash)).toSorted();
    const expected = names(this.maps[this.#tableHeight] ?? []);
    assert.deepEqual([...this.table.keys()].toSorted(), expected, 'the table');
    for (let height = this.#tableHeight; height <= this.height; height++) {
      for (const node of this.maps[height] ?? []) {
        const found = this.changes.node(node.hash);
        const isThere = found !== undefined || this.table.has(encodeHex(node.hash));
        assert.ok(isThere, `a node of map ${height}`);
        // Its hash was made of what was read.
        if (found !== undefined) assert.ok(equalBytes(found.hash, node.hash), 'another node');
      }
    }
  }
}

describe('MapChanges', () => {
  it('brings into a table what the map of that height has, however it was prepared', () => {
    fc.assert(
      fc.property(fc.array(step, { size: '+1' }), (steps) => {
        const world = new World();
        for (const one of steps) world.run(one);
        world.bringIn();
        world.run({ foldBack: 0 });
        world.bringIn();
        world.check();
        assert.equal(world.changes.count, 0);
        assert.equal(world.changes.bytes, 0);
      }),
    );
  });

  it('prepares no more at once than it is told, and says when nothing is left', () => {
    const world = new World();
    for (let i = 0; i < 5; i++) world.run({ toggle: [i] });
    assert.equal(world.changes.prepare(5, 2), undefined);
    assert.equal(world.changes.prepare(5, 2), undefined);
    const ready = world.changes.prepare(5, 2);
    assert.equal(ready?.count, 5);
    assert.equal(ready?.bytes, world.changes.bytes);
    assert.equal(world.changes.fold()?.height, 5);
    assert.equal(world.changes.prepare(5, 2)?.count, 0);
  });

  it('folds no further than it is told, whatever is prepared', () => {
    const world = new World();
    for (let i = 0; i < 5; i++) world.run({ toggle: [i] });
    assert.equal(world.changes.prepare(5, ALL)?.count, 5);
    assert.equal(world.changes.prepare(3, ALL), undefined);
    assert.equal(world.changes.foldUpTo(3)?.height, 3);
    world.changes.dropFold();
    assert.equal(world.changes.count, 2);
    assert.equal(world.changes.prepare(5, ALL)?.count, 2);
  });
});
