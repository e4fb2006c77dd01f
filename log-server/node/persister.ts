// Durable writes in the order of their tokens. What gathers while one transaction is under way shares
// the next one: two fsyncs per batch are enough (CONSENSUS N13).
import { assert } from '../../verifier/errors.ts';
import type { PersistRequest, Write } from '../consensus/types.ts';
import type { Lane } from './lane.ts';

/** What the persister writes to. */
export interface WriteStore {
  write(writes: readonly Write[]): Promise<void>;
}

/** Turns persist requests into transactions. */
export class Persister {
  readonly #store: WriteStore;
  readonly #lane: Lane;
  readonly #persisted: (token: number) => void;
  readonly #failed: (error: unknown) => void;
  #queue: PersistRequest[] = [];
  #hasFailed = false;

  /**
   * @param persisted called with the newest token whose writes, and all before them, are durable
   * @param failed called once, at the first failure; nothing is written any more after it
   */
  constructor(
    store: WriteStore,
    lane: Lane,
    persisted: (token: number) => void,
    failed: (error: unknown) => void,
  ) {
    this.#store = store;
    this.#lane = lane;
    this.#persisted = persisted;
    this.#failed = failed;
  }

  /** Queues a request. Whatever is run in the lane afterwards sees its writes. */
  persist(request: PersistRequest): void {
    const last = this.#queue.at(-1);
    assert(last === undefined || last.token < request.token, 'tokens grow');
    this.#queue.push(request);
    // One task per request keeps the lane's order; tasks that find an empty queue cost nothing.
    this.#lane.run(() => this.#flush()).catch((error: unknown) => this.#fail(error));
  }

  async #flush(): Promise<void> {
    while (this.#queue.length > 0 && !this.#hasFailed) {
      const { group, rest } = firstTransaction(this.#queue);
      this.#queue = rest;
      const token = group.at(-1)?.token ?? 0;
      await this.#store.write(group.flatMap(({ writes }) => writes));
      // From here on a crash leaves these records on disk; before, none of them.
      this.#persisted(token);
    }
  }

  #fail(error: unknown): void {
    // Sticky (C6): what a failed fsync has lost is unknown, so nothing may be tried again.
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#queue = [];
    this.#failed(error);
  }
}

/** The requests that can share a transaction: the store commits at most one batch in each. */
export function firstTransaction(queue: readonly PersistRequest[]): {
  readonly group: readonly PersistRequest[];
  readonly rest: PersistRequest[];
} {
  let commits = 0;
  let end = 0;
  for (const { writes } of queue) {
    commits += writes.filter(({ kind }) => kind === 'commit').length;
    if (end > 0 && commits > 1) break;
    end++;
  }
  return { group: queue.slice(0, end), rest: queue.slice(end) };
}
