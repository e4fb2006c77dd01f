// What a client remembers between runs, and the rule that it never goes back (DESIGN section 7,
// step 4; promise P4). Storing it is the caller's: atomically, by compare and swap, after success.
import { equalBytes } from '../bytes.ts';
import type { VerifiedCheckpoint } from '../cosignature.ts';
import type { Envelope } from '../dsse.ts';
import { encodeHex } from '../encoding.ts';
import { VerifyError } from '../errors.ts';
import { checkConsistency } from '../merkle/consistency.ts';
import type { Hash } from '../merkle/hash.ts';
import type { Roster } from '../roster.ts';
import type { Evidence } from './format.ts';

/** The newest view of a log that was accepted. */
export interface TrustState {
  /** Hash of the roster that the client started from. */
  readonly pin: string;
  /** Hash of the roster of the checkpoint. */
  readonly rosterHash: string;
  readonly epoch: number;
  readonly origin: string;
  /** Leaves in the log. */
  readonly size: number;
  readonly root: Hash;
  /** The checkpoint's note with its cosignatures, so that a fork can be proven later. */
  readonly note: string;
  /** Unix seconds. */
  readonly certifiedTime: number;
}

/**
 * Two checkpoints of one size with different roots, both with a quorum of cosignatures. Whoever
 * cosigned both is faulty: at least weight 2Q - W > B of the roster, which P2 rules out while at
 * most B is faulty. Anybody can check it.
 */
export interface ForkEvidence {
  readonly origin: string;
  readonly size: number;
  /** The roster chain under which `second` was verified; it contains that of `first`. */
  readonly rosters: readonly Envelope[];
  /** The note that was accepted before. */
  readonly first: string;
  /** The note that was shown now. */
  readonly second: string;
}

/** A fork, with the evidence that the caller has to keep. */
export class ForkError extends VerifyError {
  readonly fork: ForkEvidence;

  constructor(fork: ForkEvidence, found: string, expected: string) {
    super(
      'CHECKPOINT_FORK',
      `the log ${fork.origin} has two checkpoints of size ${fork.size} with different roots, ` +
        'both cosigned by a quorum',
      { found, expected, hint: 'install nothing, keep the evidence of the fork and publish it' },
    );
    this.fork = fork;
  }
}

/** What step 4 compares. */
export interface TrustStep {
  readonly pin: string;
  readonly evidence: Evidence;
  /** The verified chain, the roster in force last. */
  readonly rosters: readonly Roster[];
  readonly roster: Roster;
  readonly checkpoint: VerifiedCheckpoint;
}

/**
 * Step 4: the view shown must be the known one or a continuation of it.
 *
 * @param trusted what was accepted last; without it, this is the first contact and anything that
 *                the pinned roster's quorum cosigned is accepted
 * @returns the state to remember if everything else succeeds
 * @throws {VerifyError} `CHECKPOINT_ROLLBACK`, `CHECKPOINT_FORK` (a `ForkError`),
 *         `CONSISTENCY_PROOF_INVALID`, `ORIGIN_MISMATCH`, `ROSTER_CHAIN_BROKEN`
 */
export function advanceTrust(step: TrustStep, trusted: TrustState | undefined): TrustState {
  const { pin, evidence, roster, checkpoint } = step;
  const { origin, size, root } = checkpoint.checkpoint;
  let { certifiedTime } = checkpoint;
  if (trusted !== undefined) {
    requireSameLog(step, trusted);
    requireNoOlderRoster(step, trusted);
    requireContinuation(step, trusted);
    // The same tree with an older time is no step back, but the later time stays known.
    if (size === trusted.size && certifiedTime <= trusted.certifiedTime) return { ...trusted, pin };
    certifiedTime = Math.max(certifiedTime, trusted.certifiedTime);
  }
  const { hash: rosterHash, epoch } = roster;
  const note = evidence.checkpoint;
  return { pin, rosterHash, epoch, origin, size, root, note, certifiedTime };
}

function requireSameLog({ roster }: TrustStep, trusted: TrustState): void {
  if (roster.origin === trusted.origin) return;
  throw new VerifyError(
    'ORIGIN_MISMATCH',
    'the trust state is about another log than the pinned roster',
    { found: roster.origin, expected: trusted.origin },
  );
}

// An old roster's keys may have leaked since: its quorum must not be asked again.
function requireNoOlderRoster({ rosters, roster }: TrustStep, trusted: TrustState): void {
  if (roster.epoch < trusted.epoch) {
    throw new VerifyError(
      'CHECKPOINT_ROLLBACK',
      `the roster shown is of epoch ${roster.epoch}, one of epoch ${trusted.epoch} is known`,
      { found: `epoch ${roster.epoch}`, expected: `epoch ${trusted.epoch} or later` },
    );
  }
  const same = rosters.find(({ epoch }) => epoch === trusted.epoch);
  if (same !== undefined && same.hash !== trusted.rosterHash) {
    throw new VerifyError(
      'ROSTER_CHAIN_BROKEN',
      `the roster of epoch ${trusted.epoch} is not the one that was accepted before`,
      { found: same.hash, expected: trusted.rosterHash },
    );
  }
}

function requireContinuation({ evidence, checkpoint }: TrustStep, trusted: TrustState): void {
  const { origin, size, root } = checkpoint.checkpoint;
  if (size < trusted.size) {
    throw new VerifyError(
      'CHECKPOINT_ROLLBACK',
      `the checkpoint shown has size ${size}, one of size ${trusted.size} was accepted before: ` +
        'whoever showed it is behind, or hides the newer part of the log',
      {
        found: `size ${size}`,
        expected: `size ${trusted.size} or more`,
        hint: 'ask another replica',
      },
    );
  }
  if (size === trusted.size) {
    if (equalBytes(root, trusted.root)) return;
    const { rosters, checkpoint: second } = evidence;
    throw new ForkError(
      { origin, size, rosters, first: trusted.note, second },
      encodeHex(root),
      encodeHex(trusted.root),
    );
  }
  const proof = evidence.consistency;
  if (proof === null || proof.size !== trusted.size) {
    throw new VerifyError(
      'CONSISTENCY_PROOF_INVALID',
      `no proof that the log of size ${size} continues the known one of size ${trusted.size}`,
      {
        found: proof === null ? 'no proof' : `a proof from size ${proof.size}`,
        expected: `a proof from size ${trusted.size}`,
      },
    );
  }
  checkConsistency(trusted.size, trusted.root, size, root, proof.hashes);
}
