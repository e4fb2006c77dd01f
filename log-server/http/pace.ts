// How slowly bytes may come. A limit on the pause between two chunks alone lets a sender that drips hold
// its place until the limit on the whole; a few such senders then hold all places, at no cost to them.

/** The pace that is asked of a sender. */
export interface PaceLimits {
  /** What it has to send on average. */
  readonly bytesPerSecond: number;
  /** Waiting for it that is free, milliseconds: for a beginning, and for a pause now and then. */
  readonly graceMs: number;
}

/**
 * What everybody has to reach who sends an artifact: an eighth of what a slow DSL line does upwards. Who
 * holds a place at that pace pays for it with traffic.
 *
 * The grace is above the three seconds after which TCP has sent a lost packet again twice.
 */
export const ARTIFACT_PACE: PaceLimits = { bytesPerSecond: 32 * 1024, graceMs: 5000 };

/**
 * Adds up how long one sender was waited for, and what it sent. Only waiting counts: a slow disk on our
 * side is not its fault.
 */
export class Pace {
  readonly #limits: PaceLimits;
  #creditMs: number;

  constructor(limits: PaceLimits) {
    this.#limits = limits;
    this.#creditMs = limits.graceMs;
  }

  /** How long the next bytes may take, milliseconds; zero or less: it is too slow. */
  get patienceMs(): number {
    return this.#creditMs;
  }

  /**
   * Some bytes came.
   *
   * @param waitedMs how long they were waited for
   */
  received(bytes: number, waitedMs: number): void {
    const { bytesPerSecond, graceMs } = this.#limits;
    const earnedMs = (bytes * 1000) / bytesPerSecond;
    // Never above the grace: otherwise a few megabytes at the beginning would buy minutes of dripping.
    this.#creditMs = Math.min(graceMs, this.#creditMs - waitedMs + earnedMs);
  }
}

/** Passes chunks on as long as they keep the pace. @throws what `tooSlow` makes */
export async function* keepingPace(
  source: AsyncIterable<Uint8Array>,
  limits: PaceLimits,
  tooSlow: () => Error,
): AsyncGenerator<Uint8Array> {
  const pace = new Pace(limits);
  const chunks = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const before = performance.now();
      const next = await within(chunks.next(), pace.patienceMs, tooSlow);
      if (next.done === true) return;
      pace.received(next.value.length, performance.now() - before);
      yield next.value;
    }
  } finally {
    // Not awaited: a source that hangs would hold up the refusal.
    chunks.return?.().catch(() => undefined);
  }
}

/** The result of `work`, unless it takes longer. @throws what `tooSlow` makes */
export async function within<T>(
  work: Promise<T>,
  milliseconds: number,
  tooSlow: () => Error,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooSlow()), Math.max(0, milliseconds));
  });
  // If the deadline wins, the read that is still under way may fail later, when the socket is cut.
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
