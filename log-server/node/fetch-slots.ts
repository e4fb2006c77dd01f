// Who may fetch next. A batch that waits for an artifact holds a vote up; an old artifact that is
// missing here holds nobody up. So a replica that is back from a long absence, with hundreds of
// artifacts to catch up on, must not let the batches of today stand in line behind them.

/** How much a fetch matters: a vote waits for it, or nobody does. */
export type Urgency = 'batch' | 'repair';

interface Waiting {
  readonly digest: string;
  urgency: Urgency;
  readonly start: () => void;
}

/** A bounded number of places, of which repairs get some and batches any. */
export class FetchSlots {
  readonly #slots: number;
  readonly #repairSlots: number;
  #waiting: Waiting[] = [];
  #active = 0;
  #repairs = 0;

  /**
   * @param slots fetches at one time
   * @param repairSlots of them, repairs at one time; fewer
   */
  constructor(slots: number, repairSlots: number) {
    this.#slots = slots;
    this.#repairSlots = repairSlots;
  }

  /** Does `work` when there is a place for it; in order of arrival, batches first. */
  async run<T>(digest: string, urgency: Urgency, work: () => Promise<T>): Promise<T> {
    const waiting = await new Promise<Waiting>((resolve) => {
      const entry: Waiting = { digest, urgency, start: () => resolve(entry) };
      this.#waiting.push(entry);
      this.#startNext();
    });
    // A repair that was hurried counts as what it has become.
    const kind = waiting.urgency;
    try {
      return await work();
    } finally {
      this.#active--;
      if (kind === 'repair') this.#repairs--;
      this.#startNext();
    }
  }

  /** A batch needs what so far was a repair: it goes before all repairs that still wait. */
  hurry(digest: string): void {
    for (const entry of this.#waiting) if (entry.digest === digest) entry.urgency = 'batch';
    this.#startNext();
  }

  #startNext(): void {
    while (this.#active < this.#slots) {
      const next =
        this.#waiting.find(({ urgency }) => urgency === 'batch') ??
        (this.#repairs < this.#repairSlots ? this.#waiting[0] : undefined);
      if (next === undefined) return;
      this.#waiting = this.#waiting.filter((entry) => entry !== next);
      this.#active++;
      if (next.urgency === 'repair') this.#repairs++;
      next.start();
    }
  }
}
