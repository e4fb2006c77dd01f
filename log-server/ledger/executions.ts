// Batches that have been executed but not committed, by the digest of their header. Building or
// checking a batch leaves its execution here; committing it writes what is already computed.
import type { BatchExecution } from '../../verifier/ledger/batch.ts';
import type { Digest } from '../consensus/types.ts';

/**
 * Executions kept. At one height there are as many bodies as consensus keeps (4), and one more while
 * the next is built.
 */
const EXECUTION_COUNT_MAX = 8;

/**
 * A bounded memory of executions; the oldest goes first, but never one whose body is kept on the disk.
 *
 * It also says which artifacts are promised: whoever votes for a batch says that it holds what the batch
 * names (DESIGN 5, rule 4). Until the batch is decided the log does not name them, so anybody's uploads
 * could push them out, and with them the only copies that a later view's replicas can fetch: the batch
 * would have to be proposed again for ever, and could be checked by nobody.
 */
export class Executions {
  readonly #byDigest = new Map<Digest, BatchExecution>();
  /** Bodies on the disk: this replica has voted for them, and may have to again after others. */
  readonly #kept = new Set<Digest>();
  /** `undefined` when it has to be put together. */
  #promised: ReadonlySet<string> | undefined;

  get(digest: Digest): BatchExecution | undefined {
    return this.#byDigest.get(digest);
  }

  put(digest: Digest, execution: BatchExecution): void {
    this.#byDigest.delete(digest);
    this.#byDigest.set(digest, execution);
    this.#promised = undefined;
    if (this.#byDigest.size - this.#kept.size <= EXECUTION_COUNT_MAX) return;
    for (const oldest of this.#byDigest.keys()) {
      if (this.#kept.has(oldest) || oldest === digest) continue;
      this.#byDigest.delete(oldest);
      return;
    }
  }

  /** Its body goes to the disk: it stays until it is decided or its body goes. */
  keep(digest: Digest): void {
    this.#kept.add(digest);
  }

  /** Its body goes from the disk. */
  release(digest: Digest): void {
    this.#kept.delete(digest);
  }

  /** Forgets executions that can't be committed any more: those up to this height. No body is kept then. */
  dropUpTo(height: number): void {
    for (const [digest, execution] of this.#byDigest) {
      if (execution.height <= height) this.#byDigest.delete(digest);
    }
    this.#kept.clear();
    this.#promised = undefined;
  }

  /** Lower-case hex SHA-512 of every artifact that a batch here names. */
  promised(): ReadonlySet<string> {
    this.#promised ??= new Set(
      [...this.#byDigest.values()].flatMap(({ artifacts }) =>
        artifacts.map(({ sha512 }) => sha512),
      ),
    );
    return this.#promised;
  }
}
