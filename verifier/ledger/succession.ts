// The rule for rosters: epoch e + 1 follows epoch e and is signed by a quorum of it and by every
// replica that is new (DESIGN 4.3, CONSENSUS E1).
import { quote } from '../errors.ts';
import { planRosterChain } from '../roster.ts';
import type { CheckedSubmission } from './effect.ts';
import { LedgerError } from './errors.ts';
import type { Submission } from './submission.ts';
import type { LedgerView } from './view.ts';

type RosterSubmission = Extract<Submission, { kind: 'roster' }>;

/**
 * Judges a roster. It says nothing about being alone in its batch: that is the batch's rule.
 *
 * @throws {LedgerError} `ROSTER_NOT_NEXT`
 * @throws {VerifyError} what planning its signatures finds wrong
 */
export function checkRoster(
  view: LedgerView,
  { envelope, roster }: RosterSubmission,
): CheckedSubmission {
  const present = view.roster;
  if (
    roster.origin !== present.origin ||
    roster.epoch !== present.epoch + 1 ||
    roster.previous !== present.hash
  ) {
    throw new LedgerError(
      'ROSTER_NOT_NEXT',
      `the roster of epoch ${roster.epoch} of ${quote(roster.origin)} does not follow epoch ${present.epoch}`,
    );
  }
  return {
    plan: planRosterChain(present.hash, [view.rosterEnvelope, envelope]),
    effect: { kind: 'roster', roster, envelope },
    artifacts: [],
  };
}
