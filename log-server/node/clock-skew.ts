// How far this machine's clock is from those of the other replicas, by the times in their cosignatures.
// For an operator: batches and freshness are judged by the clock, and a replica whose clock is off
// refuses good proposals (CONSENSUS N5) long before anybody looks at `date`.

/** Cosignatures say whole seconds: on average half a second has passed. */
const HALF_SECOND_MS = 500;

/** Replicas remembered: all of the largest roster. */
const REPLICAS_MAX = 64;

/** Compares clocks. */
export class ClockSkew {
  readonly #wallMs: () => number;
  readonly #seen = new Map<number, number>();
  readonly #skews = new Map<number, number>();

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
  }

  /**
   * Takes in cosignatures at the moment that one of them has come. Which one is new is told by its time:
   * the others may be a minute old.
   *
   * @param self roster index of this replica; its own clock says nothing about itself
   */
  observe(
    cosignatures: readonly { readonly signer: number; readonly time: number }[],
    self: number | undefined,
  ): void {
    const nowMs = this.#wallMs();
    for (const { signer, time } of cosignatures) {
      const before = this.#seen.get(signer);
      if (signer === self || signer >= REPLICAS_MAX || before === time) continue;
      this.#seen.set(signer, time);
      // The first one may have waited here for others, or there before the connection was made.
      if (before === undefined) continue;
      this.#skews.set(signer, (time * 1000 + HALF_SECOND_MS - nowMs) / 1000);
    }
  }

  /** Another roster: its indexes mean other replicas. */
  forget(): void {
    this.#seen.clear();
    this.#skews.clear();
  }

  /**
   * Seconds that the others are ahead of this clock: the median, so that a minority of wrong clocks says
   * nothing. `undefined` before enough is known.
   */
  get medianSeconds(): number | undefined {
    const sorted = [...this.#skews.values()].sort((a, b) => a - b);
    return sorted[Math.floor((sorted.length - 1) / 2)];
  }
}
