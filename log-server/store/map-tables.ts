// The map's nodes. A batch replaces some; the old ones stay until no checkpoint that is still served
// needs them, because evidence is made under the newest *cosigned* checkpoint and the log runs ahead.
import { compareBytes } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { formatMapNode, parseMapNode, type MapNode } from '../../verifier/map/node.ts';
import type { MapNodes, MapUpdate } from '../../verifier/map/trie.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { DamagedStoreError, intact } from './damage.ts';
import { type Database, type Statement, blobBytes } from './database.ts';
import { LruMap } from '../lru.ts';

/** Nodes kept in memory, about 300 bytes each. The upper levels are read for every batch. */
const NODE_CACHE_MAX = 32_000;

/** Rows in one statement: calling it costs as much as three of them. */
const ROWS_AT_ONCE = 32;

const ROWS: string = Array<string>(ROWS_AT_ONCE).fill('(?, ?)').join(', ');

/** Nodes deleted at once: more wait for the next time, so that no write takes long. */
const PRUNE_COUNT_MAX = 20_000;

/** Map nodes by hash. Writing happens inside the store's transaction. */
export class MapTables implements MapNodes {
  readonly #insert: Statement<[Uint8Array, Uint8Array], unknown>;
  readonly #insertMany: Statement<Uint8Array[], unknown>;
  readonly #select: Statement<[Uint8Array], Buffer>;
  readonly #count: Statement<[], number>;
  readonly #markObsolete: Statement<[Uint8Array, number], unknown>;
  readonly #markManyObsolete: Statement<(Uint8Array | number)[], unknown>;
  readonly #unmark: Statement<[Uint8Array], unknown>;
  readonly #countObsolete: Statement<[number, number], number>;
  readonly #selectObsolete: Statement<[number, number], Buffer>;
  readonly #delete: Statement<[Uint8Array], unknown>;
  readonly #deleteAll: Statement<[number], unknown>;
  readonly #unmarkAll: Statement<[number], unknown>;
  readonly #cache = new LruMap<string, MapNode>(NODE_CACHE_MAX);

  constructor(database: Database) {
    // The same node may be there already: one that had become obsolete and is used again.
    this.#insert = database.prepare('INSERT OR IGNORE INTO map_nodes (hash, node) VALUES (?, ?)');
    this.#insertMany = database.prepare(
      `INSERT OR IGNORE INTO map_nodes (hash, node) VALUES ${ROWS}`,
    );
    this.#select = database
      .prepare<[Uint8Array], Buffer>('SELECT node FROM map_nodes WHERE hash = ?')
      .pluck();
    this.#count = database.prepare<[], number>('SELECT count(*) FROM map_nodes').pluck();
    this.#markObsolete = database.prepare(
      'INSERT OR REPLACE INTO obsolete_map_nodes (hash, height) VALUES (?, ?)',
    );
    this.#markManyObsolete = database.prepare(
      `INSERT OR REPLACE INTO obsolete_map_nodes (hash, height) VALUES ${ROWS}`,
    );
    this.#unmark = database.prepare('DELETE FROM obsolete_map_nodes WHERE hash = ?');
    this.#selectObsolete = database
      .prepare<[number, number], Buffer>(
        'SELECT hash FROM obsolete_map_nodes WHERE height <= ? LIMIT ?',
      )
      .pluck();
    this.#countObsolete = database
      .prepare<[number, number], number>(
        'SELECT count(*) FROM (SELECT 1 FROM obsolete_map_nodes WHERE height <= ? LIMIT ?)',
      )
      .pluck();
    this.#delete = database.prepare('DELETE FROM map_nodes WHERE hash = ?');
    this.#deleteAll = database.prepare(
      'DELETE FROM map_nodes WHERE hash IN' +
        ' (SELECT hash FROM obsolete_map_nodes WHERE height <= ?)',
    );
    this.#unmarkAll = database.prepare('DELETE FROM obsolete_map_nodes WHERE height <= ?');
  }

  /** @throws {DamagedStoreError} not there, or not what it was: only nodes in use are asked for */
  get(hash: Hash): MapNode {
    const key = encodeHex(hash);
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    const blob = this.#select.get(hash);
    if (blob === undefined) throw new DamagedStoreError(`map node ${key} is missing`);
    // Hashing again on the way in finds a damaged database before it makes a wrong root.
    const node = intact(`map node ${key}`, () => parseMapNode(blobBytes(blob)));
    if (encodeHex(node.hash) !== key) {
      throw new DamagedStoreError(`map node ${key} is damaged in the database`);
    }
    this.#cache.set(key, node);
    return node;
  }

  /** Number of nodes, those that are about to be deleted included. */
  count(): number {
    return this.#count.get() ?? 0;
  }

  /** Writes an update of the batch at `height`. */
  apply(update: MapUpdate, height: number): void {
    // In the order of the keys: neighbours go into one page of the database.
    for (const nodes of inParts(update.added.toSorted((a, b) => compareBytes(a.hash, b.hash)))) {
      if (this.#insertAll(nodes)) continue;
      // Only one that is there already can be marked: marks go with their nodes.
      for (const { hash } of nodes) this.#unmark.run(hash);
    }
    for (const hashes of inParts(update.removed.toSorted(compareBytes))) {
      if (hashes.length === ROWS_AT_ONCE) {
        this.#markManyObsolete.run(...hashes.flatMap((hash) => [hash, height]));
      } else for (const hash of hashes) this.#markObsolete.run(hash, height);
    }
  }

  /** @returns whether all of them are new */
  #insertAll(nodes: readonly MapNode[]): boolean {
    const rows = nodes.map((node): [Uint8Array, Uint8Array] => [node.hash, formatMapNode(node)]);
    if (rows.length === ROWS_AT_ONCE) {
      return this.#insertMany.run(...rows.flat()).changes === rows.length;
    }
    return rows.filter((row) => this.#insert.run(...row).changes === 0).length === 0;
  }

  /** An update is on the disk: its nodes are those that the next batch reads. */
  remember({ added }: MapUpdate): void {
    for (const node of added) this.#cache.set(encodeHex(node.hash), node);
  }

  /** Deletes nodes that no map at `height` or later uses, at most `PRUNE_COUNT_MAX` of them. */
  prune(height: number): void {
    // Ordinarily all of them, by two statements. What is remembered of them does no harm: a hash says
    // what a node is, and nobody asks for one that is not in use.
    if (this.#countObsolete.get(height, PRUNE_COUNT_MAX + 1) !== PRUNE_COUNT_MAX + 1) {
      this.#deleteAll.run(height);
      this.#unmarkAll.run(height);
      return;
    }
    for (const blob of this.#selectObsolete.all(height, PRUNE_COUNT_MAX)) {
      const hash = blobBytes(blob);
      this.#delete.run(hash);
      this.#unmark.run(hash);
      this.#cache.delete(encodeHex(hash));
    }
  }

  /** Drops what is remembered: after a transaction that failed. */
  forget(): void {
    this.#cache.clear();
  }
}

function inParts<T>(items: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / ROWS_AT_ONCE) }, (_, i) =>
    items.slice(i * ROWS_AT_ONCE, (i + 1) * ROWS_AT_ONCE),
  );
}
