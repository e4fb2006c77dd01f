import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import Sqlite from 'better-sqlite3';

import { utf8 } from '../../verifier/bytes.ts';
import { EMPTY_MAP_ROOT } from '../../verifier/map/node.ts';
import { lookupMap, updateMap } from '../../verifier/map/trie.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { sha256 } from '../../verifier/sha256.ts';
import { MapTables } from './map-tables.ts';
import { SCHEMA } from './schema.ts';

const keyOf = (i: number): Uint8Array => sha256(utf8(`key ${i}`));

/** A map in the tables, changed height by height, and read without what the tables remember. */
class World {
  readonly tables: MapTables;
  root: Hash = EMPTY_MAP_ROOT;
  #height = 0;

  constructor() {
    const database = new Sqlite(':memory:');
    database.exec(SCHEMA);
    this.tables = new MapTables(database);
  }

  /** Gives keys 0 to `count - 1` a value. @returns the height */
  set(count: number, value: string): number {
    const changes = Array.from({ length: count }, (_, i) => ({
      key: keyOf(i),
      value: utf8(value),
    }));
    const update = updateMap(this.tables, this.root, changes);
    this.#height += 1;
    this.tables.apply(update, this.#height);
    this.root = update.root;
    this.tables.forget();
    return this.#height;
  }

  /** Every key of the first `count` has this value. */
  check(count: number, value: string): void {
    for (let i = 0; i < count; i++) {
      const found = lookupMap(this.tables, this.root, keyOf(i));
      assert.deepEqual(found && Buffer.from(found).toString(), value, `key ${i}`);
    }
  }
}

describe('MapTables', () => {
  // Fewer than one statement takes, exactly as many, and more.
  for (const count of [1, 16, 31, 32, 33, 64, 100, 500]) {
    it(`writes ${count} values, and deletes what they replace`, () => {
      const world = new World();
      world.set(count, 'a');
      const height = world.set(count, 'b');
      world.check(count, 'b');
      world.tables.prune(height);
      world.tables.forget();
      world.check(count, 'b');
      assert.equal(
        world.tables.count(),
        2 * count - 1,
        'nothing else is left of a map of that size',
      );
    });

    it(`keeps the nodes of ${count} values that come back before they are deleted`, () => {
      const world = new World();
      world.set(count, 'a');
      world.set(count, 'b');
      const height = world.set(count, 'a');
      world.tables.prune(height);
      world.tables.forget();
      world.check(count, 'a');
      assert.equal(world.tables.count(), 2 * count - 1);
    });
  }

  it('reads of what it remembers as of what is stored', () => {
    const world = new World();
    const changes = [{ key: keyOf(1), value: utf8('a') }];
    const update = updateMap(world.tables, EMPTY_MAP_ROOT, changes);
    world.tables.apply(update, 1);
    world.tables.remember(update);
    const [node] = update.added;
    assert.ok(node !== undefined, 'one leaf');
    assert.equal(world.tables.get(node.hash), node);
    world.tables.forget();
    assert.deepEqual(world.tables.get(node.hash), node);
  });
});
