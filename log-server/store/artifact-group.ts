// Puts artifacts into the index in groups: a transaction costs an fsync, whatever is in it. Whoever puts
// one artifact waits a moment for others; whoever puts hundreds (a batch's, from another replica) pays
// for a few transactions instead of hundreds.
import type { ArtifactEntry, ArtifactTables } from './artifact-tables.ts';

/** How long the first of a group waits for others, milliseconds: less than its fsync takes. */
const GATHER_MS = 2;

/**
 * Bytes in one transaction: a vote may have to wait until it is over, and writing this much takes about
 * as long as the fsync behind it. One artifact is taken whatever its size.
 */
export const GROUP_BYTES_MAX: number = 1024 * 1024;

/** Rows in one transaction, for the same reason. */
export const GROUP_COUNT_MAX = 256;

interface Waiting {
  readonly entry: ArtifactEntry;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Gathers what is to be put into the index. */
export class ArtifactGroup {
  readonly #tables: Pick<ArtifactTables, 'putAll'>;
  #waiting: Waiting[] = [];
  #isScheduled = false;

  constructor(tables: Pick<ArtifactTables, 'putAll'>) {
    this.#tables = tables;
  }

  /**
   * Puts an artifact into the index.
   *
   * @returns when it is on the disk
   * @throws what its transaction throws; nothing of the group is in the index then
   */
  async put(entry: ArtifactEntry): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entry, resolve, reject });
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      setTimeout(() => this.#flush(), GATHER_MS);
    });
  }

  /** One transaction, and then everybody else's turn: votes among them. */
  #flush(): void {
    const group = this.#take();
    try {
      this.#tables.putAll(group.map(({ entry }) => entry));
      for (const { resolve } of group) resolve();
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
    this.#isScheduled = this.#waiting.length > 0;
    // Behind whatever came while the disk was busy.
    if (this.#isScheduled) setImmediate(() => this.#flush());
  }

  #take(): readonly Waiting[] {
    let count = 0;
    let bytes = 0;
    for (const { entry } of this.#waiting) {
      bytes += entry.bytes?.length ?? 0;
      if (count > 0 && (count === GROUP_COUNT_MAX || bytes > GROUP_BYTES_MAX)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }
}
