// Nodes of the map that are in its table, are used no more, and are those of a checkpoint that is still served: of
// batches whose changes had to leave memory before a checkpoint had passed them by, as when a replica catches up, by
// the height from which on they go; and of databases of version 2, which had no others.
import type { Hash } from '../../verifier/merkle/hash.ts';
import { type Database, type Statement, blobBytes } from './database.ts';

/**
 * Nodes deleted at once: more wait for the next time. Each is a page of its own in the table and two among the marks:
 * behind a replica that has caught up wait as many as the map had, and no write should take long.
 */
const PRUNE_COUNT_MAX = 4096;

/** Marks of obsolete nodes. Only nodes that are in the table are marked, and marks go with their nodes. */
export class ObsoleteNodes {
  readonly #mark: Statement<[number, Uint8Array], unknown>;
  readonly #unmark: Statement<[Uint8Array], unknown>;
  readonly #select: Statement<[number, number], Buffer>;
  readonly #delete: Statement<[Uint8Array], unknown>;
  readonly #any: Statement<[], unknown>;

  constructor(database: Database) {
    this.#mark = database.prepare(
      'INSERT OR REPLACE INTO obsolete_map_nodes (height, hash)' +
        ' SELECT ?, hash FROM map_nodes WHERE hash = ?',
    );
    this.#unmark = database.prepare('DELETE FROM obsolete_map_nodes WHERE hash = ?');
    this.#select = database
      .prepare<[number, number], Buffer>(
        'SELECT hash FROM obsolete_map_nodes WHERE height <= ? LIMIT ?',
      )
      .pluck();
    this.#delete = database.prepare('DELETE FROM map_nodes WHERE hash = ?');
    this.#any = database.prepare('SELECT 1 FROM obsolete_map_nodes LIMIT 1');
  }

  /** Marks those of the hashes that are in the table: batches up to that height replaced them. */
  mark(removed: readonly Hash[], height: number): void {
    for (const hash of removed) this.#mark.run(height, hash);
  }

  /** They are used again, or gone. */
  unmark(hashes: readonly Uint8Array[]): void {
    for (const hash of hashes) this.#unmark.run(hash);
  }

  /** Whether there are none, as while each checkpoint follows its batch. */
  get isEmpty(): boolean {
    return this.#any.get() === undefined;
  }

  /**
   * Deletes nodes that no map at `height` or later uses, at most `PRUNE_COUNT_MAX` of them.
   *
   * @returns whether there were any
   */
  prune(height: number): boolean {
    const blobs = this.#select.all(height, PRUNE_COUNT_MAX);
    for (const blob of blobs) {
      const hash = blobBytes(blob);
      this.#delete.run(hash);
      this.#unmark.run(hash);
    }
    return blobs.length > 0;
  }
}
