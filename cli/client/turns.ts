// Work that must not run at the same time as other work of its kind.
import { setImmediate as soon } from 'node:timers/promises';

/** Lets one piece of work run after the other. */
export class Turns {
  #last: Promise<unknown> | undefined;

  /** Runs `work` when those before it are done, unless it has been given up by then. */
  async take<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const mine = this.#after(this.#last, signal, work);
    this.#last = mine.catch(() => undefined);
    return await mine;
  }

  async #after<T>(
    before: Promise<unknown> | undefined,
    signal: AbortSignal,
    work: () => Promise<T>,
  ): Promise<T> {
    if (before !== undefined) {
      await before;
      // Whoever waited for the one before hears of its end a few steps later, and may need no more.
      await soon();
    }
    signal.throwIfAborted();
    return await work();
  }
}
