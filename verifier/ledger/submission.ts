// Submissions: what anybody may send to the log, and the one place that decides about it. The same
// function judges a submission when it comes in, when a leader builds a batch, when a replica checks
// one, and when an auditor replays the log.
import { statementHash, type Envelope } from '../dsse.ts';
import { quote } from '../errors.ts';
import { ROSTER_PAYLOAD_TYPE, parseRoster, type Roster } from '../roster.ts';
import {
  MAINTAINERS_PAYLOAD_TYPE,
  parseMaintainerSet,
  type MaintainerSet,
} from '../statements/maintainers.ts';
import { RELEASE_PAYLOAD_TYPE, parseRelease, type Release } from '../statements/release.ts';
import {
  WITHDRAWAL_PAYLOAD_TYPE,
  parseWithdrawal,
  type Withdrawal,
} from '../statements/withdrawal.ts';
import type { CheckedSubmission } from './effect.ts';
import { LedgerError } from './errors.ts';
import { checkMaintainers } from './maintainers.ts';
import { checkRelease } from './release.ts';
import { checkRoster } from './succession.ts';
import type { LedgerView } from './view.ts';
import { checkWithdrawal } from './withdrawal.ts';

interface SubmissionBase {
  /** Hex SHA-256 of the payload: its identity, whoever signed it. */
  readonly id: string;
  readonly envelope: Envelope;
}

/** A well-formed statement with its envelope. */
export type Submission =
  | (SubmissionBase & { readonly kind: 'maintainers'; readonly set: MaintainerSet })
  | (SubmissionBase & { readonly kind: 'release'; readonly release: Release })
  | (SubmissionBase & { readonly kind: 'withdrawal'; readonly withdrawal: Withdrawal })
  | (SubmissionBase & { readonly kind: 'roster'; readonly roster: Roster });

/**
 * Reads the statement in an envelope.
 *
 * @throws {LedgerError} `STATEMENT_UNSUPPORTED` for a payload type that this log does not take
 * @throws {VerifyError} `STATEMENT_MALFORMED`, `ROSTER_MALFORMED`, `FORMAT_UNSUPPORTED`, …
 */
export function readSubmission(envelope: Envelope): Submission {
  const id = statementHash(envelope.payload);
  const { payload, payloadType } = envelope;
  switch (payloadType) {
    case MAINTAINERS_PAYLOAD_TYPE:
      return { kind: 'maintainers', id, envelope, set: parseMaintainerSet(payload) };
    case RELEASE_PAYLOAD_TYPE:
      return { kind: 'release', id, envelope, release: parseRelease(payload) };
    case WITHDRAWAL_PAYLOAD_TYPE:
      return { kind: 'withdrawal', id, envelope, withdrawal: parseWithdrawal(payload) };
    case ROSTER_PAYLOAD_TYPE:
      return { kind: 'roster', id, envelope, roster: parseRoster(payload) };
    default:
      throw new LedgerError(
        'STATEMENT_UNSUPPORTED',
        `this log takes no statements of type ${quote(payloadType)}`,
      );
  }
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
