import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import Sqlite from 'better-sqlite3';

import { utf8 } from '../../verifier/bytes.ts';
import { EMPTY_MAP_ROOT, mapLeaf } from '../../verifier/map/node.ts';
import { lookupMap, updateMap } from '../../verifier/map/trie.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { sha256 } from '../../verifier/sha256.ts';
import { DamagedStoreError } from './damage.ts';
import { MapTables, type FoldBounds } from './map-tables.ts';
import { packNodes } from './packed-nodes.ts';
import { SCHEMA } from './schema.ts';

const keyOf = (i: number): Uint8Array => sha256(utf8(`key ${i}`));

/** Each checkpoint begins to bring what is due into the table. */
const AT_ONCE: FoldBounds = { bytes: 0, count: 0, bytesMax: Number.MAX_SAFE_INTEGER };

/** Nothing of it stays in memory. */
const SPILLING: FoldBounds = { bytes: 0, count: 0, bytesMax: 0 };

/** A node that no test's map has. */
const OTHER = mapLeaf(sha256(utf8('other')), utf8('a'));

/** Nothing is brought into the table. */
const NEVER: FoldBounds = {
  bytes: Number.MAX_SAFE_INTEGER,
  count: Number.MAX_SAFE_INTEGER,
  bytesMax: Number.MAX_SAFE_INTEGER,
};

/** A map in the tables, changed height by height, and read without what the tables remember. */
class World {
  readonly database = new Sqlite(':memory:');
  tables: MapTables;
  root: Hash = EMPTY_MAP_ROOT;
  height = 0;

  constructor(bounds: FoldBounds) {
    this.database.exec(SCHEMA);
    this.tables = new MapTables(this.database, bounds);
  }

  /** Gives keys `from` to `from + count - 1` a value. @returns the height */
  set(count: number, value: string, from = 0): number {
    const changes = Array.from({ length: count }, (_, i) => ({
      key: keyOf(from + i),
      value: utf8(value),
    }));
    const update = updateMap(this.tables, this.root, changes);
    this.height += 1;
    this.tables.apply(update, this.height);
    this.root = update.root;
    return this.height;
  }

  /** As another process would read it. */
  reopen(bounds: FoldBounds): void {
    this.tables = new MapTables(this.database, bounds);
  }

  /** Checkpoints, until nothing is left to be brought into the table. */
  settle(height: number): void {
    do this.tables.prune(height);
    while (this.tables.waiting() > 0);
  }

  /** Every key of `count` has this value. */
  check(count: number, value: string, root = this.root, from = 0): void {
    for (let i = from; i < from + count; i++) {
      const found = lookupMap(this.tables, root, keyOf(i));
      assert.deepEqual(found && Buffer.from(found).toString(), value, `key ${i}`);
    }
  }

  rows(table: string): unknown {
    return this.database.prepare(`SELECT count(*) FROM ${table}`).pluck().get();
  }
}

const WAYS: readonly (readonly [string, FoldBounds])[] = [
  ['batches together', AT_ONCE],
  ['each batch on its own', SPILLING],
];

describe('MapTables', () => {
  for (const [way, bounds] of WAYS) {
    // Fewer than one statement takes, exactly as many, and more; and more than one checkpoint takes.
    for (const count of [1, 16, 31, 32, 33, 64, 100, 1500]) {
      it(`writes ${count} values, ${way}, and deletes what they replace`, () => {
        const world = new World(bounds);
        world.set(count, 'a');
        world.tables.forget();
        const height = world.set(count, 'b');
        world.tables.forget();
        world.check(count, 'b');
        world.reopen(AT_ONCE);
        world.settle(height);
        world.tables.forget();
        world.check(count, 'b');
        assert.equal(
          world.tables.count(),
          2 * count - 1,
          'nothing else is left of a map of that size',
        );
        assert.equal(world.rows('map_changes'), 0);
        assert.equal(world.rows('obsolete_map_nodes'), 0);
      });

      for (const life of ['in one life', 'in another life']) {
        it(`keeps the nodes of ${count} values that come back ${life}, ${way}, before they are deleted`, () => {
          const world = new World(bounds);
          world.set(count, 'a');
          if (bounds === AT_ONCE) world.settle(1);
          world.set(count, 'b');
          const height = world.set(count, 'a');
          if (bounds === SPILLING || life === 'in another life') world.reopen(AT_ONCE);
          world.settle(height);
          world.tables.forget();
          world.check(count, 'a');
          assert.equal(world.tables.count(), 2 * count - 1);
        });
      }
    }
  }

  it('writes no node that a later batch replaced', () => {
    const world = new World(AT_ONCE);
    const first = world.set(8, 'a');
    world.settle(first);
    const before = world.rows('map_nodes');
    let written = 0;
    world.database.function('wrote', () => void (written += 1));
    world.database.exec(
      'CREATE TRIGGER t AFTER INSERT ON map_nodes BEGIN SELECT wrote(); END;' +
        'CREATE TRIGGER u AFTER DELETE ON map_nodes BEGIN SELECT wrote(); END',
    );
    for (const value of ['b', 'c', 'd', 'e']) world.set(8, value);
    world.settle(world.height);
    world.check(8, 'e');
    assert.equal(written, 2 * 15, 'fifteen nodes come and fifteen go, whatever was in between');
    assert.equal(world.rows('map_nodes'), before);
  });

  it('keeps what an older checkpoint needs', () => {
    for (const [way, bounds] of WAYS) {
      const world = new World(bounds);
      world.set(100, 'a');
      const height = world.set(100, 'b');
      const { root } = world;
      world.set(50, 'c');
      world.set(50, 'd', 20);
      for (let i = 0; i < 5; i++) world.tables.prune(height);
      world.tables.forget();
      world.check(100, 'b', root);
      world.check(20, 'c');
      world.check(50, 'd', world.root, 20);
      world.check(30, 'b', world.root, 70);
      assert.equal(world.rows('map_changes'), bounds === SPILLING ? 1 : 2, way);
    }
  });

  // A process that ends while a part is in the table, and is followed by one that spills, or does not.
  for (const [way, bounds] of WAYS) {
    for (const parts of [1, 2, 3]) {
      it(`goes on after ${parts} parts, when an earlier life was ended there: ${way}`, () => {
        const world = new World(AT_ONCE);
        const count = 3000;
        world.set(count, 'a');
        world.settle(1);
        world.set(count, 'b');
        world.set(1000, 'c');
        for (let i = 0; i < parts; i++) world.tables.prune(world.height);
        assert.equal(world.tables.waiting(), 2, 'it is under way');
        world.reopen(bounds);
        world.check(1000, 'c');
        world.check(2000, 'b', world.root, 1000);
        // What was brought into the table is replaced, and what was deleted comes back.
        world.set(count, 'a');
        world.set(500, 'd');
        world.reopen(AT_ONCE);
        world.settle(world.height);
        world.tables.forget();
        world.check(500, 'd');
        world.check(count - 500, 'a', world.root, 500);
        assert.equal(world.tables.count(), 2 * count - 1);
      });
    }
  }

  // A replica that hears of no checkpoint for a while in the middle of it. Giving it up, to begin it again with the
  // next checkpoint, made every batch pay for a whole fold as soon as a log had some thousand releases.
  it('ends what is under way when memory is full, before anything has to go without a checkpoint', () => {
    const count = 3000;
    for (const parts of [1, 2, 3]) {
      const world = new World({ bytes: 0, count: 0, bytesMax: 1_500_000 });
      world.set(count, 'a');
      world.settle(1);
      world.set(count, 'b');
      const height = world.set(count, 'c');
      for (let i = 0; i < parts; i++) world.tables.prune(height);
      assert.equal(world.rows('map_changes'), 2, 'it is under way');
      world.set(count, 'a');
      assert.equal(world.rows('map_changes'), 1, 'it is done');
      assert.equal(world.rows('obsolete_map_nodes'), 0, 'and with it what it replaced');
      for (const value of ['b', 'c', 'b']) world.set(count, value);
      assert.equal(world.rows('map_changes'), 2, 'the oldest two had to go');
      assert.notEqual(world.rows('obsolete_map_nodes'), 0);
      world.set(1000, 'e');
      world.settle(world.height);
      world.tables.forget();
      world.check(1000, 'e');
      world.check(count - 1000, 'b', world.root, 1000);
      assert.equal(world.tables.count(), 2 * count - 1);
      assert.equal(world.rows('obsolete_map_nodes'), 0);
    }
  });

  it('waits until there is enough of it', () => {
    const world = new World({ ...NEVER, bytes: 60_000 });
    let height = 0;
    for (let i = 0; world.rows('map_changes') === i; i++) {
      world.tables.prune(height);
      height = world.set(100, `${i}`);
      assert.ok(i < 100, 'it begins at last');
    }
    const counted = new World({ ...NEVER, count: 3 });
    for (const [value, changes] of [
      ['a', 1],
      ['b', 2],
      ['c', 0],
    ] as const) {
      counted.tables.prune(counted.set(1, value));
      assert.equal(counted.rows('map_changes'), changes);
    }
  });

  it('reads of what it remembers as of what is stored', () => {
    const world = new World(NEVER);
    const changes = [{ key: keyOf(1), value: utf8('a') }];
    const update = updateMap(world.tables, EMPTY_MAP_ROOT, changes);
    world.tables.apply(update, 1);
    const [node] = update.added;
    assert.ok(node !== undefined, 'one leaf');
    assert.equal(world.tables.get(node.hash), node);
    world.tables.forget();
    assert.deepEqual(world.tables.get(node.hash), node);
  });

  const damages: readonly (readonly [why: string, added: (packed: Uint8Array) => Uint8Array])[] = [
    ['cut', (packed) => packed.subarray(0, packed.length - 1)],
    ['cut in a length', (packed) => packed.subarray(0, 1)],
    ['of no node', () => Uint8Array.of(0, 7, ...utf8('no node'))],
    ['of another node, twice', () => packNodes([OTHER, OTHER])],
    ['changed', (packed) => packed.with(10, 99)],
    ['empty', () => new Uint8Array(0)],
  ];
  for (const [why, change] of damages) {
    it(`finds that a row of changes is ${why}`, () => {
      const world = new World(NEVER);
      const update = updateMap(world.tables, EMPTY_MAP_ROOT, [{ key: keyOf(1), value: utf8('a') }]);
      world.tables.apply(update, 1);
      const packed = packNodes(update.added);
      world.database.prepare('UPDATE map_changes SET added = ?').run(change(packed));
      world.reopen(NEVER);
      assert.throws(() => world.tables.get(update.root), DamagedStoreError);
    });
  }

  it('finds the right node in a row that says another one twice', () => {
    const world = new World(NEVER);
    const update = updateMap(world.tables, EMPTY_MAP_ROOT, [
      { key: keyOf(1), value: utf8('a') },
      { key: keyOf(2), value: utf8('b') },
    ]);
    world.tables.apply(update, 1);
    const packed = packNodes([OTHER, OTHER, ...update.added]);
    world.database.prepare('UPDATE map_changes SET added = ?').run(packed);
    world.reopen(NEVER);
    for (const { hash } of update.added) assert.deepEqual(world.tables.get(hash).hash, hash);
  });
});
