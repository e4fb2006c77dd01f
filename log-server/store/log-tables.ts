// The log's entries and its tree. The tree is kept as C2SP hash tiles, full ones and the growing one of
// each level: every other node, every proof and every root of the past is computed from them.
import { concat, equalBytes } from '../../verifier/bytes.ts';
import { assert } from '../../verifier/errors.ts';
import type { TreeNode } from '../../verifier/ledger/batch.ts';
import { CompactRange } from '../../verifier/merkle/compact-range.ts';
import { HASH_LENGTH, type Hash } from '../../verifier/merkle/hash.ts';
import { rangeNodes, rangeRoot } from '../../verifier/merkle/ranges.ts';
import { TILE_HEIGHT, TILE_WIDTH, formatBundle, sliceOfNode } from '../../verifier/merkle/tile.ts';
import { DamagedStoreError } from './damage.ts';
import { type Database, type Statement, blobBytes } from './database.ts';
import { LruMap } from '../lru.ts';
import { isEdgeTile, leafHashOf, perfectRoots } from './tile-check.ts';

/**
 * Tiles kept in memory: 1024 times 8 KiB, the leaves of 260,000 entries. Reading one means checking it,
 * a third of a millisecond, and evidence for a whole application touches hundreds.
 */
const TILE_CACHE_MAX = 1024;

/** Nodes inside tiles kept in memory, about 100 bytes each: computing one costs up to 127 hashes. */
const NODE_CACHE_MAX = 32_768;

/** Entries and tree tiles. Writing happens inside the store's transaction. */
export class LogTables {
  readonly #insertEntry: Statement<[number, Uint8Array], unknown>;
  readonly #selectEntry: Statement<[number], Buffer>;
  readonly #selectEntries: Statement<[number, number], Buffer>;
  readonly #lastEntry: Statement<[], number | null>;
  readonly #putTile: Statement<[number, number, Uint8Array], unknown>;
  readonly #selectTile: Statement<[number, number], Buffer>;
  readonly #selectTileIds: Statement<[], { level: number; number: number }>;
  readonly #tiles = new LruMap<string, Uint8Array>(TILE_CACHE_MAX);
  readonly #nodes = new LruMap<string, Hash>(NODE_CACHE_MAX);
  /** What tiles are checked against; `undefined` until the log's root has been. */
  #edge: CompactRange | undefined;

  constructor(database: Database) {
    this.#insertEntry = database.prepare('INSERT INTO entries (leaf_index, data) VALUES (?, ?)');
    this.#selectEntry = database
      .prepare<[number], Buffer>('SELECT data FROM entries WHERE leaf_index = ?')
      .pluck();
    this.#selectEntries = database
      .prepare<[number, number], Buffer>(
        'SELECT data FROM entries WHERE leaf_index >= ? AND leaf_index < ? ORDER BY leaf_index',
      )
      .pluck();
    this.#lastEntry = database
      .prepare<[], number | null>('SELECT max(leaf_index) FROM entries')
      .pluck();
    this.#putTile = database.prepare(
      'INSERT OR REPLACE INTO tiles (level, number, hashes) VALUES (?, ?, ?)',
    );
    this.#selectTileIds = database.prepare('SELECT level, number FROM tiles');
    this.#selectTile = database
      .prepare<[number, number], Buffer>('SELECT hashes FROM tiles WHERE level = ? AND number = ?')
      .pluck();
  }

  /**
   * Appends leaves.
   *
   * @param firstLeaf the log's size before
   * @param nodes all tree nodes that the leaves complete, in the order of `CompactRange.append`
   */
  append(firstLeaf: number, entries: readonly Uint8Array[], nodes: readonly TreeNode[]): void {
    for (const [i, entry] of entries.entries()) this.#insertEntry.run(firstLeaf + i, entry);
    for (const [level, added] of byTileLevel(nodes)) this.#appendTiles(level, added);
  }

  // The hashes of one level follow each other without a gap.
  #appendTiles(level: number, added: readonly TreeNode[]): void {
    for (let at = 0; at < added.length;) {
      const first = added[at];
      assert(first !== undefined, 'the loop ends with the last node');
      const number = Math.floor(first.index / TILE_WIDTH);
      const width = first.index % TILE_WIDTH;
      const before = width === 0 ? new Uint8Array(0) : this.#tile(level, number);
      assert(before?.length === width * HASH_LENGTH, 'tiles grow without gaps');
      const part = added.slice(at, at + TILE_WIDTH - width);
      const tile = concat(before, ...part.map(({ hash }) => hash));
      this.#putTile.run(level, number, tile);
      // Read again from the database: a transaction that fails must leave no trace in memory.
      this.#tiles.delete(`${level}/${number}`);
      at += part.length;
    }
  }

  /** The log's right edge from now on: after its root was compared, and after each commit. */
  trust(edge: CompactRange): void {
    this.#edge = edge;
  }

  /** Drops what is remembered: after a transaction that failed. */
  forget(): void {
    this.#tiles.clear();
    this.#nodes.clear();
  }

  /** Number of entries. */
  size(): number {
    return (this.#lastEntry.get() ?? -1) + 1;
  }

  /** An entry's bytes; `undefined` beyond the end. @throws {DamagedStoreError} */
  entry(index: number): Uint8Array | undefined {
    const blob = this.#selectEntry.get(index);
    return blob === undefined ? undefined : this.#checkedEntry(index, blobBytes(blob));
  }

  /**
   * The entries from `start` to `end - 1`; fewer when the log is shorter.
   *
   * @throws {DamagedStoreError}
   */
  entries(start: number, end: number): readonly Uint8Array[] {
    return this.#selectEntries
      .all(start, end)
      .map((blob, i) => this.#checkedEntry(start + i, blobBytes(blob)));
  }

  /** As `entries`, without comparing them with the tree: for whoever derives the tree from them. */
  uncheckedEntries(start: number, end: number): readonly Uint8Array[] {
    return this.#selectEntries.all(start, end).map(blobBytes);
  }

  /** Level and number of every tile. */
  tileIds(): readonly { readonly level: number; readonly number: number }[] {
    return this.#selectTileIds.all();
  }

  #checkedEntry(index: number, data: Uint8Array): Uint8Array {
    const tile = this.#tile(0, Math.floor(index / TILE_WIDTH));
    const at = (index % TILE_WIDTH) * HASH_LENGTH;
    if (tile !== undefined && equalBytes(leafHashOf(data), tile.subarray(at, at + HASH_LENGTH))) {
      return data;
    }
    throw new DamagedStoreError(`entry ${index} does not have its hash in the tree`);
  }

  /** A hash tile of that width; `undefined` when the log does not have that many hashes. */
  tile(level: number, number: number, width: number): Uint8Array | undefined {
    const tile = this.#tile(level, number);
    if (tile === undefined || tile.length < width * HASH_LENGTH) return undefined;
    return tile.subarray(0, width * HASH_LENGTH);
  }

  /** A bundle of `width` entries; `undefined` when the log does not have that many. */
  bundle(number: number, width: number): Uint8Array | undefined {
    const start = number * TILE_WIDTH;
    const entries = this.entries(start, start + width);
    return entries.length < width ? undefined : formatBundle(entries);
  }

  /** The hash of a perfect subtree that is complete. */
  hash(level: number, index: number): Hash {
    const key = `${level}/${index}`;
    // A complete subtree never changes.
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    const slice = sliceOfNode(level, index);
    const tile = this.#tile(slice.level, slice.index);
    if (tile === undefined) throw new DamagedStoreError(`the tile of node ${key} is missing`);
    const part = tile.subarray(slice.from * HASH_LENGTH, slice.to * HASH_LENGTH);
    const [hash] = perfectRoots(part);
    if (hash === undefined || part.length !== (slice.to - slice.from) * HASH_LENGTH) {
      throw new DamagedStoreError(`the tile of node ${key} is too short`);
    }
    if (this.#edge !== undefined) this.#nodes.set(key, hash);
    return hash;
  }

  /** The root at a size that the log has reached. */
  rootAt(size: number): Hash {
    return rangeRoot(0, size, (level, index) => this.hash(level, index));
  }

  /** The log's right edge at that size. */
  rangeAt(size: number): CompactRange {
    const hashes = rangeNodes(0, size).map(({ level, index }) => this.hash(level, index));
    return CompactRange.fromBytes(size, concat(...hashes));
  }

  #tile(level: number, number: number): Uint8Array | undefined {
    const key = `${level}/${number}`;
    const known = this.#tiles.get(key);
    if (known !== undefined) return known;
    const blob = this.#selectTile.get(level, number);
    if (blob === undefined) return undefined;
    const tile = blobBytes(blob);
    // Before the root was compared nothing is known to compare with; nothing of that is kept either.
    if (this.#edge === undefined) return tile;
    if (!this.#isRight(level, number, tile, this.#edge)) {
      throw new DamagedStoreError(`tile ${number} of level ${level} is not part of the tree`);
    }
    this.#tiles.set(key, tile);
    return tile;
  }

  #isRight(level: number, number: number, tile: Uint8Array, edge: CompactRange): boolean {
    const width = tile.length / HASH_LENGTH;
    if (width < TILE_WIDTH) return isEdgeTile(tile, level, edge);
    if (width > TILE_WIDTH) return false;
    const [root] = perfectRoots(tile);
    const above = this.#tile(level + 1, Math.floor(number / TILE_WIDTH));
    const at = (number % TILE_WIDTH) * HASH_LENGTH;
    const expected = above?.subarray(at, at + HASH_LENGTH);
    return root !== undefined && expected !== undefined && equalBytes(root, expected);
  }
}

function byTileLevel(nodes: readonly TreeNode[]): ReadonlyMap<number, readonly TreeNode[]> {
  const levels = new Map<number, TreeNode[]>();
  for (const node of nodes) {
    if (node.level % TILE_HEIGHT !== 0) continue;
    const level = node.level / TILE_HEIGHT;
    const row = levels.get(level) ?? [];
    row.push(node);
    levels.set(level, row);
  }
  return levels;
}
