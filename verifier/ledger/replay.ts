// Replaying a log as an auditor does: every entry from the first one on, batch by batch, each executed
// again under the same rules and compared with what the log says it did. Nothing is taken from the
// replicas but the bytes of the leaves.
import { equalBytes } from '../bytes.ts';
import type { Envelope } from '../dsse.ts';
import { encodeHex } from '../encoding.ts';
import { parseEntry, type CommitEntry, type Entry } from '../entry.ts';
import { VerifyError } from '../errors.ts';
import type { SignatureVerifier } from '../signatures.ts';
import { executeBatch, type BatchBounds, type BatchExecution } from './batch.ts';
import { LedgerError } from './errors.ts';
import type { ReplayLedger } from './replay-ledger.ts';

/**
 * How much an auditor collects before it gives up on a batch. How large batches may be is for replicas
 * to agree on (500 statements, some megabytes); far above that, this bounds what a log that never
 * commits can cost.
 */
const REPLAY_BOUNDS: BatchBounds = { entriesMax: 10_000, bytesMax: 64 * 1024 * 1024 };

/** A batch in a log that no correct replica would have voted for. */
export class IllegalBatchError extends Error {
  override readonly name = 'IllegalBatchError';
  /** Height that the batch would have. */
  readonly height: number;
  /** Leaf index of its first entry. */
  readonly start: number;
  /** The rule that it breaks. */
  readonly refusal: LedgerError | VerifyError;

  constructor(height: number, start: number, refusal: LedgerError | VerifyError) {
    super(`the batch of height ${height}, from entry ${start} on, is illegal: ${refusal.message}`, {
      cause: refusal,
    });
    this.height = height;
    this.start = start;
    this.refusal = refusal;
  }
}

/** Replays a log on top of a ledger, which moves on with each batch. */
export class LogReplay {
  readonly #ledger: ReplayLedger;
  readonly #verifier: SignatureVerifier;
  #entries: Uint8Array[] = [];
  #envelopes: Envelope[] = [];
  #bytes = 0;

  /** @param ledger the state before the next entry: fresh, or where an earlier replay ended */
  constructor(ledger: ReplayLedger, verifier: SignatureVerifier) {
    this.#ledger = ledger;
    this.#verifier = verifier;
  }

  /**
   * Takes the next leaf.
   *
   * @returns the batch that it ends, if it does
   * @throws {IllegalBatchError} nothing that comes after this means anything
   */
  async add(data: Uint8Array): Promise<BatchExecution | undefined> {
    const entry = this.#blaming(() => parseEntry(data));
    this.#entries.push(data);
    this.#bytes += data.length;
    if (entry.kind === 'commit') return await this.#endBatch(entry);
    this.#blaming(() => this.#collect(entry));
    return undefined;
  }

  /**
   * Requires the log to end with a batch's commit entry: with anything else a tree was cosigned whose
   * map nobody has agreed on.
   *
   * @throws {IllegalBatchError}
   */
  finish(): void {
    this.#blaming(() => {
      if (this.#entries.length === 0) return;
      throw malformed(`the log ends ${this.#entries.length} entries into it`);
    });
  }

  #collect(entry: Exclude<Entry, CommitEntry>): void {
    this.#envelopes.push(entry.envelope);
    const { entriesMax, bytesMax } = REPLAY_BOUNDS;
    if (this.#envelopes.length > entriesMax || this.#bytes > bytesMax) {
      throw malformed('it is larger than any that replicas take');
    }
  }

  async #endBatch(commit: CommitEntry): Promise<BatchExecution> {
    this.#blaming(() => this.#requireFollows(commit));
    const input = {
      height: commit.height,
      timeSeconds: commit.time,
      envelopes: this.#envelopes,
    };
    let execution: BatchExecution;
    try {
      execution = await executeBatch(this.#ledger, input, REPLAY_BOUNDS, this.#verifier);
    } catch (error) {
      throw this.#blame(error);
    }
    this.#blaming(() => this.#requireSame(execution, commit));
    this.#ledger.advance(execution);
    this.#entries = [];
    this.#envelopes = [];
    this.#bytes = 0;
    return execution;
  }

  #requireFollows(commit: CommitEntry): void {
    const { tip } = this.#ledger;
    const expected: readonly (readonly [what: string, found: unknown, expected: unknown])[] = [
      ['height', commit.height, tip.height + 1],
      ['epoch', commit.epoch, tip.epoch],
      ['number of entries', commit.entries, this.#envelopes.length],
      ['previous commit entry', hexOrNull(commit.previous), hexOrNull(tip.commitLeaf)],
    ];
    for (const [what, found, wanted] of expected) {
      if (found === wanted) continue;
      throw malformed(
        `its commit entry says ${what} ${String(found)} instead of ${String(wanted)}`,
      );
    }
  }

  #requireSame(execution: BatchExecution, commit: CommitEntry): void {
    const { map } = execution;
    if (!equalBytes(map.root, commit.map)) {
      throw malformed(
        `its commit entry says map root ${encodeHex(commit.map)}, the entries lead to ${encodeHex(map.root)}`,
      );
    }
    // Covers what is left: the time of each entry.
    const different = execution.entries.findIndex((entry, i) => {
      const logged = this.#entries[i];
      return logged === undefined || !equalBytes(entry, logged);
    });
    if (different < 0) return;
    throw malformed(`entry ${this.#ledger.tip.size + different} has another time than its batch`);
  }

  #blaming<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw this.#blame(error);
    }
  }

  // Anything but a refusal is a bug, or a verifier that could not do its work: no fault of the log.
  #blame(error: unknown): unknown {
    if (!(error instanceof LedgerError || error instanceof VerifyError)) return error;
    const { height, size } = this.#ledger.tip;
    return new IllegalBatchError(height + 1, size, error);
  }
}

function hexOrNull(hash: Uint8Array | null): string | null {
  return hash === null ? null : encodeHex(hash);
}

function malformed(detail: string): LedgerError {
  return new LedgerError('BATCH_MALFORMED', detail);
}
