// Replicas that let us down a moment ago. They are asked last, not never: they may be the only ones that
// hold an artifact, and may be well again.

/** How long a replica is asked last, milliseconds: a view or two, and it holds places for seconds in it. */
const SLOW_MS = 60_000;

/** Names remembered: all replicas of the largest roster. */
const NAMES_MAX = 100;

/** A replica to ask. */
export interface Holder {
  readonly name: string;
  /** Public address, without a final slash. */
  readonly url: string;
}

/** A replica answers too slowly to be waited for, or something else than it was asked for. */
export class HolderError extends Error {
  override readonly name = 'HolderError';
}

/** Names of replicas that were too slow, silent or wrong lately. */
export class SlowHolders {
  readonly #nowMs: () => number;
  readonly #until = new Map<string, number>();

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** It has let us down. */
  note(name: string): void {
    // Put at the end again: the first is the one that was noted longest ago.
    this.#until.delete(name);
    this.#until.set(name, this.#nowMs() + SLOW_MS);
    if (this.#until.size <= NAMES_MAX) return;
    const oldest = this.#until.keys().next();
    if (oldest.done !== true) this.#until.delete(oldest.value);
  }

  /** Whether it is asked last now. */
  has(name: string): boolean {
    const until = this.#until.get(name);
    return until !== undefined && this.#nowMs() < until;
  }

  get size(): number {
    return this.#until.size;
  }
}
