// Refusals as HTTP answers: a status for machines, `{"error":{"code","message"}}` for both.
import { LedgerError } from '../../verifier/ledger/errors.ts';
import type { LedgerErrorCode } from '../../verifier/ledger/errors.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { isOverloaded } from '../../verifier/node/signature-pool.ts';
import { describeError, type Log } from '../log.ts';
import type { Refusal } from '../ledger/application.ts';
import { StorageBusyError } from '../store/artifact-store.ts';
import { BusyError } from './face.ts';

/** Codes of refusals that the HTTP face makes itself. */
export type HttpErrorCode =
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'REQUEST_MALFORMED'
  | 'BODY_TOO_LARGE'
  | 'BODY_TOO_SLOW'
  | 'LENGTH_REQUIRED'
  | 'RATE_LIMITED'
  | 'BUSY'
  | 'NOT_READY'
  | 'PIN_UNKNOWN'
  | 'INTERNAL';

/** A refusal by the HTTP face itself. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly status: number;
  readonly code: HttpErrorCode;
  /** When to come back, seconds. */
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, code: HttpErrorCode, message: string, retryAfterSeconds?: number) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** An answer to a refused request. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Something that stands against the submission is in the log already. */
const CONFLICTS: ReadonlySet<string> = new Set<LedgerErrorCode>([
  'ALREADY_LOGGED',
  'RELEASE_CONFLICT',
  'SEQUENCE_WRONG',
  'STATUS_UNCHANGED',
  'ROSTER_NOT_NEXT',
]);

/** The same request may be accepted a little later. */
const LATER: ReadonlySet<string> = new Set<LedgerErrorCode>([
  'OBSERVED_AHEAD',
  'STATE_MOVED',
  'ROSTER_NOT_ALONE',
]);

/**
 * The answer for anything that was thrown.
 *
 * @returns `isBug` when it was none of our refusals: the caller logs it, the stranger learns nothing
 */
export function answerError(thrown: unknown): ErrorAnswer & { readonly isBug: boolean } {
  if (thrown instanceof HttpError) {
    const { status, code, message, retryAfterSeconds } = thrown;
    return { ...answer(status, { code, message }, retryAfterSeconds), isBug: false };
  }
  if (thrown instanceof BusyError || thrown instanceof StorageBusyError) {
    return { ...answer(503, { code: 'BUSY', message: thrown.message }, 1), isBug: false };
  }
  if (isOverloaded(thrown)) {
    const message = 'too many signatures wait to be checked';
    return { ...answer(503, { code: 'BUSY', message }, 1), isBug: false };
  }
  if (thrown instanceof LedgerError) {
    const { code, message, hint, index, artifacts } = thrown;
    return { ...answerRefusal(code, { code, message, hint, index, artifacts }), isBug: false };
  }
  if (thrown instanceof VerifyError) {
    const { code, message, hint } = thrown;
    return { ...answer(422, { code, message, hint }), isBug: false };
  }
  const message = 'the replica failed; its log says why';
  return { ...answer(500, { code: 'INTERNAL', message }), isBug: true };
}

/** The answer for anything that was thrown; bugs go to the log, and nothing about them to the stranger. */
export function refusalOf(thrown: unknown, log: Log): ErrorAnswer {
  const { isBug, ...said } = answerError(thrown);
  if (isBug) {
    const stack = thrown instanceof Error ? thrown.stack : undefined;
    log.error('request_failed', { error: describeError(thrown), stack });
  }
  return said;
}

/** The answer for a submission that was refused after it had been taken in. */
export function answerLateRefusal(refusal: Refusal): ErrorAnswer {
  const { code, message, hint, index, artifacts } = refusal;
  return answerRefusal(code, { code, message, hint, index, artifacts });
}

function answerRefusal(code: string, error: ErrorBody): ErrorAnswer {
  if (code === 'RATE_LIMITED') return answer(429, error, 60);
  if (LATER.has(code)) return answer(503, error, 1);
  return answer(CONFLICTS.has(code) ? 409 : 422, error);
}

interface ErrorBody {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly index?: number | undefined;
  readonly artifacts?: readonly string[] | undefined;
}

function answer(status: number, error: ErrorBody, retryAfterSeconds?: number): ErrorAnswer {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (retryAfterSeconds !== undefined) headers['retry-after'] = String(retryAfterSeconds);
  const { artifacts, ...rest } = error;
  const shown = artifacts === undefined || artifacts.length === 0 ? rest : { ...rest, artifacts };
  return { status, headers, body: `${JSON.stringify({ error: shown })}\n` };
}
