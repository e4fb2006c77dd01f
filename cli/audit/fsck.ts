// The auditor's check of a whole log, from nothing but what any web server could serve: checkpoint,
// rosters, tiles and entry bundles. First the tree, so that every leaf is known by its hash; then the
// entries, each against its leaf, and the ledger's rules over all of them.
import { equalBytes } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import type { CommitEntry } from '../../verifier/entry.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { ForkError, type TrustState } from '../../verifier/evidence/trust.ts';
import type { ReplayLedger } from '../../verifier/ledger/replay-ledger.ts';
import { formatNote, parseNote, type SignedNote } from '../../verifier/note.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { configError } from '../errors.ts';
import { cosignedBy } from '../trust/cosigned-by.ts';
import {
  EntryCheck,
  type EarlierCheck,
  type EntryCheckRequest,
  type EntryOutcome,
} from './entry-check.ts';
import { Leaves } from './leaves.ts';
import { genesisOf, type LogView } from './log-view.ts';
import { readTree } from './tree-check.ts';

/**
 * Most leaves that are audited in one go. Memory does not grow with them but for the names of their tiles, half
 * a byte each; the temporary file does, a thousand bytes each, and so does the time, 600 microseconds each besides the
 * signatures: two days, a quarter of a terabyte.
 */
const SIZE_MAX = 2 ** 28;

/** What to check and how. */
export interface FsckRequest extends EntryCheckRequest {
  readonly view: LogView;
  /** Hash of the roster that is believed, hex. */
  readonly pin: string;
  /** What this machine has accepted of the log before, if anything. */
  readonly trusted: TrustState | undefined;
}

/** What was found. Without findings, every transition of the log was legal. */
export interface FsckResult extends EntryOutcome {
  readonly ledger: ReplayLedger;
  readonly leaves: Leaves;
  /** Of the last batch; `undefined` in an empty log. */
  readonly lastCommit: CommitEntry | undefined;
  /** Hash tiles that were fetched and compared. */
  readonly tiles: number;
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
      `the log has ${checkpoint.size} entries, more than the ${SIZE_MAX} that are checked in one go`,
    );
  }
  requireNotBefore(view, request.trusted);
  if (earlier !== undefined) {
    await requireCosigned(view, earlier, request.verifier);
    requireNotBefore(view, { ...earlier.ledger.tip, note: earlier.note });
  }
  const genesis = await genesisOf(view, request.pin, request.verifier);
  const leaves = new Leaves(request.pages.pool.space());
  const tree = await readTree(tiles, checkpoint, signal, earlier?.leaves, leaves);
  const check = new EntryCheck(request, genesis, tree);
  await check.run();
  const { ledger } = check;
  if (check.replayed) {
    requireContinues(ledger, view, request.trusted);
    await requireRoster(ledger, view, check.lastCommit, request.verifier);
  }
  const { lastCommit } = check;
  return { ...check.outcome(), ledger, lastCommit, leaves: tree.leaves, tiles: tree.tiles };
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
  { note, ledger, lastCommit }: EarlierCheck,
  verifier: SignatureVerifier,
): Promise<void> {
  await requireQuorum(parseNote(note), view, [ledger.tip.epoch, lastCommit.epoch], verifier);
}

// After the replay, the root at every earlier size is known.
function requireContinues(ledger: ReplayLedger, view: LogView, known: Known | undefined): void {
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

// The roster that had to cosign is the one in force after the last batch or, when that batch ended an
// epoch, also the one before: a quorum of a replaced roster could otherwise go on extending the log.
async function requireRoster(
  ledger: ReplayLedger,
  view: LogView,
  lastCommit: CommitEntry | undefined,
  verifier: SignatureVerifier,
): Promise<void> {
  const { epoch } = ledger.tip;
  // The rosters in the log and those that were shown have to be the same chain.
  const shown = view.rosters.find((roster) => roster.epoch === epoch);
  if (shown?.hash !== ledger.roster.hash) {
    throw new VerifyError(
      'ROSTER_CHAIN_BROKEN',
      `the roster of epoch ${epoch} in the log is not the one that the server shows`,
      { found: shown?.hash ?? 'none', expected: ledger.roster.hash },
    );
  }
  await requireQuorum(view.note, view, [epoch, lastCommit?.epoch ?? epoch], verifier);
}

/** @throws {VerifyError} `QUORUM_NOT_REACHED`, … when no roster of these epochs cosigned the note */
async function requireQuorum(
  note: SignedNote,
  view: LogView,
  epochs: readonly number[],
  verifier: SignatureVerifier,
): Promise<void> {
  const rosters = view.rosters.filter(({ epoch }) => epochs.includes(epoch));
  await cosignedBy(note, rosters, verifier);
}
