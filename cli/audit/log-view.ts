// What one server shows of a log, before anything of its content is looked at: the chain of rosters
// from the pin, and a checkpoint that a quorum cosigned.
import type { VerifiedCheckpoint } from '../../verifier/cosignature.ts';
import { statementHash, type Envelope } from '../../verifier/dsse.ts';
import { VerifyError, assert } from '../../verifier/errors.ts';
import type { SignedNote } from '../../verifier/note.ts';
import { planRosterChain, type Roster } from '../../verifier/roster.ts';
import { runPlan, type SignatureVerifier } from '../../verifier/signatures.ts';
import type { ReplicaClient } from '../client/replica.ts';
import { cosignedBy } from '../trust/cosigned-by.ts';

/** A verified view of a log. */
export interface LogView {
  readonly url: string;
  /** All rosters that were shown, from epoch 0; those before the pinned one are not verified. */
  readonly envelopes: readonly Envelope[];
  /** From the pinned one to the newest. */
  readonly rosters: readonly Roster[];
  /** One whose quorum cosigned the checkpoint, the newest such. */
  readonly roster: Roster;
  readonly note: SignedNote;
  readonly checkpoint: VerifiedCheckpoint;
}

/**
 * Asks a server for its newest view.
 *
 * @throws {TransportError} when it can't be reached
 * @throws {VerifyError} `ROSTER_NOT_PINNED`, `ROSTER_CHAIN_BROKEN`, `QUORUM_NOT_REACHED`, …
 */
export async function openView(
  replica: ReplicaClient,
  pin: string,
  verifier: SignatureVerifier,
  signal: AbortSignal,
): Promise<LogView> {
  // In this order: a roster that comes into force in between is in the later answer.
  const note = await replica.checkpoint(signal);
  const envelopes = await replica.rosters(signal);
  const start = envelopes.findIndex(({ payload }) => statementHash(payload) === pin);
  // Without the pinned one the chain is refused for its first roster, with the two hashes.
  const chain = envelopes.slice(Math.max(0, start));
  const rosters = await runPlan(verifier, planRosterChain(pin, chain));
  const { roster, checkpoint } = await cosignedBy(note, rosters, verifier);
  return { url: replica.url, envelopes, rosters, roster, note, checkpoint };
}

/**
 * The signed roster of epoch 0, with which every replay begins: shown by the server, and tied to the
 * pinned one by the chain of hashes.
 *
 * @throws {VerifyError} `ROSTER_CHAIN_BROKEN`, `QUORUM_NOT_REACHED`, `ROSTER_NOT_PINNED`
 */
export async function genesisOf(
  view: LogView,
  pin: string,
  verifier: SignatureVerifier,
): Promise<Envelope> {
  const start = view.envelopes.findIndex(({ payload }) => statementHash(payload) === pin);
  const ancestors = view.envelopes.slice(0, start + 1);
  const [genesis] = ancestors;
  assert(genesis !== undefined, 'a view has the pinned roster');
  // Each names the hash of the one before it, so the pin leaves no choice for any of them.
  const rosters = await runPlan(
    verifier,
    planRosterChain(statementHash(genesis.payload), ancestors),
  );
  if (rosters[0]?.epoch !== 0) {
    throw new VerifyError('ROSTER_CHAIN_BROKEN', 'the rosters do not begin with epoch 0', {
      hint: 'a replay needs all of them: use a server that has the whole log',
    });
  }
  return genesis;
}
