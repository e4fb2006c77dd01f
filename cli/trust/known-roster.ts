// Rosters that lead on from what this machine has accepted, and those that do not.
import { VerifyError } from '../../verifier/errors.ts';
import type { TrustState } from '../../verifier/evidence/trust.ts';
import type { Roster } from '../../verifier/roster.ts';

/**
 * Requires that a chain of rosters goes through the one that was accepted. A larger size is no proof that something is
 * newer: keys of a replaced roster may have leaked since, and their quorum could sign any.
 *
 * @param hashes of the chain from the pin on, hex
 * @param newest the last of them
 * @throws {VerifyError} `CHECKPOINT_ROLLBACK`, `ROSTER_CHAIN_BROKEN`
 */
export function requireKnownRoster(
  hashes: readonly string[],
  newest: Pick<Roster, 'epoch'>,
  { epoch, rosterHash }: TrustState,
  hint: string = 'ask another replica',
): void {
  if (hashes.includes(rosterHash)) return;
  const facts = { found: `epoch ${newest.epoch}`, expected: `the roster of epoch ${epoch}` };
  if (newest.epoch < epoch) {
    throw new VerifyError(
      'CHECKPOINT_ROLLBACK',
      `the roster shown is of epoch ${newest.epoch}, this machine has accepted epoch ${epoch}`,
      { ...facts, hint },
    );
  }
  throw new VerifyError(
    'ROSTER_CHAIN_BROKEN',
    `the rosters shown do not lead through that of epoch ${epoch}, which this machine has accepted`,
    facts,
  );
}
