// Whose note a checkpoint is: of which roster, where the log may have had several.
import { planCheckpoint, type VerifiedCheckpoint } from '../../verifier/cosignature.ts';
import { VerifyError } from '../../verifier/errors.ts';
import type { SignedNote } from '../../verifier/note.ts';
import type { Roster } from '../../verifier/roster.ts';
import { runPlan, type SignatureVerifier } from '../../verifier/signatures.ts';

/**
 * Finds the newest of some rosters whose quorum cosigned a checkpoint. A server's checkpoint may be older
 * than its newest roster; which roster it had to be is said by the log's last entries, for those who
 * read them.
 *
 * @param rosters verified, the newest last
 * @throws {VerifyError} what is wrong under the newest one, `ROSTER_CHAIN_BROKEN` when there is none
 */
export async function cosignedBy(
  note: SignedNote,
  rosters: readonly Roster[],
  verifier: SignatureVerifier,
): Promise<{ readonly roster: Roster; readonly checkpoint: VerifiedCheckpoint }> {
  let refusal = new VerifyError(
    'ROSTER_CHAIN_BROKEN',
    'the roster that had to cosign is not between the pinned one and the newest',
  );
  for (const [i, roster] of rosters.toReversed().entries()) {
    try {
      return { roster, checkpoint: await runPlan(verifier, planCheckpoint(note, roster)) };
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      if (i === 0) refusal = error;
    }
  }
  throw refusal;
}
