// Puts artifacts into the index in groups: a transaction costs an fsync, whatever is in it. Whoever puts
// one artifact waits a moment for others; whoever puts hundreds (a batch's, from another replica) pays
// for a few transactions instead of hundreds.
import type { ArtifactEntry, ArtifactTables } from './artifact-tables.ts';

/** How long the first of a group waits for others at least, milliseconds. */
export const GATHER_MS_MIN = 2;

/** And at most: a publisher waits for it, and maybe a vote. */
export const GATHER_MS_MAX = 40;

/**
 * In times of what the last transaction took: uploads have a third of this thread at most. On a busy disk an
 * fsync takes 10 ms and more, in which nobody is heard, and most groups were of one artifact.
 */
const GATHER_FACTOR = 2;

/**
 * Bytes in one transaction: a vote may have to wait until it is over, and writing this much takes about
 * as long as the fsync behind it. One artifact is taken whatever its size.
 */
export const GROUP_BYTES_MAX: number = 1024 * 1024;

/** Rows in one transaction, for the same reason. */
export const GROUP_COUNT_MAX = 256;

/** For tests: a clock and timers of their own. */
export interface GroupTimes {
  /** Monotonic, milliseconds. */
  readonly nowMs: () => number;
  readonly after: (milliseconds: number, task: () => void) => void;
}

const REAL_TIMES: GroupTimes = {
  nowMs: () => performance.now(),
  after: (milliseconds, task) => void setTimeout(task, milliseconds),
};

interface Waiting {
  readonly entry: ArtifactEntry;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Gathers what is to be put into the index. */
export class ArtifactGroup {
  readonly #tables: Pick<ArtifactTables, 'putAll'>;
  readonly #times: GroupTimes;
  #waiting: Waiting[] = [];
  #isScheduled = false;
  #lastMs = 0;

  constructor(tables: Pick<ArtifactTables, 'putAll'>, times: GroupTimes = REAL_TIMES) {
    this.#tables = tables;
    this.#times = times;
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
      this.#later();
    });
  }

  #later(): void {
    const gatherMs = Math.min(Math.max(GATHER_FACTOR * this.#lastMs, GATHER_MS_MIN), GATHER_MS_MAX);
    this.#times.after(gatherMs, () => this.#flush());
  }

  /** One transaction, and then everybody else's turn: votes among them. */
  #flush(): void {
    const group = this.#take();
    const startMs = this.#times.nowMs();
    try {
      this.#tables.putAll(group.map(({ entry }) => entry));
      for (const { resolve } of group) resolve();
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
    this.#lastMs = this.#times.nowMs() - startMs;
    this.#isScheduled = this.#waiting.length > 0;
    if (this.#isScheduled) this.#later();
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
