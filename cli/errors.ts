// How a command ends early. Three kinds that are never mixed: VerifyError (bytes or evidence were
// refused), CliError (something here is wrong, or somebody has to act), UnreachableError (could not
// check: nothing was proven).
import { VerifyError } from '../verifier/errors.ts';
import type { Diagnostic } from './output/report.ts';
import { diagnostic } from './output/report.ts';
import type { DiagnosticCode } from './output/codes.ts';

/** A command cannot go on; the diagnostic says why and decides the exit code. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly diagnostic: Diagnostic;
  /** Files with proofs of misbehaviour that were written before this was thrown. */
  readonly evidence: readonly string[];

  constructor(
    code: DiagnosticCode,
    message: string,
    options: {
      readonly hints?: readonly string[];
      readonly details?: Diagnostic['details'];
      readonly evidence?: readonly string[];
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.diagnostic = diagnostic(code, message, {
      ...(options.hints === undefined ? {} : { hints: options.hints }),
      ...(options.details === undefined ? {} : { details: options.details }),
    });
    this.evidence = options.evidence ?? [];
  }
}

/** Why one exchange with one server came to nothing. */
export type TransportErrorCode =
  | 'UNREACHABLE'
  | 'TIMEOUT'
  | 'TOO_LARGE'
  | 'STATUS'
  | 'PROTOCOL'
  | 'ABORTED'
  | 'OFFLINE';

/** What --offline says to every exchange, before anything is resolved or opened. */
export function requireOnline(isOffline: boolean): void {
  if (isOffline) throw new TransportError('OFFLINE', '--offline forbids asking');
}

/** An exchange with a server failed. Says nothing about whether anything is genuine. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
  readonly code: TransportErrorCode;
  /** HTTP status, when there was one. */
  readonly status: number | undefined;
  /** The server's own error code and text, when it sent some; strangers' text. */
  readonly remote: { readonly code: string; readonly message: string } | undefined;

  constructor(
    code: TransportErrorCode,
    message: string,
    options: {
      readonly status?: number;
      readonly remote?: { readonly code: string; readonly message: string };
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status;
    this.remote = options.remote;
  }
}

/** What one replica did wrong, for the report. */
export interface ReplicaFailure {
  readonly url: string;
  readonly error: Error;
}

/** No replica, or too few of them, gave a usable answer. Exit 3 unless proof says otherwise. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
  readonly failures: readonly ReplicaFailure[];

  constructor(message: string, failures: readonly ReplicaFailure[]) {
    super(message);
    this.failures = failures;
  }
}

/** Wrong command line. */
export function usageError(message: string, hint?: string): CliError {
  return new CliError('BP9003', message, hint === undefined ? {} : { hints: [hint] });
}

/**
 * Makes something of what was typed; a refusal of it is the command line's fault, nobody's attack.
 *
 * @throws {CliError} BP9003
 */
export function fromUsage<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof VerifyError) throw usageError(error.message, error.hint);
    throw error;
  }
}

/** A file or setting that bftpkg needs is missing or malformed. */
export function configError(message: string, hint?: string, cause?: unknown): CliError {
  return new CliError('BP9004', message, {
    ...(hint === undefined ? {} : { hints: [hint] }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The `code` of a system error, like `ENOENT`; `undefined` for anything else. */
export function systemCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}
