// The map's nodes. A batch replaces some; the old ones stay until no checkpoint that is still served
// needs them, because evidence is made under the newest *cosigned* checkpoint and the log runs ahead.
//
// What a batch changes is written as one row (map_changes) and stays in memory, packed. When there is enough
// of it, and checkpoints have passed it by, it is brought into the table of nodes, for many batches together
// and a part with each checkpoint. Hashes are spread all over that table: a batch of two hundred releases
// changes every page of it, so doing it for each batch, and once more to drop what it replaced, cost more
// than everything else of a commit.
import { equalBytes } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { parseMapNode, type MapNode } from '../../verifier/map/node.ts';
import type { MapNodes, MapUpdate } from '../../verifier/map/trie.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { DamagedStoreError, intact } from './damage.ts';
import { type Database, type Statement, blobBytes } from './database.ts';
import { inHashOrder } from './hash-index.ts';
import { MapChange, MapChanges, type Fold, type FoldRow } from './map-changes.ts';
import { NodeCache } from './node-cache.ts';
import { ObsoleteNodes } from './obsolete-nodes.ts';
import { packHashes, packNodes, unpackHashes, unpackNodes } from './packed-nodes.ts';

/** Places for nodes in memory, about 300 bytes each: 65,536, those of the last batches and the upper levels. */
const CACHE_PLACE_BITS = 16;

/** Rows in one statement: calling it costs as much as three of them. */
const ROWS_AT_ONCE = 32;

const ROWS: string = Array<string>(ROWS_AT_ONCE).fill('(?, ?)').join(', ');
const KEYS: string = Array<string>(ROWS_AT_ONCE).fill('?').join(', ');

/** When changes are brought into the table. */
export interface FoldBounds {
  /** Bytes of changes from which on it is worth it. */
  readonly bytes: number;
  /** Batches from which on it is done anyway: a start reads their rows. */
  readonly count: number;
  /** Bytes that stay in memory, with no checkpoint that passes them by. */
  readonly bytesMax: number;
}

/**
 * Four megabytes are some twenty batches of hundreds of releases, a fifth of a second after a start or a rest, and nodes
 * that are in memory anyway. Each time most pages of the table are written, so half as much would be twice the
 * writing. The rest, up to sixteen, is for what comes until a fold is done: batches that no checkpoint has passed by,
 * one more for each part, and a batch grows with the depth of the map, to most of a megabyte with a million packages.
 * A replica that catches up, or makes its database anew, has no checkpoint until the end, and gets there too.
 */
const FOLD_BOUNDS: FoldBounds = {
  bytes: 4 * 1024 * 1024,
  count: 64,
  bytesMax: 16 * 1024 * 1024,
};

/** A checkpoint brings so much of what is due into the table: no write takes long. */
const FOLD_PARTS = 8;

/** And at least so many rows. */
const FOLD_ROWS_MIN = 1024;

interface FoldUnderWay {
  readonly fold: Fold;
  readonly rowsAtOnce: number;
  done: number;
}

interface ChangeRow {
  readonly height: number;
  readonly added: Buffer;
  readonly removed: Buffer;
}

/** Map nodes by hash. Writing happens inside the store's transaction. */
export class MapTables implements MapNodes {
  readonly #bounds: FoldBounds;
  readonly #obsolete: ObsoleteNodes;
  readonly #insert: Statement<[Uint8Array, Uint8Array], unknown>;
  readonly #insertMany: Statement<Uint8Array[], unknown>;
  readonly #select: Statement<[Uint8Array], Buffer>;
  readonly #count: Statement<[], number>;
  readonly #delete: Statement<[Uint8Array], unknown>;
  readonly #deleteMany: Statement<Uint8Array[], unknown>;
  readonly #putChange: Statement<[number, Uint8Array, Uint8Array], unknown>;
  readonly #selectChanges: Statement<[], ChangeRow>;
  readonly #deleteChanges: Statement<[number], unknown>;
  readonly #cache = new NodeCache(CACHE_PLACE_BITS);
  /** `undefined` when they have to be read. */
  #changes: MapChanges | undefined;
  #fold: FoldUnderWay | undefined;

  constructor(database: Database, bounds: FoldBounds = FOLD_BOUNDS) {
    this.#bounds = bounds;
    this.#obsolete = new ObsoleteNodes(database);
    // The same node may be there already: one that had become obsolete and is used again.
    this.#insert = database.prepare('INSERT OR IGNORE INTO map_nodes (hash, node) VALUES (?, ?)');
    this.#insertMany = database.prepare(
      `INSERT OR IGNORE INTO map_nodes (hash, node) VALUES ${ROWS}`,
    );
    this.#select = database
      .prepare<[Uint8Array], Buffer>('SELECT node FROM map_nodes WHERE hash = ?')
      .pluck();
    this.#count = database.prepare<[], number>('SELECT count(*) FROM map_nodes').pluck();
    this.#delete = database.prepare('DELETE FROM map_nodes WHERE hash = ?');
    this.#deleteMany = database.prepare(`DELETE FROM map_nodes WHERE hash IN (${KEYS})`);
    this.#putChange = database.prepare(
      'INSERT INTO map_changes (height, added, removed) VALUES (?, ?, ?)',
    );
    this.#selectChanges = database.prepare(
      'SELECT height, added, removed FROM map_changes ORDER BY height',
    );
    this.#deleteChanges = database.prepare('DELETE FROM map_changes WHERE height <= ?');
  }

  /** @throws {DamagedStoreError} not there, or not what it was: only nodes in use are asked for */
  get(hash: Hash): MapNode {
    const known = this.#cache.get(hash);
    if (known !== undefined) return known;
    const node = this.#read().node(hash) ?? this.#stored(hash);
    if (node === undefined) throw new DamagedStoreError(`map node ${encodeHex(hash)} is missing`);
    this.#cache.add(node);
    return node;
  }

  #stored(hash: Hash): MapNode | undefined {
    const blob = this.#select.get(hash);
    if (blob === undefined) return undefined;
    // Hashing again on the way in finds a damaged database before it makes a wrong root.
    const node = intact(`map node ${encodeHex(hash)}`, () => parseMapNode(blobBytes(blob)));
    if (!equalBytes(node.hash, hash)) {
      throw new DamagedStoreError(`map node ${encodeHex(hash)} is damaged in the database`);
    }
    return node;
  }

  /** Number of nodes in the table. */
  count(): number {
    return this.#count.get() ?? 0;
  }

  /** Batches whose changes are not in the table. */
  waiting(): number {
    return this.#read().count;
  }

  /** Writes an update of the batch at `height`. A transaction that fails has to be followed by `forget`. */
  apply(update: MapUpdate, height: number): void {
    const changes = this.#read();
    const packed = packNodes(update.added);
    const removed = packHashes(update.removed);
    this.#putChange.run(height, packed, removed);
    const bytes = packed.length + removed.length;
    changes.add(new MapChange(height, update.added, packed, update.removed, bytes));
    // They are what the next batch reads.
    for (const node of update.added) this.#cache.add(node);
    if (changes.bytes > this.#bounds.bytesMax) this.#foldPart(Number.MAX_SAFE_INTEGER);
    while (changes.bytes > this.#bounds.bytesMax && changes.count > 1) this.#spill(changes);
  }

  /**
   * Brings the oldest change into the table, and what it replaced into that of obsolete nodes: an older
   * checkpoint needs it still. Dear, and no fold may be under way.
   */
  #spill(changes: MapChanges): void {
    const { oldest } = changes;
    if (oldest === undefined) return;
    this.#insertAll(inHashOrder(oldest.rows()));
    this.#obsolete.mark(oldest.removed, oldest.height);
    this.#deleteChanges.run(oldest.height);
    changes.drop(oldest.height);
  }

  /** Brings a part of the changes up to `height` into the table, and drops what no map since then uses. */
  prune(height: number): void {
    this.#obsolete.prune(height);
    this.#fold ??= this.#begin(this.#read(), height);
    if (this.#fold !== undefined) this.#foldPart(this.#fold.rowsAtOnce);
  }

  /** Brings some rows of the fold that is under way into the table. */
  #foldPart(count: number): void {
    const current = this.#fold;
    if (current === undefined) return;
    const { fold, done } = current;
    const rows = fold.rows.slice(done, done + count);
    this.#insertAll(rows);
    this.#deleteAll(rows);
    current.done += rows.length;
    if (current.done < fold.rows.length) return;
    this.#deleteChanges.run(fold.height);
    this.#read().drop(fold.height);
    this.#fold = undefined;
  }

  #begin(changes: MapChanges, height: number): FoldUnderWay | undefined {
    const due = changes.upTo(height);
    const bytes = due.reduce((sum, change) => sum + change.bytes, 0);
    if (bytes < this.#bounds.bytes && due.length < this.#bounds.count) return undefined;
    const fold = changes.fold(height);
    if (fold === undefined) return undefined;
    const rowsAtOnce = Math.max(FOLD_ROWS_MIN, Math.ceil(fold.rows.length / FOLD_PARTS));
    return { fold, rowsAtOnce, done: 0 };
  }

  #insertAll(all: readonly FoldRow[]): void {
    const rows = all.flatMap(({ hash, bytes }): [Uint8Array, Uint8Array][] =>
      bytes === undefined ? [] : [[hash, bytes]],
    );
    for (const part of inParts(rows)) {
      const isNew =
        part.length === ROWS_AT_ONCE
          ? this.#insertMany.run(...part.flat()).changes === part.length
          : part.filter((row) => this.#insert.run(...row).changes === 0).length === 0;
      // Only one that is there already can be marked: marks go with their nodes.
      if (!isNew) this.#obsolete.unmark(part.map(([hash]) => hash));
    }
  }

  #deleteAll(all: readonly FoldRow[]): void {
    const hashes = all.flatMap(({ hash, bytes }) => (bytes === undefined ? [hash] : []));
    for (const part of inParts(hashes)) {
      if (part.length === ROWS_AT_ONCE) this.#deleteMany.run(...part);
      else for (const hash of part) this.#delete.run(hash);
    }
  }

  #read(): MapChanges {
    if (this.#changes !== undefined) return this.#changes;
    const all = this.#selectChanges.all().map((row) => readChange(row));
    const changes = new MapChanges(all.at(-1)?.height);
    for (const change of all) changes.add(change);
    this.#changes = changes;
    return changes;
  }

  /** Drops what is remembered: after a transaction that failed, or for the room that it takes. */
  forget(): void {
    this.#cache.forget();
    this.#changes = undefined;
    this.#fold = undefined;
  }
}

// A node is found by its own hash: one that was damaged is missing where it is asked for.
function readChange({ height, added: blob, removed }: ChangeRow): MapChange {
  return intact(`the map's change of batch ${height}`, () => {
    const packed = blobBytes(blob);
    const nodes = unpackNodes(packed).map((bytes) => parseMapNode(bytes.slice()));
    const bytes = blob.length + removed.length;
    return new MapChange(height, nodes, packed, unpackHashes(blobBytes(removed)), bytes);
  });
}

function inParts<T>(items: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / ROWS_AT_ONCE) }, (_, i) =>
    items.slice(i * ROWS_AT_ONCE, (i + 1) * ROWS_AT_ONCE),
  );
}
