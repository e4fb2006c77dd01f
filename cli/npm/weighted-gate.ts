// So much at one time and no more; who comes later waits in line.

/** Lets work in by its weight. */
export class WeightedGate {
  readonly #capacity: number;
  readonly #waiting: { readonly weight: number; readonly enter: () => void }[] = [];
  #taken = 0;

  /** @param capacity weight that may be inside at one time, positive */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /**
   * Does the work when there is room for it, in the order of the calls.
   *
   * @param weight one that is over the capacity counts as all of it: it is let in alone
   */
  async run<T>(weight: number, work: () => Promise<T>): Promise<T> {
    const counted = Math.min(weight, this.#capacity);
    await new Promise<void>((enter) => {
      this.#waiting.push({ weight: counted, enter });
      this.#admit();
    });
    try {
      return await work();
    } finally {
      this.#taken -= counted;
      this.#admit();
    }
  }

  // The first in line is never passed by: small ones would keep a large one out for ever.
  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#taken + next.weight > this.#capacity) return;
      this.#taken += next.weight;
      this.#waiting.shift();
      next.enter();
    }
  }
}
