import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import Sqlite from 'better-sqlite3';

import { naiveRoot } from '../../fixtures/naive-tree.ts';
import { concat, utf8 } from '../../verifier/bytes.ts';
import type { TreeNode } from '../../verifier/ledger/batch.ts';
import { CompactRange } from '../../verifier/merkle/compact-range.ts';
import { EMPTY_ROOT, leafHash, type Hash } from '../../verifier/merkle/hash.ts';
import { parseBundle } from '../../verifier/merkle/tile.ts';
import { LogTables } from './log-tables.ts';
import { SCHEMA } from './schema.ts';

/** A generator of the numbers 0 to below, always the same ones. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A log of `count` leaves, appended in batches of random sizes. */
function makeLog(count: number, seed: number): { tables: LogTables; leaves: Hash[] } {
  const database = new Sqlite(':memory:');
  database.exec(SCHEMA);
  const tables = new LogTables(database);
  const next = numbers(seed);
  const leaves: Hash[] = [];
  let range = CompactRange.EMPTY;
  while (leaves.length < count) {
    const first = leaves.length;
    const size = Math.min(count - first, next(10) === 0 ? 1 + next(700) : 1 + next(60));
    const entries = Array.from({ length: size }, (_, i) => utf8(`entry ${first + i}`));
    const nodes: TreeNode[] = [];
    for (const entry of entries) {
      leaves.push(leafHash(entry));
      range = range.append(leafHash(entry), (level, index, hash) => {
        nodes.push({ level, index, hash });
      });
    }
    tables.append(first, entries, nodes);
  }
  return { tables, leaves };
}

describe('LogTables', () => {
  for (const [count, seed] of [
    [1, 1],
    [255, 2],
    [256, 3],
    [257, 4],
    [5000, 5],
    [3333, 6],
  ] as const) {
    it(`keeps ${count} leaves as the tree defines them`, () => {
      const { tables, leaves } = makeLog(count, seed);
      const next = numbers(seed + 100);
      const sizes = [0, 1, count, ...Array.from({ length: 12 }, () => next(count + 1))];
      for (const size of sizes) {
        const expected = naiveRoot(leaves.slice(0, size), EMPTY_ROOT);
        assert.deepEqual(tables.rootAt(size), expected, `root at ${size}`);
        assert.deepEqual(tables.rangeAt(size).root(), expected, `range at ${size}`);
      }
      for (let tile = 0; tile * 256 < count; tile++) {
        const width = Math.min(256, count - tile * 256);
        const row = leaves.slice(tile * 256, tile * 256 + width);
        assert.deepEqual(tables.tile(0, tile, width), concat(...row), `tile ${tile}`);
        const part = 1 + next(width);
        assert.deepEqual(tables.tile(0, tile, part), concat(...row.slice(0, part)));
        const bundle = tables.bundle(tile, part);
        assert.ok(bundle);
        assert.deepEqual(
          parseBundle(bundle, part),
          row.slice(0, part).map((_, i) => utf8(`entry ${tile * 256 + i}`)),
        );
      }
      const full = Math.floor(count / 256);
      const above = Array.from({ length: full }, (_, i) =>
        naiveRoot(leaves.slice(i * 256, (i + 1) * 256), EMPTY_ROOT),
      );
      assert.deepEqual(tables.tile(1, 0, full || 1), full === 0 ? undefined : concat(...above));
    });
  }

  it('has no tile, bundle or entry beyond the end', () => {
    const { tables } = makeLog(300, 7);
    assert.equal(tables.tile(0, 1, 45), undefined);
    assert.equal(tables.tile(0, 1, 44)?.length, 44 * 32);
    assert.equal(tables.tile(0, 2, 1), undefined);
    assert.equal(tables.tile(1, 0, 2), undefined);
    assert.equal(tables.bundle(1, 45), undefined);
    assert.equal(tables.entry(300), undefined);
    assert.deepEqual(tables.entry(299), utf8('entry 299'));
  });
});
