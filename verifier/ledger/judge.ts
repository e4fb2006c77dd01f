// The one place that decides about a submission. The same function judges it when it comes in, when a
// leader builds a batch, when a replica checks one, and when an auditor replays the log.
import type { CheckedSubmission } from './effect.ts';
import { LedgerError } from './errors.ts';
import { checkMaintainers } from './maintainers.ts';
import { checkRelease } from './release.ts';
import type { Submission } from './submission.ts';
import { checkRoster } from './succession.ts';
import type { LedgerView } from './view.ts';
import { checkWithdrawal } from './withdrawal.ts';

/**
 * Judges a submission against a state: everything but its signatures, which the result's plan checks.
 *
 * @param timeSeconds agreed time of the batch that it would be in, Unix seconds
 * @throws {LedgerError} `ALREADY_LOGGED` with the entry's index (rule 1: to its publisher that is
 *         success), and what the rule of its kind says
 * @throws {VerifyError} what planning its signatures finds wrong
 */
export function checkSubmission(
  view: LedgerView,
  submission: Submission,
  timeSeconds: number,
): CheckedSubmission {
  const index = view.statementIndex(submission.id);
  if (index !== undefined) {
    throw new LedgerError('ALREADY_LOGGED', `this statement is entry ${index}`, { index });
  }
  switch (submission.kind) {
    case 'maintainers':
      return checkMaintainers(view, submission, timeSeconds);
    case 'release':
      return checkRelease(view, submission, timeSeconds);
    case 'withdrawal':
      return checkWithdrawal(view, submission, timeSeconds);
    case 'roster':
      break;
  }
  return checkRoster(view, submission);
}
