// Refusals of the ledger's rules (DESIGN 5). What is malformed or badly signed is a VerifyError; what is
// well formed and signed, but breaks a rule of the ledger in its present state, is a LedgerError.

/** Which rule was broken. Codes are part of the public interface: add, never rename or reuse. */
export type LedgerErrorCode =
  // rule 1: one payload per name@version, one entry per payload
  | 'ALREADY_LOGGED'
  | 'RELEASE_CONFLICT'
  // rule 2 and the claim of a name
  | 'NAME_LOOKALIKE'
  | 'PACKAGE_UNCLAIMED'
  // rule 3: the chain of maintainer sets
  | 'SEQUENCE_WRONG'
  // what the signers saw (DESIGN 4.4)
  | 'OBSERVED_MISSING'
  | 'OBSERVED_HEAD_UNKNOWN'
  | 'OBSERVED_AHEAD'
  // withdrawals
  | 'RELEASE_UNKNOWN'
  | 'RELEASE_REVOKED'
  | 'STATUS_UNCHANGED'
  // rosters
  | 'ROSTER_NOT_NEXT'
  | 'ROSTER_NOT_ALONE'
  // rule 4: artifacts
  | 'ARTIFACT_MISSING'
  | 'ARTIFACT_MISMATCH'
  // rule 5: fairness and size
  | 'RATE_LIMITED'
  | 'STATEMENT_UNSUPPORTED'
  | 'ENTRY_TOO_LARGE'
  // rule 6 and the shape of a batch
  | 'TIME_WRONG'
  | 'BATCH_MALFORMED'
  | 'STATE_MOVED';

/**
 * Refusals that may turn into an acceptance without the submission changing: the log has to catch up,
 * an artifact has to arrive, an hour has to pass. Every other refusal is final for this payload.
 */
const TEMPORARY: ReadonlySet<LedgerErrorCode> = new Set<LedgerErrorCode>([
  'OBSERVED_AHEAD',
  'ARTIFACT_MISSING',
  'RATE_LIMITED',
  'ROSTER_NOT_ALONE',
  'STATE_MOVED',
]);

/** What is known about the refusal beside its message. */
export interface LedgerErrorOptions {
  /** The leaf that stands against the submission (the conflicting or the identical entry). */
  readonly index?: number;
  /** Artifacts that are missing, lower-case hex SHA-512. */
  readonly artifacts?: readonly string[];
  readonly hint?: string;
  readonly cause?: unknown;
}

/** A well-formed submission that the ledger's present state does not admit. */
export class LedgerError extends Error {
  override readonly name = 'LedgerError';
  readonly code: LedgerErrorCode;
  readonly index: number | undefined;
  readonly artifacts: readonly string[];
  readonly hint: string | undefined;

  constructor(code: LedgerErrorCode, message: string, options: LedgerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.index = options.index;
    this.artifacts = options.artifacts ?? [];
    this.hint = options.hint;
  }

  /** Whether the same submission may be accepted later: keep it or send it again. */
  get temporary(): boolean {
    return TEMPORARY.has(this.code);
  }
}
