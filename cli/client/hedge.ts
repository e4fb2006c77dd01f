// Asks several servers for one thing, of which any may lie or hang: the first is asked, after a while
// or after a failure the next one too, and the first *good* answer wins. What is good is decided by
// the question itself, which throws when the answer is not.
import type { ReplicaFailure } from '../errors.ts';
import { UnreachableError } from '../errors.ts';

/** How long one server may think before another one is asked as well, milliseconds. */
export const HEDGE_DELAY_MS = 1_500;
// A server that was sent a small question together with another one, which has answered it since, gets
// as long again (up to a bound) and a bit more before it is taken for silent: less than anybody notices.
// Taken for silent wrongly, it costs one question more, to a server that was faster.
const SILENCE_AGAIN_MS_MAX = 30;
const SILENCE_MARGIN_MS = 10;

/** A good answer, whose it is, and who failed before. */
export interface Hedged<T> {
  readonly value: T;
  readonly url: string;
  readonly failures: readonly ReplicaFailure[];
}

/** How to ask. */
export interface HedgeOptions {
  readonly signal: AbortSignal;
  readonly delayMs?: number;
  /**
   * A small question that each server was sent at the same time: whoever has answered it is asked
   * sooner, and one that has not while others have is not waited for. Without it, a dead server at
   * the front of the list would cost every run its delay.
   */
  readonly signOfLife?: (url: string) => Promise<unknown>;
  /** Failures after which nobody else is asked, because they are proof or a ruling. */
  readonly isFinal?: (error: unknown) => boolean;
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
  const done = new AbortController();
  const signal = AbortSignal.any([options.signal, done.signal]);
  const failures: ReplicaFailure[] = [];
  const waiting = new WaitingList(servers, options.signOfLife, signal);
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
    start();
    while (running.size > 0) {
      const next = await Promise.race([
        ...running.keys(),
        ...(judged.size > 0
          ? []
          : hedgeTimers(waiting, [...running.values()], signal, options.delayMs)),
      ]);
      if (next === 'later') {
        // The answer may have come while this timer was waiting.
        if (judged.size === 0) start();
        continue;
      }
      running.delete(next.promise);
      judged.delete(next.url);
      if (next.kind === 'good') return { value: next.value, url: next.url, failures };
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

// Who is still to be asked: in the order given, but those that have shown a sign of life first and those
// that are known to be unwell last.
class WaitingList<S extends { readonly url: string }> {
  readonly #waiting: S[];
  readonly #health = new Map<string, 'well' | 'unwell'>();
  /** Resolves when the first server has shown a sign of life, with the milliseconds that it took. */
  readonly firstSign: Promise<number>;

  constructor(servers: readonly S[], signOfLife: HedgeOptions['signOfLife'], signal: AbortSignal) {
    this.#waiting = [...servers];
    const start = performance.now();
    this.firstSign = new Promise((resolve) => {
      if (signOfLife === undefined) return;
      for (const { url } of servers) {
        signOfLife(url).then(
          () => {
            this.#health.set(url, 'well');
            resolve(performance.now() - start);
          },
          () => {
            if (!signal.aborted) this.#health.set(url, 'unwell');
          },
        );
      }
    });
  }

  get size(): number {
    return this.#waiting.length;
  }

  isWell(url: string): boolean {
    return this.#health.get(url) === 'well';
  }

  get hasWell(): boolean {
    return this.#waiting.some(({ url }) => this.isWell(url));
  }

  take(): S | undefined {
    const rank = ({ url }: S): number =>
      ({ well: 0, unknown: 1, unwell: 2 })[this.#health.get(url) ?? 'unknown'];
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

// Each of these says when to ask the next server as well.
function hedgeTimers(
  waiting: WaitingList<{ readonly url: string }>,
  running: readonly string[],
  signal: AbortSignal,
  delayMs: number = HEDGE_DELAY_MS,
): readonly Promise<'later'>[] {
  if (waiting.size === 0) return [];
  const whenSilent = async (): Promise<'later'> => {
    const tookMs = await waiting.firstSign;
    await pause(Math.min(tookMs, SILENCE_AGAIN_MS_MAX) + SILENCE_MARGIN_MS, signal);
    const isSilent = waiting.hasWell && !running.some((url) => waiting.isWell(url));
    return isSilent ? 'later' : await new Promise(() => undefined);
  };
  return [pause(delayMs, signal).then(() => 'later' as const), whenSilent()];
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    // The process must not be kept waiting for a question that is no longer asked.
    timer.unref();
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}

/** Whatever was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
