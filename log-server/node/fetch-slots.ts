// Who may fetch next. A batch that waits for an artifact holds a vote up; an old artifact that is
// missing here holds nobody up. So a replica that is back from a long absence, with hundreds of
// artifacts to catch up on, must not let the batches of today stand in line behind them; nor must what
// strangers submit, who can name any number of artifacts.

/** How much a fetch matters: a vote waits for it, somebody's submission does, or nobody. */
export type Urgency = 'batch' | 'submission' | 'repair';

/** Who goes first. */
const ORDER: readonly Urgency[] = ['batch', 'submission', 'repair'];

interface Waiting {
  readonly digest: string;
  urgency: Urgency;
  readonly start: () => void;
}

/** A bounded number of places, of which batches get any and the others some. */
export class FetchSlots {
  readonly #slots: number;
  readonly #limits: Readonly<Record<Urgency, number>>;
  readonly #running: Record<Urgency, number> = { batch: 0, submission: 0, repair: 0 };
  #waiting: Waiting[] = [];

  /**
   * @param slots fetches at one time
   * @param submissionSlots of them, for submissions at one time
   * @param repairSlots of them, repairs at one time; both together fewer than `slots`
   */
  constructor(slots: number, submissionSlots: number, repairSlots: number) {
    this.#slots = slots;
    this.#limits = { batch: slots, submission: submissionSlots, repair: repairSlots };
  }

  /**
   * Does `work` when there is a place for it; in order of arrival, batches first.
   *
   * @param work is told what it counts as: it may have been hurried since
   */
  async run<T>(
    digest: string,
    urgency: Urgency,
    work: (urgency: Urgency) => Promise<T>,
  ): Promise<T> {
    const waiting = await new Promise<Waiting>((resolve) => {
      const entry: Waiting = { digest, urgency, start: () => resolve(entry) };
      this.#waiting.push(entry);
      this.#startNext();
    });
    const kind = waiting.urgency;
    try {
      return await work(kind);
    } finally {
      this.#running[kind]--;
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
      this.#waiting = this.#waiting.filter((entry) => entry !== next);
      this.#running[next.urgency]++;
      next.start();
    }
  }

  #next(): Waiting | undefined {
    const free = ORDER.filter((kind) => this.#running[kind] < this.#limits[kind]);
    for (const kind of free) {
      const first = this.#waiting.find(({ urgency }) => urgency === kind);
      if (first !== undefined) return first;
    }
    return undefined;
  }
}
