// Entry bundles against the leaves of a checked tree, and the ledger's rules over every entry. Nothing in an
// entry is read before it is known to be the one that a quorum cosigned.
import { equalBytes } from '../../verifier/bytes.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { parseEntry, type CommitEntry } from '../../verifier/entry.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { IllegalBatchError, LogReplay } from '../../verifier/ledger/replay.ts';
import type { ReplayLedger } from '../../verifier/ledger/replay-ledger.ts';
import type { LedgerView } from '../../verifier/ledger/view.ts';
import { leafHash } from '../../verifier/merkle/hash.ts';
import { TILE_WIDTH, formatTilePath } from '../../verifier/merkle/tile.ts';
import type { TemporaryPages } from '../../verifier/node/temporary-pages.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { KnownSignatures } from './known-signatures.ts';
import type { Leaves } from './leaves.ts';
import { fetchedInOrder, type TileClient } from './tile-client.ts';
import type { CheckedTree } from './tree-check.ts';

/** Bundles asked for at one time: at most 8 x 16 MiB of the largest entries. */
const BUNDLES_AHEAD = 8;
/** Findings that are listed one by one. */
const FINDINGS_MAX = 20;

/** The state at the end of an earlier check. */
export interface EarlierCheck {
  readonly ledger: ReplayLedger;
  readonly leaves: Leaves;
  readonly lastCommit: CommitEntry;
  /** Note of the checkpoint that it ended with. */
  readonly note: string;
}

/** Something that is wrong with the log or with this server's copy of it. */
export type Finding =
  | { readonly kind: 'tile'; readonly message: string }
  | { readonly kind: 'entry'; readonly message: string }
  | { readonly kind: 'batch'; readonly error: IllegalBatchError };

/** What a check of entries needs. */
export interface EntryCheckRequest {
  readonly tiles: TileClient;
  readonly verifier: SignatureVerifier;
  readonly signal: AbortSignal;
  /** Where the log's state is kept while it is checked: they have to stay open as long as the result. */
  readonly pages: TemporaryPages;
  /** Where an earlier check ended, if there was one. */
  readonly earlier: EarlierCheck | undefined;
  readonly progress: (text: string) => void;
  /**
   * Told each new entry, once it is known to be the tree's and before its batch is judged, with the
   * state before that batch.
   */
  readonly onEntry?: (index: number, data: Uint8Array, before: LedgerView) => Promise<void>;
}

/** What a check of entries did. */
export interface EntryOutcome {
  readonly findings: readonly Finding[];
  /** Findings beyond those listed. */
  readonly more: number;
  /** Size from which on entries were read. */
  readonly from: number;
  readonly batches: number;
  readonly signatures: number;
}

/** One pass over the entries. */
export class EntryCheck {
  readonly #request: EntryCheckRequest;
  readonly #tree: CheckedTree;
  readonly #signatures: KnownSignatures;
  readonly #replay: LogReplay;
  readonly #findings: Finding[] = [];
  #more = 0;
  #batches = 0;
  /** Of the batch that ended last. */
  lastCommit: CommitEntry | undefined;
  /** Whether every entry so far could be replayed. */
  replayed = true;
  readonly ledger: ReplayLedger;

  /** @param genesis the signed roster of epoch 0 */
  constructor(request: EntryCheckRequest, genesis: Envelope, tree: CheckedTree) {
    this.#request = request;
    this.#tree = tree;
    this.ledger = request.earlier?.ledger ?? request.pages.ledger(genesis);
    this.#signatures = new KnownSignatures(request.verifier);
    this.#signatures.learnRoster(this.ledger.roster);
    this.#replay = new LogReplay(this.ledger, this.#signatures);
    this.lastCommit = request.earlier?.lastCommit;
    for (const path of tree.badTiles) {
      const message = `${path} says something else than the leaves, which lead to the cosigned root`;
      this.#find({ kind: 'tile', message });
    }
  }

  async run(): Promise<void> {
    const { tiles, signal, progress } = this.#request;
    const { size } = this.#tree.leaves;
    const from = this.#from;
    const first = Math.floor(from / TILE_WIDTH);
    const count = from === size ? 0 : Math.ceil(size / TILE_WIDTH) - first;
    const bundles = fetchedInOrder(count, BUNDLES_AHEAD, signal, async (position, stop) => {
      const index = first + position;
      const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
      return { index, width, entries: await this.#fetch(tiles, index, width, stop) };
    });
    let told = 0;
    for await (const { index, width, entries } of bundles) {
      if (typeof entries === 'string') {
        this.#find({ kind: 'entry', message: entries });
        this.replayed = false;
        continue;
      }
      await this.#takeBundle(index, width, entries, from);
      const done = index * TILE_WIDTH + entries.length;
      if (done - told >= 10_000) {
        progress(`${done} of ${size} entries checked`);
        told = done;
      }
    }
    if (this.replayed) this.#blaming(() => this.#replay.finish());
  }

  /** What the run did. */
  outcome(): EntryOutcome {
    return {
      findings: this.#findings,
      more: this.#more,
      from: this.#from,
      batches: this.#batches,
      signatures: this.#signatures.verified,
    };
  }

  get #from(): number {
    return this.#request.earlier?.leaves.size ?? 0;
  }

  // One bad bundle does not keep the others from being looked at: an operator wants to know of all.
  async #fetch(
    tiles: TileClient,
    index: number,
    width: number,
    stop: AbortSignal,
  ): Promise<readonly Uint8Array[] | string> {
    try {
      return await tiles.entries(index, width, stop);
    } catch (error) {
      if (error instanceof VerifyError) return error.message;
      throw error;
    }
  }

  async #takeBundle(
    index: number,
    width: number,
    entries: readonly Uint8Array[],
    from: number,
  ): Promise<void> {
    const start = index * TILE_WIDTH;
    const path = formatTilePath({ level: 'entries', index, width });
    for (const [i, data] of entries.entries()) {
      if (equalBytes(leafHash(data), this.#tree.leaves.at(start + i))) continue;
      const message = `${path}: entry ${start + i} is not the one that the tree has there`;
      this.#find({ kind: 'entry', message });
      this.replayed = false;
    }
    if (!this.replayed) return;
    const fresh = entries.slice(Math.max(0, from - start));
    await this.#signatures.foresee(fresh.flatMap(envelopeOf));
    for (const [i, data] of fresh.entries()) {
      const index = start + entries.length - fresh.length + i;
      await this.#request.onEntry?.(index, data, this.ledger);
      try {
        const batch = await this.#replay.add(data);
        if (batch === undefined) continue;
        this.#batches++;
        const entry = parseEntry(data);
        if (entry.kind === 'commit') this.lastCommit = entry;
      } catch (error) {
        this.#blame(error);
        return;
      }
    }
  }

  #blaming(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#blame(error);
    }
  }

  #blame(error: unknown): void {
    if (!(error instanceof IllegalBatchError)) throw error;
    this.#find({ kind: 'batch', error });
    // Whatever comes after an illegal batch was judged on a state that should not exist.
    this.replayed = false;
  }

  #find(finding: Finding): void {
    if (this.#findings.length < FINDINGS_MAX) this.#findings.push(finding);
    else this.#more++;
  }
}

function envelopeOf(data: Uint8Array): readonly Envelope[] {
  try {
    const entry = parseEntry(data);
    return entry.kind === 'commit' ? [] : [entry.envelope];
  } catch (error) {
    // The replay refuses it and says why.
    if (error instanceof VerifyError) return [];
    throw error;
  }
}
