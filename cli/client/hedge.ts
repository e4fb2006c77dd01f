// Asks several servers for one thing, of which any may lie or hang: the first is asked, after a while
// or after a failure the next one too, and the first *good* answer wins. What is good is decided by
// the question itself, which throws when the answer is not.
import type { ReplicaFailure } from '../errors.ts';
import { UnreachableError } from '../errors.ts';

/** How long one server may think before another one is asked as well, milliseconds. */
export const HEDGE_DELAY_MS = 1_500;

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
  /** Failures after which nobody else is asked, because they are proof or a ruling. */
  readonly isFinal?: (error: unknown) => boolean;
}

/**
 * Asks until one answer is good. Each server is asked at most once.
 *
 * @param ask throws for a bad answer; its signal is aborted when another one was faster
 * @throws whatever a final failure was; {UnreachableError} when all failed
 */
export async function askUntilGood<S extends { readonly url: string }, T>(
  servers: readonly S[],
  ask: (server: S, signal: AbortSignal) => Promise<T>,
  options: HedgeOptions,
): Promise<Hedged<T>> {
  const done = new AbortController();
  const signal = AbortSignal.any([options.signal, done.signal]);
  const failures: ReplicaFailure[] = [];
  const waiting = [...servers];
  const running = new Map<Promise<Outcome<T>>, string>();

  const start = (): void => {
    const server = waiting.shift();
    if (server === undefined) return;
    const outcome: Promise<Outcome<T>> = ask(server, signal).then(
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
        ...hedgeTimer(waiting, signal, options.delayMs),
      ]);
      if (next === 'later') {
        start();
        continue;
      }
      running.delete(next.promise);
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

type Outcome<T> = {
  readonly url: string;
  readonly promise: Promise<Outcome<T>>;
} & (
  | { readonly kind: 'good'; readonly value: T }
  | { readonly kind: 'bad'; readonly error: Error }
);

function hedgeTimer(
  waiting: readonly unknown[],
  signal: AbortSignal,
  delayMs: number = HEDGE_DELAY_MS,
): readonly Promise<'later'>[] {
  if (waiting.length === 0) return [];
  return [
    new Promise((resolve) => {
      const timer = setTimeout(() => resolve('later'), delayMs);
      // The process must not be kept waiting for a question that is no longer asked.
      timer.unref();
      signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
    }),
  ];
}

/** Whatever was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
