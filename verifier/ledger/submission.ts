// Submissions: what anybody may send to the log.
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
import { LedgerError } from './errors.ts';

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

// What envelopes say. Nobody changes one; the same is read when it comes in, when a leader takes it into
// a batch, and again when that has to be done once more.
const submissions = new WeakMap<Envelope, Submission>();

/**
 * Reads the statement in an envelope.
 *
 * @throws {LedgerError} `STATEMENT_UNSUPPORTED` for a payload type that this log does not take
 * @throws {VerifyError} `STATEMENT_MALFORMED`, `ROSTER_MALFORMED`, `FORMAT_UNSUPPORTED`, …
 */
export function readSubmission(envelope: Envelope): Submission {
  const known = submissions.get(envelope);
  if (known !== undefined) return known;
  const submission = read(envelope);
  submissions.set(envelope, submission);
  return submission;
}

function read(envelope: Envelope): Submission {
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
