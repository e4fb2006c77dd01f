// Batches that have been executed but not committed, by the digest of their header. Building or
// checking a batch leaves its execution here; committing it writes what is already computed.
import type { BatchExecution } from '../../verifier/ledger/batch.ts';
import type { Digest } from '../consensus/types.ts';

/**
 * Executions kept. At one height there are as many bodies as consensus keeps (4), and one more while
 * the next is built.
 */
const EXECUTION_COUNT_MAX = 8;

/** A bounded memory of executions; the oldest goes first. */
export class Executions {
  readonly #byDigest = new Map<Digest, BatchExecution>();

  get(digest: Digest): BatchExecution | undefined {
    return this.#byDigest.get(digest);
  }

  put(digest: Digest, execution: BatchExecution): void {
    this.#byDigest.delete(digest);
    this.#byDigest.set(digest, execution);
    if (this.#byDigest.size <= EXECUTION_COUNT_MAX) return;
    for (const oldest of this.#byDigest.keys()) {
      this.#byDigest.delete(oldest);
      return;
    }
  }

  /** Forgets executions that can't be committed any more: those up to this height. */
  dropUpTo(height: number): void {
    for (const [digest, execution] of this.#byDigest) {
      if (execution.height <= height) this.#byDigest.delete(digest);
    }
  }
}
