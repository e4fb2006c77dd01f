// The auditor's check of a whole log, from nothing but what any web server could serve: checkpoint,
// rosters, tiles and entry bundles. First the tree, so that every leaf is known by its hash; then the
// entries, each against its leaf, and the ledger's rules over all of them.
import { equalBytes } from '../../verifier/bytes.ts';
import { planCheckpoint, type VerifiedCheckpoint } from '../../verifier/cosignature.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { parseEntry, type CommitEntry } from '../../verifier/entry.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { ForkError, type TrustState } from '../../verifier/evidence/trust.ts';
import { MemoryLedger } from '../../verifier/ledger/memory-ledger.ts';
import { IllegalBatchError, LogReplay } from '../../verifier/ledger/replay.ts';
import { leafHash } from '../../verifier/merkle/hash.ts';
import { TILE_WIDTH, formatTilePath } from '../../verifier/merkle/tile.ts';
import { formatNote, parseNote } from '../../verifier/note.ts';
import type { Roster } from '../../verifier/roster.ts';
import { runPlan, type SignatureVerifier } from '../../verifier/signatures.ts';
import { configError } from '../errors.ts';
import { KnownSignatures } from './known-signatures.ts';
import type { Leaves } from './leaves.ts';
import { genesisOf, type LogView } from './log-view.ts';
import { fetchedInOrder, type TileClient } from './tile-client.ts';
import { readTree, type CheckedTree } from './tree-check.ts';

/** Bundles asked for at one time: at most 8 x 16 MiB of the largest entries. */
const BUNDLES_AHEAD = 8;
/**
 * Most leaves that are audited in memory: 512 MiB of leaf hashes, and the records beside them. A log
 * that has grown beyond needs an auditor with a database.
 */
const SIZE_MAX = 2 ** 24;
/** Findings that are listed one by one. */
const FINDINGS_MAX = 20;

/** What to check and how. */
export interface FsckRequest {
  readonly view: LogView;
  readonly tiles: TileClient;
  /** Hash of the roster that is believed, hex. */
  readonly pin: string;
  readonly verifier: SignatureVerifier;
  readonly signal: AbortSignal;
  /** What this machine has accepted of the log before, if anything. */
  readonly trusted: TrustState | undefined;
  /** Where an earlier check ended, if there was one. */
  readonly earlier: EarlierCheck | undefined;
  readonly progress: (text: string) => void;
}

/** The state at the end of an earlier check. */
export interface EarlierCheck {
  readonly ledger: MemoryLedger;
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

/** What was found. Without findings, every transition of the log was legal. */
export interface FsckResult {
  readonly findings: readonly Finding[];
  /** Findings beyond those listed. */
  readonly more: number;
  readonly ledger: MemoryLedger;
  readonly leaves: Leaves;
  readonly checkpoint: VerifiedCheckpoint;
  readonly roster: Roster;
  /** Of the last batch; `undefined` in an empty log. */
  readonly lastCommit: CommitEntry | undefined;
  readonly tiles: number;
  /** Size from which on entries were read. */
  readonly from: number;
  readonly batches: number;
  readonly signatures: number;
}

/**
 * Checks a log.
 *
 * @throws {VerifyError} `INCLUSION_PROOF_INVALID` when its tiles lead to another root than the
 *         cosigned one, `CONSISTENCY_PROOF_INVALID`, `CHECKPOINT_ROLLBACK`, a `ForkError`,
 *         `ROSTER_CHAIN_BROKEN`, `TILE_MALFORMED`
 * @throws {TransportError}
 */
export async function checkLog(request: FsckRequest): Promise<FsckResult> {
  const { view, tiles, earlier, signal } = request;
  const { checkpoint } = view.checkpoint;
  if (checkpoint.size > SIZE_MAX) {
    throw configError(
      `the log has ${checkpoint.size} entries, more than ${SIZE_MAX} fit into memory`,
    );
  }
  requireNotBefore(view, request.trusted);
  requireNotBefore(view, earlier && { ...earlier.ledger.tip, note: earlier.note });
  if (earlier !== undefined) await requireCosigned(view, earlier, request.verifier);
  const genesis = await genesisOf(view, request.pin, request.verifier);
  const tree = await readTree(tiles, checkpoint, signal, earlier?.leaves);
  const check = new EntryCheck(request, genesis, tree);
  await check.run();
  const { ledger } = check;
  if (check.replayed) {
    requireContinues(ledger, view, request.trusted);
    await requireRoster(ledger, view, check.lastCommit?.epoch ?? 0, request.verifier);
  }
  return { ...check.result(), leaves: tree.leaves, tiles: tree.tiles };
}

interface Known {
  readonly size: number;
  readonly root: Uint8Array;
  readonly note: string;
}

/** @throws {VerifyError} `CHECKPOINT_ROLLBACK`; a `ForkError` for two roots of one size */
function requireNotBefore(view: LogView, known: Known | undefined): void {
  if (known === undefined) return;
  const { size, root, origin } = view.checkpoint.checkpoint;
  if (size < known.size) {
    throw new VerifyError(
      'CHECKPOINT_ROLLBACK',
      `the server shows size ${size}, a checkpoint of size ${known.size} was accepted before`,
      { hint: 'it is behind, or hides the newer part of the log: ask another replica' },
    );
  }
  if (size > known.size || equalBytes(root, known.root)) return;
  throw new ForkError(
    { origin, size, rosters: view.envelopes, first: known.note, second: formatNote(view.note) },
    encodeHex(root),
    encodeHex(known.root),
  );
}

// The saved checkpoint has to be one that its quorum signed, as when it was saved.
async function requireCosigned(
  view: LogView,
  { note, lastCommit }: EarlierCheck,
  verifier: SignatureVerifier,
): Promise<void> {
  const roster = view.rosters.find(({ epoch }) => epoch === lastCommit.epoch);
  if (roster === undefined) {
    throw configError(
      `the saved state is of epoch ${lastCommit.epoch}, which the pin does not reach`,
    );
  }
  await runPlan(verifier, planCheckpoint(parseNote(note), roster));
}

// After the replay, the root at every earlier size is known.
function requireContinues(ledger: MemoryLedger, view: LogView, known: Known | undefined): void {
  const root = known && ledger.rootAt(known.size);
  if (known === undefined || (root !== undefined && equalBytes(root, known.root))) return;
  throw new VerifyError(
    'CHECKPOINT_FORK',
    `the log of size ${view.checkpoint.checkpoint.size} is no continuation of the one of size ` +
      `${known.size} that this machine accepted; a quorum cosigned both`,
    {
      found: root === undefined ? 'no such size' : `root ${encodeHex(root)}`,
      expected: `root ${encodeHex(known.root)}`,
      hint: 'keep the trust state file and this log: together they prove a fork',
    },
  );
}

// The roster that had to cosign is the one of the last batch: a quorum of a replaced one could
// otherwise go on extending the log.
async function requireRoster(
  ledger: MemoryLedger,
  view: LogView,
  epoch: number,
  verifier: SignatureVerifier,
): Promise<void> {
  const inForce = view.rosters.find((roster) => roster.epoch === epoch);
  if (inForce === undefined) {
    throw new VerifyError(
      'ROSTER_CHAIN_BROKEN',
      `the log's last batch is of epoch ${epoch}, which is not between the pinned roster and the newest`,
    );
  }
  await runPlan(verifier, planCheckpoint(view.note, inForce));
  // The rosters in the log and those that were shown have to be the same chain.
  const logged = view.rosters.find((roster) => roster.epoch === ledger.roster.epoch);
  if (logged?.hash === ledger.roster.hash) return;
  throw new VerifyError(
    'ROSTER_CHAIN_BROKEN',
    `the roster of epoch ${ledger.roster.epoch} in the log is not the one that the server shows`,
    { found: logged?.hash ?? 'none', expected: ledger.roster.hash },
  );
}

/** The second half: entry bundles against the leaves, and the replay. */
class EntryCheck {
  readonly #request: FsckRequest;
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
  readonly ledger: MemoryLedger;

  constructor(request: FsckRequest, genesis: Envelope, tree: CheckedTree) {
    this.#request = request;
    this.#tree = tree;
    this.ledger = request.earlier?.ledger ?? new MemoryLedger(genesis);
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

  result(): Omit<FsckResult, 'leaves' | 'tiles'> {
    const { view, earlier } = this.#request;
    return {
      findings: this.#findings,
      more: this.#more,
      ledger: this.ledger,
      checkpoint: view.checkpoint,
      roster: view.roster,
      lastCommit: this.lastCommit,
      from: earlier === undefined ? 0 : this.#from,
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
    for (const data of fresh) {
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
