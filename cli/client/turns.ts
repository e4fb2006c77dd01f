// Work that must not run at the same time as other work of its kind.

/** Lets one piece of work run after the other. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when those before it are done, unless it has been given up by then. */
  async take<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(() => {
      signal.throwIfAborted();
      return work();
    });
    this.#last = mine.catch(() => undefined);
    return await mine;
  }
}
