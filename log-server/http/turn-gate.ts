// Work in turns: so much at one time, one piece of each holder, and whoever waits has the turn that is theirs.
// With a number for all together, the first who asked again and again had all the places, and everybody else
// was told to come again.

interface Line {
  isInside: boolean;
  /** Let their work in, the oldest first. */
  readonly waiting: (() => void)[];
}

/** A gate before which holders wait in turn. Whoever uses it bounds who may wait. */
export class TurnGate {
  readonly #limit: number;
  /** Those who are inside or wait, in the order of their turns. */
  readonly #lines = new Map<string, Line>();
  #running = 0;

  /** @param limit of all together; each holder has one place at most */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Runs `work` when it is the holder's turn. */
  async run<T>(holder: string, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(holder) ?? { isInside: false, waiting: [] };
    this.#lines.set(holder, line);
    await new Promise<void>((enter) => {
      line.waiting.push(enter);
      this.#admit();
    });
    try {
      return await work();
    } finally {
      this.#running -= 1;
      line.isInside = false;
      // Put at the end again: its next turn comes after everybody else's.
      this.#lines.delete(holder);
      if (line.waiting.length > 0) this.#lines.set(holder, line);
      this.#admit();
    }
  }

  /** Holders that are inside or wait. */
  get holders(): number {
    return this.#lines.size;
  }

  #admit(): void {
    for (const line of this.#lines.values()) {
      if (this.#running >= this.#limit) return;
      if (line.isInside) continue;
      const enter = line.waiting.shift();
      if (enter === undefined) continue;
      line.isInside = true;
      this.#running += 1;
      enter();
    }
  }
}
