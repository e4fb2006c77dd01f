// What is handed in has to be read and judged in the thread that votes are counted in: a tenth of a millisecond for
// an ordinary submission, a whole one for a claim with 64 maintainers and as many bad signatures. A faulty peer can
// hand in a thousand of those at a time, and took the thread for a second, again and again; one client can send as many
// in a second. So little of it is done at once, one piece of each holder in turn, and then everything else that
// has come has its turn. No pauses besides: on a busy machine, where time passes without any work, a third of a
// log's rate went with them.

/** How long such work goes on before other work has a turn, milliseconds: what a vote may find before it. */
const SLICE_MS = 4;

/** What turns are measured and parted by. */
export interface TurnClock {
  /** Milliseconds; never goes back. */
  readonly nowMs: () => number;
  /** Calls `then` when other work has had a turn. */
  readonly afterOthers: (then: () => void) => void;
}

const REAL_CLOCK: TurnClock = {
  nowMs: () => performance.now(),
  afterOthers: (then) => void setImmediate(then),
};

/** Work of holders in turn. Whoever uses it bounds how much of each may wait. */
export class HolderTurns {
  readonly #clock: TurnClock;
  /** Starts work, the oldest first; in the order of the holders' turns. Empty lines are not kept. */
  readonly #lines = new Map<string, (() => void)[]>();
  #isScheduled = false;

  constructor(clock: TurnClock = REAL_CLOCK) {
    this.#clock = clock;
  }

  /**
   * Starts work when it is the holder's turn.
   *
   * @param work what it does before it first waits is what is shared out
   */
  run<T>(holder: string, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const line = this.#lines.get(holder) ?? [];
      line.push(() => void work().then(resolve, reject));
      this.#lines.set(holder, line);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#lines.size === 0) return;
    this.#isScheduled = true;
    this.#clock.afterOthers(() => {
      this.#isScheduled = false;
      this.#work();
    });
  }

  #work(): void {
    const startMs = this.#clock.nowMs();
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      next();
      if (this.#clock.nowMs() - startMs >= SLICE_MS) break;
    }
    this.#schedule();
  }

  #next(): (() => void) | undefined {
    for (const [holder, line] of this.#lines) {
      // Put at the end again: its next turn comes after everybody else's.
      this.#lines.delete(holder);
      const start = line.shift();
      if (line.length > 0) this.#lines.set(holder, line);
      return start;
    }
    return undefined;
  }
}
