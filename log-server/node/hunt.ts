// The search for one artifact at one replica after the other. Whoever is asked may answer at any pace that is not
// refused, and one that dripped held up every batch that names the artifact for as long as it liked: five minutes.
// So as soon as a vote waits for it, the next replica is asked beside one that takes its time.
import type { Urgency } from './fetch-slots.ts';
import type { Holder } from './slow-holders.ts';

/**
 * How long a vote waits for one replica before the next one is asked as well, milliseconds: a parcel takes far less
 * on an idle machine, and it is half of what a voter waits altogether.
 */
export const BESIDE_MS = 1000;

/**
 * What a transfer has to bring for nobody else to be asked, bytes per millisecond of waiting for it: a large artifact
 * on an honest slow line (4 Mbit/s) must not be sent by all at once.
 */
const BROUGHT_PER_MS = 512;

/** Less waiting than this says nothing, milliseconds. */
const WAITED_MS_MIN = 500;

/** Why questions end that are still open then. Made once: an error of its own for each artifact records a stack. */
const ENDED = new Error('the search is over');

/** One transfer: what it brought, and how long it was waited for. Our own disk's time is not its fault. */
export class Transfer {
  readonly #nowMs: () => number;
  #holder: Holder | undefined;
  #bytes = 0;
  #waitedMs = 0;
  /** Since when it has been waited for, while it is. */
  #sinceMs: number | undefined;
  #seen = { bytes: 0, waitedMs: 0 };

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Who sends; `undefined` as long as it waits in line for a place. */
  get holder(): Holder | undefined {
    return this.#holder;
  }

  begin(holder: Holder): void {
    this.#holder = holder;
    this.#sinceMs = this.#nowMs();
  }

  /** Passes chunks on. */
  async *counted(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      this.#stop();
      this.#bytes += chunk.length;
      yield chunk;
      this.#sinceMs = this.#nowMs();
    }
    this.#stop();
  }

  /** Whether it was waited for and brought next to nothing, since this was asked last. */
  isCrawling(): boolean {
    const waitedMs = this.#waited();
    const [waited, brought] = [waitedMs - this.#seen.waitedMs, this.#bytes - this.#seen.bytes];
    if (waited < WAITED_MS_MIN) return false;
    this.#seen = { bytes: this.#bytes, waitedMs };
    return brought < BROUGHT_PER_MS * waited;
  }

  #waited(): number {
    return this.#waitedMs + (this.#sinceMs === undefined ? 0 : this.#nowMs() - this.#sinceMs);
  }

  #stop(): void {
    this.#waitedMs = this.#waited();
    this.#sinceMs = undefined;
  }
}

/** One search. */
export class Hunt {
  readonly digest: string;
  readonly #besideMs: number;
  readonly #over = new AbortController();
  readonly #voteWaits: Promise<void>;
  #urgency: Urgency;
  #hurry: () => void = () => undefined;
  /** Who is to be asked, in order. */
  #unasked: readonly Holder[];
  readonly #known: Set<string>;

  /** @param besideMs see `BESIDE_MS` */
  constructor(digest: string, holders: readonly Holder[], urgency: Urgency, besideMs: number) {
    this.digest = digest;
    this.#besideMs = besideMs;
    this.#urgency = urgency;
    this.#unasked = holders;
    this.#known = new Set(holders.map(({ name }) => name));
    this.#voteWaits = new Promise((resolve) => (this.#hurry = resolve));
    if (urgency === 'batch') this.#hurry();
  }

  /** How much it matters now. */
  get urgency(): Urgency {
    return this.#urgency;
  }

  /** Aborted when it is found: whoever still sends it may stop. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** A vote needs it, and these may have it too. */
  hurry(holders: readonly Holder[]): void {
    const more = holders.filter(({ name }) => !this.#known.has(name));
    for (const { name } of more) this.#known.add(name);
    this.#unasked = [...this.#unasked, ...more];
    this.#urgency = 'batch';
    this.#hurry();
  }

  /** Who is to be asked next; `undefined` when everybody was. @param isSlow whether one comes last */
  next(isSlow: (name: string) => boolean): Holder | undefined {
    const next = this.#unasked.find(({ name }) => !isSlow(name)) ?? this.#unasked[0];
    this.#unasked = this.#unasked.filter((other) => other !== next);
    return next;
  }

  end(): void {
    this.#over.abort(ENDED);
  }

  /**
   * Waits for an answer.
   *
   * @param isLate asked each time that a vote has waited for long
   * @returns the answer, or `late`: it is still to come, and somebody else is to be asked meanwhile
   */
  async unlessLate<T>(answer: Promise<T>, isLate: () => boolean): Promise<T | 'late'> {
    let timer: NodeJS.Timeout | undefined;
    let isAnswered = false;
    const late = this.#voteWaits.then(
      () =>
        new Promise<'late'>((resolve) => {
          if (isAnswered) return;
          timer = setInterval(() => {
            if (isLate()) resolve('late');
          }, this.#besideMs);
        }),
    );
    try {
      return await Promise.race([answer, late]);
    } finally {
      isAnswered = true;
      clearInterval(timer);
    }
  }
}

/** Whether any of them is true, as soon as one is. */
export async function anyOf(all: readonly Promise<boolean>[]): Promise<boolean> {
  const found = all.map(async (one) => {
    if (!(await one)) throw new Error('not this one');
  });
  return Promise.any(found).then(
    () => true,
    () => false,
  );
}
