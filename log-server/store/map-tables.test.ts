import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import Sqlite from 'better-sqlite3';
import * as fc from 'fast-check';

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

  /** Checkpoints, until nothing is left to be brought into the table or to be deleted from it. */
  settle(height: number): void {
    do this.tables.prune(height);
    while (this.tables.waiting() > 0 || this.rows('obsolete_map_nodes') !== 0);
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
      world.tables.serve(height);
      const { root } = world;
      world.set(50, 'c');
      world.set(50, 'd', 20);
      for (let i = 0; i < 5; i++) world.tables.prune(height);
      world.tables.forget();
      world.check(100, 'b', root);
      world.check(20, 'c');
      world.check(50, 'd', world.root, 20);
      world.check(30, 'b', world.root, 70);
      assert.equal(world.rows('map_changes'), bounds === SPILLING ? 0 : 2, way);
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
      const { root } = world;
      for (let i = 0; i < parts; i++) world.tables.prune(height);
      assert.equal(world.rows('map_changes'), 2, 'it is under way');
      world.set(count, 'a');
      assert.equal(world.rows('map_changes'), 1, 'it is done');
      assert.equal(world.rows('obsolete_map_nodes'), 0, 'and with it what it replaced');
      assert.equal(world.tables.wholeFrom, height);
      for (const value of ['b', 'd', 'b']) world.set(count, value);
      assert.ok(world.tables.wholeFrom > height, 'older ones had to go');
      assert.notEqual(world.rows('obsolete_map_nodes'), 0);
      world.tables.forget();
      world.check(count, 'c', root);
      world.set(1000, 'e');
      world.settle(world.height);
      world.tables.forget();
      world.check(1000, 'e');
      world.check(count - 1000, 'b', world.root, 1000);
      assert.equal(world.tables.count(), 2 * count - 1);
      assert.equal(world.rows('obsolete_map_nodes'), 0);
    }
  });

  // A replica that catches up: it serves one checkpoint, or none, and thousands of batches come. With every map on the
  // way kept whole, each batch wrote all of its nodes and marked all that it replaced.
  it('writes no more of batches that no checkpoint passes by than what is left of them', () => {
    for (const isServing of [false, true]) {
      const count = 300;
      const world = new World({ bytes: 100_000, count: 1000, bytesMax: 1_000_000 });
      const served = world.set(count, 'a');
      const { root } = world;
      world.tables.prune(served);
      if (!isServing) world.tables.serve(undefined);
      let written = 0;
      world.database.function('wrote', () => void (written += 1));
      for (const table of ['map_nodes', 'obsolete_map_nodes']) {
        world.database.exec(
          `CREATE TRIGGER ${table}_i AFTER INSERT ON ${table} BEGIN SELECT wrote(); END;` +
            `CREATE TRIGGER ${table}_d AFTER DELETE ON ${table} BEGIN SELECT wrote(); END`,
        );
      }
      // Some thirty kilobytes each, and seven hundred in memory at a time.
      for (let i = 0; i < 100; i++) world.set(count / 2, `b ${i}`);
      assert.ok(world.tables.wholeFrom > served, 'some of them had to go');
      assert.ok(written < 10 * 2 * count, `${written} rows`);
      if (isServing) world.check(count, 'a', root);
      world.settle(world.height);
      world.tables.forget();
      world.check(count / 2, 'b 99');
      world.check(count / 2, 'a', world.root, count / 2);
      assert.equal(world.tables.count(), 2 * count - 1);
    }
  });

  for (const [way, bounds] of [
    ...WAYS,
    ['of some batches together', { ...NEVER, bytesMax: 12_000 }] as const,
  ]) {
    it(`keeps the map that somebody reads, whatever checkpoint is served by then: ${way}`, () => {
      const world = new World(bounds);
      const height = world.set(40, 'a');
      const { root } = world;
      world.tables.prune(height);
      const release = world.tables.hold(height);
      for (const value of ['b', 'c', 'd']) {
        world.tables.prune(world.set(40, value));
        world.tables.forget();
        world.check(40, 'a', root);
      }
      release();
      world.reopen(AT_ONCE);
      world.settle(world.height);
      world.check(40, 'd');
      assert.equal(world.tables.count(), 2 * 40 - 1);
    });
  }

  it('brings what is due into the table while there is nothing else to do, also what was begun and forgotten', () => {
    for (const isBegun of [true, false]) {
      const world = new World({ ...NEVER, count: 20, rowsMin: 5 });
      for (let i = 0; i < 20; i++) world.set(40, `${i}`);
      const height = world.set(40, 'z');
      world.tables.serve(height);
      if (isBegun) for (let i = 0; i < 5; i++) world.tables.prune(height);
      world.tables.forget();
      let parts = 0;
      while (world.tables.foldDue()) {
        parts += 1;
        world.check(40, 'z');
        assert.ok(parts <= 20, 'it ends');
      }
      assert.ok(parts > 2, 'in parts');
      assert.equal(world.rows('map_changes'), 0);
      world.tables.forget();
      world.check(40, 'z');
      assert.equal(world.tables.foldDue(), false);
    }
  });

  it('brings nothing into the table that is not due, or not of the checkpoint that is served', () => {
    const world = new World({ ...NEVER, count: 3 });
    const first = world.set(40, 'a');
    world.set(40, 'b');
    world.set(40, 'c');
    assert.equal(world.tables.foldDue(), false, 'nothing is served');
    world.tables.serve(first);
    world.set(40, 'd');
    assert.equal(world.tables.foldDue(), false, 'all but one are later');
    world.tables.serve(2);
    assert.equal(world.tables.foldDue(), false, 'two are not enough');
    const release = world.tables.hold(2);
    world.tables.serve(world.set(40, 'e'));
    assert.equal(world.tables.foldDue(), false, 'somebody reads the map of two');
    release();
    assert.equal(world.rows('map_changes'), 5);
    while (world.tables.foldDue());
    assert.equal(world.rows('map_changes'), 0);
    world.tables.forget();
    world.check(40, 'e');
  });

  it('keeps a map that somebody begins to read when what is folded next is prepared beyond it', () => {
    const world = new World({ ...NEVER, count: 2, rowsMin: 5 });
    world.set(40, 'a');
    world.tables.prune(world.set(40, 'b'));
    assert.equal(world.rows('map_changes'), 2, 'they are brought into the table in parts');
    world.set(40, 'c');
    const height = world.set(40, 'd');
    const { root } = world;
    const last = world.set(40, 'e');
    world.tables.prune(last);
    const release = world.tables.hold(height);
    for (let i = 0; i < 50; i++) world.tables.prune(last);
    assert.equal(world.rows('map_changes'), 3, 'the others wait');
    world.tables.forget();
    world.check(40, 'd', root);
    release();
    world.reopen(AT_ONCE);
    world.settle(last);
    world.check(40, 'e');
    assert.equal(world.tables.count(), 2 * 40 - 1);
  });

  it('deletes no node that came back after it was marked, deleted by another way, and not yet unmarked', () => {
    const count = 6000;
    const world = new World(SPILLING);
    world.set(count, 'a');
    world.tables.serve(1);
    world.set(count, 'b');
    // More than a checkpoint deletes at once.
    assert.ok(Number(world.rows('obsolete_map_nodes')) > 10_000, 'they are marked');
    world.reopen(NEVER);
    world.set(count, 'a');
    world.set(count, 'b');
    const all = { ...AT_ONCE, rowsMin: 10 * count };
    // They may be in the table, for all that this life knows.
    world.reopen(all);
    world.tables.prune(world.height);
    world.tables.prune(world.set(count, 'a'));
    world.settle(world.height);
    world.reopen(all);
    world.check(count, 'a');
    assert.equal(world.tables.count(), 2 * count - 1);
  });

  it('loses the maps before a height with the nodes that were marked up to there', () => {
    const world = new World(NEVER);
    const mark = 'INSERT INTO obsolete_map_nodes (hash, height) VALUES (?, 7)';
    world.database.prepare(mark).run(OTHER.hash);
    world.tables.prune(6);
    assert.equal(world.tables.wholeFrom, 0);
    world.tables.prune(9);
    assert.equal(world.tables.wholeFrom, 9);
  });

  it('remembers from which height on maps are whole, and takes no other value for one', () => {
    const world = new World(SPILLING);
    assert.equal(world.tables.wholeFrom, 0);
    world.set(3, 'a');
    world.set(3, 'b');
    assert.equal(world.tables.wholeFrom, 2);
    world.reopen(SPILLING);
    assert.equal(world.tables.wholeFrom, 2);
    for (const value of ['x', -1, 1.5]) {
      world.database.prepare('UPDATE meta SET value = ?').run(value);
      world.reopen(SPILLING);
      assert.throws(() => world.tables.wholeFrom, DamagedStoreError, String(value));
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

  it('reads no changes for a checkpoint with which nothing is due, and brings along what is', () => {
    for (const [bounds, isRead] of [
      [{ ...NEVER, bytes: 1_000_000 }, false],
      [{ ...NEVER, count: 3 }, false],
      [{ ...NEVER, bytes: 10_000 }, true],
      [{ ...NEVER, count: 2 }, true],
    ] as const) {
      const world = new World(bounds);
      world.set(100, 'a');
      const height = world.set(100, 'b');
      world.set(100, 'c');
      world.tables.forget();
      // Damaged: whoever reads it says so.
      world.database.prepare('UPDATE map_changes SET added = zeroblob(length(added))').run();
      if (isRead) assert.throws(() => world.tables.prune(height), DamagedStoreError);
      else world.tables.prune(height);
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

  // Whatever comes in whatever order: lives that end anywhere, checkpoints that lag or stay away, readers of old ones.
  it('has every map that somebody needs, and in the end nothing else', () => {
    const value = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ set: fc.nat(40), from: fc.nat(20), value }) },
      { weight: 4, arbitrary: fc.record({ lag: fc.nat(4) }) },
      { weight: 2, arbitrary: fc.record({ hold: fc.nat(4) }) },
      { weight: 1, arbitrary: fc.record({ life: fc.nat(2) }) },
    );
    const size = fc.constantFrom(0, 3_000, 12_000);
    const bounds = fc.record({ bytes: size, count: fc.constantFrom(2, 100), bytesMax: size });
    fc.assert(
      fc.property(bounds, fc.array(step, { maxLength: 60 }), (limits, steps) => {
        new Script(limits).run(steps);
      }),
    );
  });
});

interface Wanted {
  readonly height: number;
  readonly root: Hash;
  readonly values: ReadonlyMap<number, string>;
}

type Step =
  | { readonly set: number; readonly from: number; readonly value: string }
  | { readonly lag: number }
  | { readonly hold: number }
  | { readonly life: number };

/** What a store does with its map, beside maps as anybody would keep them. */
class Script {
  readonly #world: World;
  readonly #bounds: FoldBounds;
  #values: ReadonlyMap<number, string> = new Map();
  readonly #all: Wanted[] = [];
  #served: Wanted | undefined;
  #held: { readonly map: Wanted; readonly release: () => void } | undefined;

  constructor(bounds: FoldBounds) {
    // Parts of a thousand rows would be all of it.
    this.#bounds = { ...bounds, rowsMin: 5 };
    this.#world = new World(this.#bounds);
  }

  run(steps: readonly Step[]): void {
    for (const step of steps) {
      if ('set' in step) this.#set(step.set + 1, step.from, step.value);
      else if ('lag' in step) this.#checkpoint(step.lag);
      else if ('hold' in step) this.#hold(step.hold > 0);
      else this.#live(step.life === 0);
      for (const map of [this.#all.at(-1), this.#served, this.#held?.map]) this.#check(map);
    }
    this.#held?.release();
    const last = this.#all.at(-1);
    if (last === undefined) return;
    this.#world.reopen(AT_ONCE);
    this.#world.settle(last.height);
    this.#check(last);
    assert.equal(this.#world.tables.count(), 2 * last.values.size - 1, 'nothing else is left');
  }

  #set(count: number, from: number, value: string): void {
    this.#world.set(count, value, from);
    const values = new Map(this.#values);
    for (let i = from; i < from + count; i++) values.set(i, value);
    this.#values = values;
    this.#all.push({ height: this.#world.height, root: this.#world.root, values });
  }

  // As the store takes one in.
  #checkpoint(lag: number): void {
    const map = this.#all.at(-1 - lag);
    if (map === undefined || map.height < (this.#served?.height ?? 0)) return;
    const { tables } = this.#world;
    if (map.height !== this.#served?.height && map.height < tables.wholeFrom) return;
    this.#served = map;
    tables.prune(map.height);
  }

  #hold(isHeld: boolean): void {
    this.#held?.release();
    this.#held = undefined;
    if (!isHeld || this.#served === undefined) return;
    const release = this.#world.tables.hold(this.#served.height);
    this.#held = { map: this.#served, release };
  }

  /** Another process, or the same one after a rest. */
  #live(isAnother: boolean): void {
    if (!isAnother) return this.#world.tables.forget();
    this.#held = undefined;
    this.#world.reopen(this.#bounds);
    this.#world.tables.serve(this.#served?.height);
  }

  #check(map: Wanted | undefined): void {
    if (map === undefined) return;
    const fresh = new MapTables(this.#world.database, this.#bounds);
    for (const [i, value] of map.values) {
      const found = lookupMap(fresh, map.root, keyOf(i));
      assert.deepEqual(found && Buffer.from(found).toString(), value, `key ${i}`);
    }
  }
}
