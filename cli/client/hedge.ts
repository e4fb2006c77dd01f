// Asks several servers for one thing, of which any may lie or hang: the first is asked, after a while
// or after a failure the next one too, and the first *good* answer wins. What is good is decided by
// the question itself, which throws when the answer is not.
//
// Where each server was sent a small question at the same time, the first that answers it is the first to be
// asked: dead and silent ones then cost nothing at all, however many there are and wherever they stand in
// the list, and of servers near and far the nearest one is asked. It costs everybody one short exchange,
// which opens the connection that the question then takes.
import type { ReplicaFailure } from '../errors.ts';
import { UnreachableError } from '../errors.ts';
import { machineClock, type WaitClock } from './clock.ts';

/** How long one server may think before another one is asked as well, milliseconds. */
export const HEDGE_DELAY_MS = 1_500;

/** A good answer, whose it is, and who failed before. */
export interface Hedged<T> {
  readonly value: T;
  readonly url: string;
  readonly failures: readonly ReplicaFailure[];
  /** Servers that were asked before, and have not answered. */
  readonly overtaken: readonly string[];
}

/** How to ask. */
export interface HedgeOptions {
  readonly signal: AbortSignal;
  readonly delayMs?: number;
  /**
   * A small question that each server was sent at the same time: whoever answers it first is asked first, and
   * who fails it last. While nobody has answered it, nobody is asked, up to `delayMs`.
   */
  readonly signOfLife?: (url: string) => Promise<unknown>;
  /** Servers that have cost time before: they are asked when nobody else is left. */
  readonly wasteful?: ReadonlySet<string>;
  /** Failures after which nobody else is asked, because they are proof or a ruling. */
  readonly isFinal?: (error: unknown) => boolean;
  /** The machine's, unless a test says what time is. */
  readonly clock?: WaitClock;
}

/**
 * Asks one server, and throws for a bad answer.
 *
 * @param signal aborted when another server was faster
 * @param arrived to be called when the whole answer is there and only has to be judged: meanwhile nobody
 *        else is asked, because that would be paid for on both sides and could not be sooner
 */
export type Ask<S, T> = (server: S, signal: AbortSignal, arrived: () => void) => Promise<T>;

/**
 * Asks until one answer is good. Each server is asked at most once.
 *
 * @throws whatever a final failure was; {UnreachableError} when all failed
 */
export async function askUntilGood<S extends { readonly url: string }, T>(
  servers: readonly S[],
  ask: Ask<S, T>,
  options: HedgeOptions,
): Promise<Hedged<T>> {
  const { clock = machineClock, delayMs = HEDGE_DELAY_MS } = options;
  const done = new AbortController();
  const signal = AbortSignal.any([options.signal, done.signal]);
  const failures: ReplicaFailure[] = [];
  const waiting = new WaitingList(servers, options, signal);
  const running = new Map<Promise<Outcome<T>>, string>();
  /** Servers whose answers are being judged. */
  const judged = new Set<string>();

  const start = (): void => {
    const server = waiting.take();
    if (server === undefined) return;
    const arrived = (): void => void judged.add(server.url);
    const outcome: Promise<Outcome<T>> = ask(server, signal, arrived).then(
      (value) => ({ kind: 'good', value, url: server.url, promise: outcome }),
      (error: unknown) => ({
        kind: 'bad',
        error: asError(error),
        url: server.url,
        promise: outcome,
      }),
    );
    running.set(outcome, server.url);
  };

  try {
    // Nobody at all may be alive; whoever is asked then fails, and says why.
    await Promise.race([waiting.isKnown, clock.pause(delayMs, signal), whenAborted(signal)]);
    start();
    while (running.size > 0) {
      const isLate = judged.size === 0 && waiting.size > 0;
      const pause = new AbortController();
      const later = clock
        .pause(delayMs, AbortSignal.any([signal, pause.signal]))
        .then(() => 'later' as const);
      const next = await Promise.race([...running.keys(), ...(isLate ? [later] : [])]);
      pause.abort();
      if (next === 'later') {
        // The answer may have come while this timer was waiting.
        if (judged.size === 0) start();
        continue;
      }
      running.delete(next.promise);
      judged.delete(next.url);
      if (next.kind === 'good') {
        return { value: next.value, url: next.url, failures, overtaken: [...running.values()] };
      }
      if (options.isFinal?.(next.error) === true) throw next.error;
      failures.push({ url: next.url, error: next.error });
      if (options.signal.aborted) {
        for (const url of running.values())
          failures.push({ url, error: new Error('no answer yet') });
        break;
      }
      start();
    }
  } finally {
    done.abort();
  }
  throw new UnreachableError(`none of ${servers.length} replicas gave a usable answer`, failures);
}

// Who is still to be asked.
class WaitingList<S extends { readonly url: string }> {
  readonly #waiting: S[];
  readonly #wasteful: ReadonlySet<string>;
  /** Those that have shown a sign of life, in that order. */
  readonly #well: string[] = [];
  readonly #unwell = new Set<string>();
  /** Resolves when it is known whom to ask first. */
  readonly isKnown: Promise<void>;

  constructor(servers: readonly S[], options: HedgeOptions, signal: AbortSignal) {
    const { signOfLife, wasteful = new Set() } = options;
    this.#waiting = [...servers];
    this.#wasteful = wasteful;
    this.isKnown =
      signOfLife === undefined ? Promise.resolve() : this.#watch(servers, signOfLife, signal);
  }

  get size(): number {
    return this.#waiting.length;
  }

  async #watch(
    servers: readonly S[],
    signOfLife: (url: string) => Promise<unknown>,
    signal: AbortSignal,
  ): Promise<void> {
    const hopeful = new Set(
      servers.map(({ url }) => url).filter((url) => !this.#wasteful.has(url)),
    );
    await new Promise<void>((resolve) => {
      if (hopeful.size === 0) resolve();
      for (const { url } of servers) {
        signOfLife(url).then(
          () => {
            this.#well.push(url);
            if (hopeful.has(url)) resolve();
          },
          () => {
            if (!signal.aborted) this.#unwell.add(url);
            hopeful.delete(url);
            if (hopeful.size === 0) resolve();
          },
        );
      }
    });
  }

  take(): S | undefined {
    const rank = ({ url }: S): number => {
      const place = this.#well.indexOf(url);
      const isWasteful = this.#wasteful.has(url) ? 3 : 0;
      if (place >= 0) return isWasteful + place / (this.#well.length + 1);
      return isWasteful + (this.#unwell.has(url) ? 2 : 1);
    };
    const best = this.#waiting.toSorted((a, b) => rank(a) - rank(b))[0];
    if (best !== undefined) this.#waiting.splice(this.#waiting.indexOf(best), 1);
    return best;
  }
}

type Outcome<T> = {
  readonly url: string;
  readonly promise: Promise<Outcome<T>>;
} & (
  | { readonly kind: 'good'; readonly value: T }
  | { readonly kind: 'bad'; readonly error: Error }
);

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Whatever was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
