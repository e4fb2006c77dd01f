// What is handed in has to be read and judged in the thread that votes are counted in: a tenth of a millisecond for
// an ordinary submission, a whole one for a claim with 64 maintainers and as many bad signatures. A faulty peer can
// hand in a thousand of those at a time, and took the thread for a second, again and again; one client can send as many
// in a second. So little of it is done at once, one piece of each holder in turn, and then everything else that
// has come has its turn.
//
// Little is measured in bytes, which is what the work grows with, and not by the clock: on a machine that others
// use, a few milliseconds pass without any work. An honest leader of ten replicas on two cores admitted so slowly
// that batches with room went by what it had been given, which looks like censoring, and everybody relayed it.

/**
 * Bytes that are judged before other work has a turn: twenty of the costliest claims, or two hundred ordinary
 * submissions, which is a batch. Some 20 ms, a hundredth of what a view timer waits.
 */
const SLICE_BYTES: number = 256 * 1024;

/** What a piece counts for at least: to find that an empty one means nothing takes time too. */
const PIECE_BYTES_MIN = 1024;

/** Calls `then` when other work has had a turn. */
export type AfterOthers = (then: () => void) => void;

/** Work that waits. */
interface Piece {
  readonly bytes: number;
  readonly start: () => void;
}

/** Work of holders in turn. Whoever uses it bounds how much of each may wait. */
export class HolderTurns {
  readonly #afterOthers: AfterOthers;
  /** The oldest first; in the order of the holders' turns. Empty lines are not kept. */
  readonly #lines = new Map<string, Piece[]>();
  #isScheduled = false;

  constructor(afterOthers: AfterOthers = (then) => void setImmediate(then)) {
    this.#afterOthers = afterOthers;
  }

  /**
   * Starts work when it is the holder's turn.
   *
   * @param bytes of what is read and judged
   * @param work what it does before it first waits is what is shared out
   */
  run<T>(holder: string, bytes: number, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const line = this.#lines.get(holder) ?? [];
      line.push({ bytes, start: () => void work().then(resolve, reject) });
      this.#lines.set(holder, line);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#lines.size === 0) return;
    this.#isScheduled = true;
    this.#afterOthers(() => {
      this.#isScheduled = false;
      this.#work();
    });
  }

  #work(): void {
    let bytes = 0;
    while (bytes < SLICE_BYTES) {
      const next = this.#next();
      if (next === undefined) break;
      bytes += Math.max(next.bytes, PIECE_BYTES_MIN);
      next.start();
    }
    this.#schedule();
  }

  #next(): Piece | undefined {
    for (const [holder, line] of this.#lines) {
      // Put at the end again: its next turn comes after everybody else's.
      this.#lines.delete(holder);
      const piece = line.shift();
      if (line.length > 0) this.#lines.set(holder, line);
      return piece;
    }
    return undefined;
  }
}
