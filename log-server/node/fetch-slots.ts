// Who may fetch next. A batch that waits for an artifact holds a vote up; an old artifact that is
// missing here holds nobody up. So a replica that is back from a long absence, with hundreds of
// artifacts to catch up on, must not let the batches of today stand in line behind them; nor must what
// strangers submit, who can name any number of artifacts. And no single replica may hold all places by
// answering slowly.

/** How much a fetch matters: a vote waits for it, somebody's submission does, or nobody. */
export type Urgency = 'batch' | 'submission' | 'repair';

/** Who goes first. */
const ORDER: readonly Urgency[] = ['batch', 'submission', 'repair'];

/** A question that waits for its place. */
export interface Asking<H> {
  readonly digest: string;
  readonly urgency: Urgency;
  /** Who may be asked, the first that is not slow; at least one. */
  readonly holders: readonly H[];
}

interface Waiting<H> {
  readonly digest: string;
  urgency: Urgency;
  readonly holders: readonly H[];
  readonly start: (holder: H) => void;
}

/** A bounded number of places, of which batches get any and the others some. */
export class FetchSlots<H extends { readonly name: string }> {
  readonly #slots: number;
  readonly #limits: Readonly<Record<Urgency, number>>;
  readonly #running: Record<Urgency, number> = { batch: 0, submission: 0, repair: 0 };
  readonly #perHolder: number;
  readonly #isSlow: (name: string) => boolean;
  /** Places that each replica has; of those that have any. */
  readonly #held = new Map<string, number>();
  #waiting: Waiting<H>[] = [];

  /**
   * @param slots fetches at one time
   * @param submissionSlots of them, for submissions at one time
   * @param repairSlots of them, repairs at one time; both together fewer than `slots`
   * @param isSlow whether a replica is asked after all others
   */
  constructor(
    slots: number,
    submissionSlots: number,
    repairSlots: number,
    isSlow: (name: string) => boolean,
  ) {
    this.#slots = slots;
    this.#perHolder = Math.max(1, Math.floor(slots / 2));
    this.#isSlow = isSlow;
    this.#limits = { batch: slots, submission: submissionSlots, repair: repairSlots };
  }

  /**
   * Does `work` when there is a place for it; in order of arrival, batches first. One replica has half
   * of all places at most; a question to it that finds none waits, and holds no place meanwhile.
   *
   * @param work is told whom to ask, and what it counts as: it may have been hurried since
   */
  async run<T>(asking: Asking<H>, work: (holder: H, urgency: Urgency) => Promise<T>): Promise<T> {
    const [entry, holder] = await new Promise<readonly [Waiting<H>, H]>((resolve) => {
      const waiting: Waiting<H> = { ...asking, start: (chosen) => resolve([waiting, chosen]) };
      this.#waiting.push(waiting);
      this.#startNext();
    });
    const kind = entry.urgency;
    try {
      return await work(holder, kind);
    } finally {
      this.#running[kind]--;
      const left = this.#placesOf(holder) - 1;
      if (left > 0) this.#held.set(holder.name, left);
      else this.#held.delete(holder.name);
      this.#startNext();
    }
  }

  /** A batch needs what so far was less urgent: it goes before all others that still wait. */
  hurry(digest: string): void {
    for (const entry of this.#waiting) if (entry.digest === digest) entry.urgency = 'batch';
    this.#startNext();
  }

  #startNext(): void {
    for (;;) {
      const { batch, submission, repair } = this.#running;
      if (batch + submission + repair >= this.#slots) return;
      const next = this.#next();
      if (next === undefined) return;
      const [entry, holder] = next;
      this.#waiting = this.#waiting.filter((other) => other !== entry);
      this.#running[entry.urgency]++;
      this.#held.set(holder.name, this.#placesOf(holder) + 1);
      entry.start(holder);
    }
  }

  #next(): readonly [Waiting<H>, H] | undefined {
    const free = ORDER.filter((kind) => this.#running[kind] < this.#limits[kind]);
    for (const kind of free) {
      for (const entry of this.#waiting) {
        if (entry.urgency !== kind) continue;
        const holder = this.#choose(entry);
        if (holder !== undefined && this.#placesOf(holder) < this.#perHolder)
          return [entry, holder];
      }
    }
    return undefined;
  }

  // Not the next one when the first has no place: it is the likeliest to have the artifact, and asking
  // everybody for everything would be many more questions.
  #choose({ holders }: Waiting<H>): H | undefined {
    return holders.find(({ name }) => !this.#isSlow(name)) ?? holders[0];
  }

  #placesOf(holder: H): number {
    return this.#held.get(holder.name) ?? 0;
  }
}
