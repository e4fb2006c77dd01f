// The map's tables against plain tables of values: batches, checkpoints, readers, failed writes and restarts in any
// order. Whatever is folded, spilled, marked or remembered meanwhile, each map that somebody may ask for is whole.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import Sqlite from 'better-sqlite3';
import * as fc from 'fast-check';

import { utf8 } from '../../verifier/bytes.ts';
import { EMPTY_MAP_ROOT } from '../../verifier/map/node.ts';
import { lookupMap, updateMap } from '../../verifier/map/trie.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { sha256 } from '../../verifier/sha256.ts';
import { MapTables, type FoldBounds } from './map-tables.ts';
import { SCHEMA } from './schema.ts';

/** Few, so that nodes come back that were replaced: a value that a key had before makes the same ones. */
const KEYS: readonly Uint8Array[] = Array.from({ length: 24 }, (_, i) => sha256(utf8(`key ${i}`)));

const bounds: fc.Arbitrary<FoldBounds> = fc.constantFrom(
  // Everything at once, a few rows with each write, only what does not fit, and next to nothing fits.
  { bytes: 0, count: 0, bytesMax: Number.MAX_SAFE_INTEGER },
  { bytes: 4_000, count: 5, bytesMax: 20_000, rowsMin: 3 },
  { bytes: 3_000, count: 4, bytesMax: 6_000, rowsMin: 7 },
  { bytes: Number.MAX_SAFE_INTEGER, count: Number.MAX_SAFE_INTEGER, bytesMax: 5_000, rowsMin: 2 },
  { bytes: 0, count: 0, bytesMax: 0 },
);

const batch = {
  from: fc.nat(KEYS.length - 1),
  count: fc.integer({ min: 1, max: KEYS.length }),
  value: fc.constantFrom('a', 'b', 'c'),
};

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('commit' as const), ...batch }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('note' as const), lag: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fail' as const), ...batch }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fold' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), bounds }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('read' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stop reading' as const) }) },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
type Batch = Extract<Step, { readonly kind: 'commit' | 'fail' }>;

/** A map of the past, and what it says. */
interface Moment {
  readonly root: Hash;
  readonly values: ReadonlyMap<number, string>;
}

class History {
  readonly #database = new Sqlite(':memory:');
  #tables: MapTables;
  /** By height. */
  readonly #moments: Moment[] = [{ root: EMPTY_MAP_ROOT, values: new Map() }];
  /** Of the checkpoint that is served. */
  #noted = 0;
  readonly #readers: { readonly height: number; readonly stop: () => void }[] = [];

  constructor(first: FoldBounds) {
    this.#database.exec(SCHEMA);
    this.#tables = new MapTables(this.#database, first);
  }

  get #height(): number {
    return this.#moments.length - 1;
  }

  #write(change: () => void): void {
    this.#database.transaction(change)();
  }

  /** Writes the next batch. @returns what the map is then */
  #apply({ from, count, value }: Batch): Moment {
    const last = this.#moments.at(-1) ?? assert.fail('there is one');
    const values = new Map(last.values);
    const keys = KEYS.slice(from, from + count);
    for (const i of keys.keys()) values.set(from + i, value);
    const changes = keys.map((key) => ({ key, value: utf8(value) }));
    const update = updateMap(this.#tables, last.root, changes);
    this.#tables.apply(update, this.#height + 1);
    return { root: update.root, values };
  }

  run(one: Step): void {
    switch (one.kind) {
      case 'commit':
        this.#write(() => void this.#moments.push(this.#apply(one)));
        break;
      case 'fail':
        this.#fail(one);
        break;
      case 'note':
        this.#note(Math.max(this.#noted, this.#height - one.lag));
        break;
      case 'forget':
        this.#tables.forget();
        break;
      case 'fold':
        this.#write(() => void this.#tables.foldDue());
        break;
      case 'restart':
        this.#readers.length = 0;
        this.restart(one.bounds);
        break;
      case 'read':
        this.#readers.push({ height: this.#noted, stop: this.#tables.hold(this.#noted) });
        break;
      case 'stop reading':
        this.#readers.shift()?.stop();
    }
  }

  /** A batch or a checkpoint that does not get to the disk: the store forgets what it had in memory. */
  #fail(one: Batch): void {
    const isBatch = one.value !== 'c';
    const write = (): void => {
      if (isBatch) this.#apply(one);
      else this.#tables.prune(this.#height);
      throw new Error('no room');
    };
    assert.throws(() => this.#write(write), /no room/);
    this.#tables.forget();
    this.#tables.serve(this.#noted === 0 ? undefined : this.#noted);
  }

  /** As the store does it: no checkpoint is served whose map is lost, but for the one that is. */
  #note(height: number): void {
    if (height !== this.#noted && height < this.#tables.wholeFrom) return;
    this.#write(() => this.#tables.prune(height));
    this.#noted = height;
  }

  restart(next: FoldBounds): void {
    this.#tables = new MapTables(this.#database, next);
    this.#tables.serve(this.#noted === 0 ? undefined : this.#noted);
  }

  /** Every map that may be asked for says what it said: also to who remembers nothing, as after a crash. */
  check(): void {
    const heights = [this.#height, this.#noted, ...this.#readers.map(({ height }) => height)];
    for (const tables of [this.#tables, new MapTables(this.#database)]) {
      for (const height of new Set(heights)) this.#checkMap(tables, height);
    }
  }

  #checkMap(tables: MapTables, height: number): void {
    const { root, values } = this.#moments[height] ?? assert.fail('a height below the last');
    for (const [i, key] of KEYS.entries()) {
      const found = lookupMap(tables, root, key);
      assert.equal(found && Buffer.from(found).toString(), values.get(i), `${i} at ${height}`);
    }
  }

  /** Checkpoints, until everything is in its table: nothing but the last map is left there. */
  settle(): void {
    for (const { stop } of this.#readers.splice(0)) stop();
    this.restart({ bytes: 0, count: 0, bytesMax: Number.MAX_SAFE_INTEGER });
    for (let i = 0; i < 2 || this.#tables.waiting() > 0; i++) {
      assert.ok(i < 100, 'it ends');
      this.#note(this.#height);
    }
    this.#tables.forget();
    this.check();
    const { values } = this.#moments.at(-1) ?? assert.fail('there is one');
    assert.equal(this.#tables.count(), Math.max(0, 2 * values.size - 1), 'nodes');
    const marked = this.#database.prepare('SELECT count(*) FROM obsolete_map_nodes').pluck().get();
    assert.equal(marked, 0, 'marked nodes');
    this.#database.close();
  }
}

describe('the history of a map in its tables', () => {
  it('keeps every map whole that is asked for, and nothing else in the end', () => {
    fc.assert(
      fc.property(bounds, fc.array(step, { maxLength: 40, size: 'max' }), (first, steps) => {
        const history = new History(first);
        for (const one of steps) {
          history.run(one);
          history.check();
        }
        history.settle();
      }),
      { numRuns: 25 },
    );
  });
});
