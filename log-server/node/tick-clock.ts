// Ticks out of a monotonic clock.

/** Ticks made up for at once after a stall; more would fire every timer of the core in one go. */
const TICKS_AT_ONCE_MAX = 5;

/** Counts how many ticks are due. */
export class TickClock {
  readonly #tickMs: number;
  readonly #nowMs: () => number;
  #lastMs: number;

  /** @param nowMs a monotonic clock */
  constructor(tickMs: number, nowMs: () => number) {
    this.#tickMs = tickMs;
    this.#nowMs = nowMs;
    this.#lastMs = nowMs();
  }

  /** Ticks since the last call: 0 to 5. A process that was stopped for an hour has not lived it. */
  due(): number {
    const now = this.#nowMs();
    const ticks = Math.floor((now - this.#lastMs) / this.#tickMs);
    if (ticks <= 0) return 0;
    if (ticks > TICKS_AT_ONCE_MAX) {
      this.#lastMs = now;
      return TICKS_AT_ONCE_MAX;
    }
    this.#lastMs += ticks * this.#tickMs;
    return ticks;
  }

  sinceLastMs(): number {
    return this.#nowMs() - this.#lastMs;
  }
}
