// Who waits for which submission. A submission is done when a checkpoint with a quorum of cosignatures
// covers it: before that nothing can be proven to a client.
import type { SubmissionState } from '../http/face.ts';
import { BusyError } from '../http/face.ts';
import { WAITING_MAX } from '../http/limits.ts';
import type { Refusal } from '../ledger/application.ts';

interface Waiter {
  readonly resolve: (state: SubmissionState) => void;
}

interface Watched {
  readonly id: string;
  readonly waiters: Set<Waiter>;
  /** Its leaf, once it is in a durable batch. */
  index: number | undefined;
}

/**
 * Fates remembered of submissions that nobody waits for any more, so that a client which polls learns
 * them: twice what the pool holds. The log itself remembers what was committed.
 */
const FATES_MAX = 8000;

/** Submissions that somebody waits for, until a checkpoint covers them. */
export class Submissions {
  readonly #watched = new Map<string, Watched>();
  readonly #fates = new Map<string, Refusal | undefined>();
  #waiting = 0;
  #covered = 0;

  /** @param covered size of the newest checkpoint */
  constructor(covered: number) {
    this.#covered = covered;
  }

  /**
   * Waits for a submission.
   *
   * @param index its leaf when it is in the log already
   * @param gone stops the wait early
   * @returns its state when the wait ends; `pending` at the latest after `waitMs`
   * @throws {BusyError} when too many wait
   */
  wait(
    id: string,
    index: number | undefined,
    waitMs: number,
    gone: AbortSignal,
  ): Promise<SubmissionState> {
    if (index !== undefined && index < this.#covered) {
      return Promise.resolve({ kind: 'committed', id, index });
    }
    if (waitMs <= 0 || gone.aborted) return Promise.resolve({ kind: 'pending', id });
    if (this.#waiting >= WAITING_MAX) throw new BusyError('too many submissions wait');
    return new Promise((resolve) => {
      const watched = this.#watch(id, index);
      const timer = setTimeout(() => waiter.resolve({ kind: 'pending', id }), waitMs);
      const hangUp = (): void => waiter.resolve({ kind: 'pending', id });
      const waiter: Waiter = {
        resolve: (state) => {
          if (!watched.waiters.delete(waiter)) return;
          clearTimeout(timer);
          gone.removeEventListener('abort', hangUp);
          this.#waiting--;
          if (watched.waiters.size === 0) this.#watched.delete(id);
          resolve(state);
        },
      };
      watched.waiters.add(waiter);
      this.#waiting++;
      gone.addEventListener('abort', hangUp);
    });
  }

  /** The submission has been handed to the core: until more is known it is pending. */
  accepted(id: string): void {
    this.#remember(id, undefined);
  }

  /** What is known of a submission that is not in the log. */
  stateOf(id: string): SubmissionState | undefined {
    if (!this.#fates.has(id)) return undefined;
    const refusal = this.#fates.get(id);
    return refusal === undefined ? { kind: 'pending', id } : { kind: 'refused', id, refusal };
  }

  /** A batch with these submissions is durable; the first of them is leaf `firstIndex`. */
  committed(ids: readonly string[], firstIndex: number): void {
    for (const [offset, id] of ids.entries()) {
      this.#fates.delete(id);
      const watched = this.#watched.get(id);
      if (watched !== undefined) watched.index = firstIndex + offset;
    }
    this.covered(this.#covered);
  }

  /** A checkpoint of this size has a quorum of cosignatures and is being served. */
  covered(size: number): void {
    this.#covered = Math.max(this.#covered, size);
    for (const { id, index, waiters } of this.#watched.values()) {
      if (index === undefined || index >= this.#covered) continue;
      for (const { resolve } of waiters) resolve({ kind: 'committed', id, index });
    }
  }

  /** The log has moved on and the submission breaks a rule now. */
  refused(id: string, refusal: Refusal): void {
    // Of what peers handed in, which was never accepted from a client here, nothing is remembered.
    if (this.#fates.has(id)) this.#remember(id, refusal);
    for (const { resolve } of this.#watched.get(id)?.waiters ?? []) {
      resolve({ kind: 'refused', id, refusal });
    }
  }

  /** Everybody gets the present state at once: the replica is stopping. */
  release(): void {
    for (const { id, waiters } of this.#watched.values()) {
      for (const { resolve } of waiters) resolve({ kind: 'pending', id });
    }
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting;
  }

  #remember(id: string, refusal: Refusal | undefined): void {
    this.#fates.delete(id);
    this.#fates.set(id, refusal);
    if (this.#fates.size <= FATES_MAX) return;
    const oldest = this.#fates.keys().next();
    if (oldest.done !== true) this.#fates.delete(oldest.value);
  }

  #watch(id: string, index: number | undefined): Watched {
    const watched = this.#watched.get(id) ?? { id, waiters: new Set(), index };
    watched.index ??= index;
    this.#watched.set(id, watched);
    return watched;
  }
}
