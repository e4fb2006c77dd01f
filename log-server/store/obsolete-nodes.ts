// Nodes of the map that are in its table and are used no more, by the height from which on: of batches whose
// changes had to leave memory before a checkpoint had passed them by, as when a replica catches up, and of
// databases of version 2, which had no others.
import type { Hash } from '../../verifier/merkle/hash.ts';
import { type Database, type Statement, blobBytes } from './database.ts';
import { inHashOrder } from './hash-index.ts';

/** Nodes deleted at once: more wait for the next time, so that no write takes long. */
const PRUNE_COUNT_MAX = 20_000;

/** Marks of obsolete nodes. Only nodes that are in the table are marked, and marks go with their nodes. */
export class ObsoleteNodes {
  readonly #mark: Statement<[number, Uint8Array], unknown>;
  readonly #unmark: Statement<[Uint8Array], unknown>;
  readonly #select: Statement<[number, number], Buffer>;
  readonly #delete: Statement<[Uint8Array], unknown>;

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
  }

  /** Marks those of the hashes that are in the table: the batch of that height replaced them. */
  mark(removed: readonly Hash[], height: number): void {
    const inOrder = inHashOrder(removed.map((hash) => ({ hash })));
    for (const { hash } of inOrder) this.#mark.run(height, hash);
  }

  /** They are used again. */
  unmark(hashes: readonly Uint8Array[]): void {
    for (const hash of hashes) this.#unmark.run(hash);
  }

  /** Deletes nodes that no map at `height` or later uses, at most `PRUNE_COUNT_MAX` of them. */
  prune(height: number): void {
    for (const blob of this.#select.all(height, PRUNE_COUNT_MAX)) {
      const hash = blobBytes(blob);
      this.#delete.run(hash);
      this.#unmark.run(hash);
    }
  }
}
