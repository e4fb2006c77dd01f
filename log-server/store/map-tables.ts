// The map's nodes. A batch replaces some; the old ones stay until no checkpoint that is still served
// needs them, because evidence is made under the newest *cosigned* checkpoint and the log runs ahead.
//
// What a batch changes is written as one row (map_changes) and stays in memory, packed. When there is enough
// of it, and checkpoints have passed it by, it is brought into the table of nodes, for many batches together
// and a part with each checkpoint. Hashes are spread all over that table: a batch of two hundred releases
// changes every page of it, so doing it for each batch, and once more to drop what it replaced, cost more
// than everything else of a commit.
//
// When there is too much of it and no checkpoint comes, as while a replica catches up, the same is done for the
// oldest of these batches: the maps in between are lost, and no checkpoint of theirs is served any more. What
// the one that is served needs stays in the table, marked, until another takes its place. A batch at a time, with
// every map whole, wrote fifteen times as much after 40,000 releases, and left most of it in the file for ever.
import { equalBytes } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { parseMapNode, type MapNode } from '../../verifier/map/node.ts';
import type { MapNodes, MapUpdate } from '../../verifier/map/trie.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { DamagedStoreError, intact } from './damage.ts';
import { type Database, type Statement, blobBytes } from './database.ts';
import { MapChange, MapChanges, type Fold, type FoldRow } from './map-changes.ts';
import { NodeCache } from './node-cache.ts';
import { ObsoleteNodes } from './obsolete-nodes.ts';
import { nodeStarts, packHashes, packNodes, packedNode } from './packed-nodes.ts';

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
  /** Rows that are brought into the table at once, at least; for tests. */
  readonly rowsMin?: number;
}

/**
 * The larger the table, the more of its pages does a fold write, until each row has one of its own: at 160,000
 * releases, folds of four megabytes took as long as all the rest of a commit twice, and wrote 40 kB per release.
 * Twelve are some fifty batches of two hundred releases, half a second after a start or a rest, and eighteen of
 * memory. The rest, up to 32, is for what comes until a fold is done, and for a replica that catches up or makes
 * its database anew: it has no checkpoint until the end.
 */
const FOLD_BOUNDS: FoldBounds = {
  bytes: 12 * 1024 * 1024,
  count: 64,
  bytesMax: 32 * 1024 * 1024,
};

/** Share of `bytesMax` from which on changes leave memory that no checkpoint has passed by. */
const CROWDED = 0.75;

/** And the share that stays, the newest: a checkpoint may just be coming. */
const STAYING = 0.25;

/** A checkpoint brings so much of what is due into the table: no write takes long. */
const FOLD_PARTS = 16;

/** And at least so many rows. */
const FOLD_ROWS_MIN = 1024;

/**
 * Changes that each checkpoint prepares for that. Mostly one has come since the last; behind a start there are more,
 * and indexing all of twelve megabytes at once took a sixth of a second.
 */
const PREPARED_AT_ONCE = 8;

/** In the table of single values: from which height on maps are whole. */
const WHOLE_KEY = 'map_whole_from';

interface FoldUnderWay {
  readonly fold: Fold;
  readonly rowsAtOnce: number;
  /** Whether an older map needs what goes: then it is marked, and stays. */
  readonly isNeeded: boolean;
  done: number;
}

/** Changes that the table does not have. */
interface WaitingChanges {
  readonly count: number;
  readonly bytes: number;
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
  readonly #selectDue: Statement<[number], WaitingChanges>;
  readonly #deleteChanges: Statement<[number], unknown>;
  readonly #putWhole: Statement<[string, number], unknown>;
  readonly #selectWhole: Statement<[string], unknown>;
  readonly #cache = new NodeCache(CACHE_PLACE_BITS);
  /** `undefined` when they have to be read. */
  #changes: MapChanges | undefined;
  #fold: FoldUnderWay | undefined;
  /** `undefined` when it has to be read. */
  #wholeFrom: number | undefined;
  /** Height of the checkpoint that is served. */
  #served: number | undefined;
  /** Heights of maps that somebody is reading. */
  readonly #held = new Map<symbol, number>();

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
    // The length of a blob is in its row's head: nothing of it is read.
    this.#selectDue = database.prepare(
      'SELECT count(*) AS count, coalesce(sum(length(added) + length(removed)), 0) AS bytes' +
        ' FROM map_changes WHERE height <= ?',
    );
    this.#deleteChanges = database.prepare('DELETE FROM map_changes WHERE height <= ?');
    this.#putWhole = database.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
    this.#selectWhole = database.prepare<[string]>('SELECT value FROM meta WHERE key = ?').pluck();
  }

  /**
   * The height from which on every batch's map is whole; of those before it, only that of the checkpoint that is
   * served may be.
   *
   * @throws {DamagedStoreError} it is no height
   */
  get wholeFrom(): number {
    if (this.#wholeFrom !== undefined) return this.#wholeFrom;
    const value = this.#selectWhole.get(WHOLE_KEY) ?? 0;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw new DamagedStoreError('the height from which on maps are whole is damaged');
    }
    this.#wholeFrom = value;
    return value;
  }

  #loseBefore(height: number): void {
    if (height <= this.wholeFrom) return;
    this.#putWhole.run(WHOLE_KEY, height);
    this.#wholeFrom = height;
  }

  /** Evidence is made under the checkpoint of this height: its map stays until `prune` with another one. */
  serve(height: number | undefined): void {
    this.#served = height;
  }

  /** Keeps the map of a height at which it is whole, until what is returned is called. */
  hold(height: number): () => void {
    const holder = Symbol('holder');
    this.#held.set(holder, height);
    return () => void this.#held.delete(holder);
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
    const added = packHashes(update.added.map(({ hash }) => hash));
    changes.add(new MapChange(height, added, packed, removed));
    // They are what the next batch reads.
    for (const node of update.added) this.#cache.add(node);
    const { bytesMax } = this.#bounds;
    if (changes.bytes > CROWDED * bytesMax) {
      this.#fold ??= this.#compact(changes);
      this.#foldPart(this.#fold?.rowsAtOnce ?? 0);
    }
    while (changes.bytes > bytesMax && (this.#fold ??= this.#compact(changes)) !== undefined) {
      this.#foldPart(Number.MAX_SAFE_INTEGER);
    }
  }

  /** Begins to bring the oldest changes into the table, whether or not a checkpoint has passed them by. */
  #compact(changes: MapChanges): FoldUnderWay | undefined {
    const newest = changes.heightBehind(STAYING * this.#bounds.bytesMax);
    const oldest = changes.span?.oldest ?? 0;
    const needed = [...this.#held.values(), ...(this.#served === undefined ? [] : [this.#served])];
    // As far as a map that is needed itself: what it has is in the table then.
    const height = Math.min(newest, ...needed.filter((one) => one >= oldest));
    const fold = changes.foldUpTo(height);
    if (fold === undefined) return undefined;
    this.#loseBefore(fold.height);
    return this.#underWay(
      fold,
      needed.some((one) => one < fold.height),
    );
  }

  /**
   * A checkpoint of that height is served from now on. Brings a part of the changes up to there into the table, and
   * drops what no map since then uses; of a map that somebody holds nothing.
   */
  prune(checkpointHeight: number): void {
    this.#served = checkpointHeight;
    const height = Math.min(checkpointHeight, ...this.#held.values());
    if (this.#obsolete.prune(height)) this.#loseBefore(height);
    // A replica that rests signs its last checkpoint again and again: it must not read twelve megabytes for that.
    if (this.#changes === undefined && !this.#isDue(this.#selectDue.get(height))) return;
    const changes = this.#read();
    const ready = changes.prepare(height, PREPARED_AT_ONCE);
    if (this.#isDue(ready)) this.#fold ??= this.#begin(changes.fold());
    if (this.#fold !== undefined) this.#foldPart(this.#fold.rowsAtOnce);
  }

  /**
   * Brings a part of what is due under the served checkpoint into the table, for when there is nothing else to do: what
   * is worked out for that is forgotten by who rests, and each checkpoint of a log at rest began anew, read twelve megabytes
   * for it and never came to its end.
   *
   * @returns whether there is more
   */
  foldDue(): boolean {
    if (this.#fold === undefined) {
      const height = Math.min(this.#served ?? 0, ...this.#held.values());
      if (!this.#isDue(this.#selectDue.get(height))) return false;
      const changes = this.#read();
      // More may be prepared already than somebody who reads an older map can do without: then it has to wait.
      if (!this.#isDue(changes.prepare(height, Number.MAX_SAFE_INTEGER))) return false;
      this.#fold = this.#begin(changes.fold());
    }
    if (this.#fold === undefined) return false;
    this.#foldPart(this.#fold.rowsAtOnce);
    return true;
  }

  /** Brings some rows of the fold that is under way into the table. */
  #foldPart(count: number): void {
    const current = this.#fold;
    if (current === undefined) return;
    const { fold, done, isNeeded } = current;
    const rows = fold.rows(done, count);
    this.#insertAll(rows);
    const gone = rows.flatMap(({ hash, bytes }) => (bytes === undefined ? [hash] : []));
    if (isNeeded) this.#obsolete.mark(gone, fold.height);
    else this.#deleteAll(gone);
    current.done += rows.length;
    if (current.done < fold.rowCount) return;
    this.#deleteChanges.run(fold.height);
    this.#read().dropFold();
    this.#fold = undefined;
  }

  #isDue(waiting: WaitingChanges | undefined): boolean {
    if (waiting === undefined) return false;
    return waiting.bytes >= this.#bounds.bytes || waiting.count >= this.#bounds.count;
  }

  #begin(fold: Fold | undefined): FoldUnderWay | undefined {
    if (fold === undefined) return undefined;
    this.#loseBefore(fold.height);
    return this.#underWay(fold, false);
  }

  #underWay(fold: Fold, isNeeded: boolean): FoldUnderWay {
    const { rowsMin = FOLD_ROWS_MIN } = this.#bounds;
    const rowsAtOnce = Math.max(rowsMin, Math.ceil(fold.rowCount / FOLD_PARTS));
    return { fold, rowsAtOnce, isNeeded, done: 0 };
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

  #deleteAll(hashes: readonly Hash[]): void {
    for (const part of inParts(hashes)) {
      if (part.length === ROWS_AT_ONCE) this.#deleteMany.run(...part);
      else for (const hash of part) this.#delete.run(hash);
    }
    // A mark that outlived its node would take away the one that comes back.
    if (!this.#obsolete.isEmpty) this.#obsolete.unmark(hashes);
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
    this.#wholeFrom = undefined;
  }
}

// A node is found by its own hash: one that was damaged is missing where it is asked for.
function readChange({ height, added: blob, removed }: ChangeRow): MapChange {
  return intact(`the map's change of batch ${height}`, () => {
    const packed = blobBytes(blob);
    const starts = nodeStarts(packed);
    const hashes = Array.from(
      { length: starts.length - 1 },
      (_, i) => parseMapNode(packedNode(packed, starts, i)).hash,
    );
    return new MapChange(height, packHashes(hashes), packed, blobBytes(removed));
  });
}

function inParts<T>(items: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / ROWS_AT_ONCE) }, (_, i) =>
    items.slice(i * ROWS_AT_ONCE, (i + 1) * ROWS_AT_ONCE),
  );
}
