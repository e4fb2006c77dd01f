// One thing after the other: whatever reads the ledger's state waits for the writes that were asked for
// before it, and a write never changes the state under a reader.

/** Runs tasks strictly in order. */
export class Lane {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** Runs `task` after all earlier ones. Its failure is its caller's; the lane goes on. */
  run<T>(task: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const done = this.#last.then(task).finally(() => this.#waiting--);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Tasks that run or wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Resolves when everything asked for so far is done. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
