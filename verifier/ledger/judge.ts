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
 * Leaf index of the entry with this statement, whoever signed it there; `undefined` when there is none.
 *
 * A release that is in the log has bound all its versions, for ever: the record of one says which statement did.
 * That is asked for anyway, to see whether the version is free, and spares a look-up among all statements.
 */
export function loggedIndex(
  view: Pick<LedgerView, 'statementIndex' | 'releaseRecord'>,
  submission: Submission,
): number | undefined {
  const { id } = submission;
  const subject = submission.kind === 'release' ? submission.release.subjects[0] : undefined;
  if (subject === undefined) return view.statementIndex(id);
  const bound = view.releaseRecord(subject.name, subject.version);
  return bound?.statement === id ? bound.index : undefined;
}

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
  const index = loggedIndex(view, submission);
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
