// A few pieces of work at a time, and what a vote waits for before everything else. Strangers' archives of a few
// kilobytes that inflate to megabytes stood in the one line in which a batch's artifacts are checked too.
import type { ArtifactPurpose } from './artifact-store.ts';

/** A line with votes in front. */
export class Turns {
  readonly #waiting: Readonly<Record<ArtifactPurpose, (() => void)[]>> = { vote: [], offer: [] };
  #free: number;

  /** @param atOnce pieces of work */
  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** Runs `work` when it is its turn. Whoever uses it bounds how many wait. */
  async run<T>(purpose: ArtifactPurpose, work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting[purpose].push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.vote.shift() ?? this.#waiting.offer.shift();
      // Handed over: nobody who comes in between has it.
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
