// From anything thrown to diagnostics. The verifier's refusals have codes of their own; this table
// gives each the public code under which users find it explained.
import { VerifyError, type VerifyErrorCode } from '../../verifier/errors.ts';
import { CliError, TransportError, UnreachableError, type ReplicaFailure } from '../errors.ts';
import { machineTrouble } from '../system-reasons.ts';
import { codeEntry, type DiagnosticCode } from './codes.ts';
import { EXIT, SEVERITY } from './exit-codes.ts';
import { diagnostic, type Diagnostic } from './report.ts';

// A Record over the closed union: a code that is added to the verifier without an entry here does
// not compile.
const PUBLIC_CODES: Readonly<Record<VerifyErrorCode, DiagnosticCode>> = {
  ENCODING_MALFORMED: 'BP4008',
  JSON_MALFORMED: 'BP4008',
  KEY_MALFORMED: 'BP4008',
  NOTE_MALFORMED: 'BP4008',
  CHECKPOINT_MALFORMED: 'BP4008',
  COSIGNATURE_MALFORMED: 'BP4008',
  ROSTER_MALFORMED: 'BP4008',
  ENVELOPE_MALFORMED: 'BP4008',
  STATEMENT_MALFORMED: 'BP4008',
  ENTRY_MALFORMED: 'BP4008',
  EVIDENCE_MALFORMED: 'BP4008',
  MAP_MALFORMED: 'BP4008',
  TILE_MALFORMED: 'BP4008',
  PROOF_MALFORMED: 'BP4008',
  MANIFEST_MALFORMED: 'BP1006',
  // Between replicas only; a client never sees these.
  MESSAGE_MALFORMED: 'BP4008',
  MESSAGE_REFUSED: 'BP4008',
  FORMAT_UNSUPPORTED: 'BP9002',
  // The log can't hold such a name or version, so nobody can have logged it.
  PACKAGE_NAME_INVALID: 'BP5003',
  VERSION_INVALID: 'BP5003',
  NOTE_SIGNATURE_INVALID: 'BP3002',
  ROSTER_CHAIN_BROKEN: 'BP3003',
  ROSTER_NOT_PINNED: 'BP3003',
  ORIGIN_MISMATCH: 'BP3003',
  QUORUM_NOT_REACHED: 'BP3001',
  MAINTAINER_CHAIN_BROKEN: 'BP2006',
  MAINTAINER_SIGNATURES_MISSING: 'BP2001',
  INCLUSION_PROOF_INVALID: 'BP4004',
  ENTRY_MISMATCH: 'BP4004',
  CONSISTENCY_PROOF_INVALID: 'BP4005',
  MAP_PROOF_INVALID: 'BP4009',
  COMMIT_LEAF_MISSING: 'BP4009',
  CHECKPOINT_ROLLBACK: 'BP4002',
  CHECKPOINT_FORK: 'BP4003',
  CHECKPOINT_STALE: 'BP4001',
  CHECKPOINT_FUTURE: 'BP4007',
  NOT_IN_LOG: 'BP5003',
  RELEASE_REVOKED: 'BP5001',
  RELEASE_YANKED: 'BP5002',
  INTEGRITY_MISMATCH: 'BP1003',
  ARTIFACT_DIGEST_MISMATCH: 'BP1001',
  ARTIFACT_SIZE_MISMATCH: 'BP1002',
  ARCHIVE_UNSAFE: 'BP1005',
  MANIFEST_MISMATCH: 'BP1006',
};

/** The public code of a refusal. */
export function publicCode(code: VerifyErrorCode): DiagnosticCode {
  return PUBLIC_CODES[code];
}

// Refusals of bytes that a server sent.
const ABOUT_BYTES: ReadonlySet<VerifyErrorCode> = new Set<VerifyErrorCode>([
  'ARTIFACT_DIGEST_MISMATCH',
  'ARTIFACT_SIZE_MISMATCH',
]);

/** A refusal as a diagnostic. */
export function diagnoseRefusal(error: VerifyError, prefix: string = ''): Diagnostic {
  const details: (readonly [string, string])[] = [];
  const [needed, found] = ABOUT_BYTES.has(error.code) ? ['logged', 'served'] : ['needed', 'found'];
  if (error.expected !== undefined) details.push([needed, error.expected]);
  if (error.found !== undefined) details.push([found, error.found]);
  return diagnostic(publicCode(error.code), prefix + error.message, {
    details,
    hints: error.hint === undefined ? [] : [error.hint],
  });
}

/** One line about what a replica did. */
export function describeFailure(error: Error): string {
  if (error instanceof VerifyError)
    return `bad answer, ${publicCode(error.code)}: ${error.message}`;
  if (error instanceof TransportError && error.remote !== undefined) {
    return `${error.message}: ${error.remote.message}`;
  }
  return error.message;
}

/** What to do when too few replicas answered. */
export const RETRY_HINTS: readonly string[] = [
  'try again; bftpkg doctor shows who answers',
  'bftpkg explain BP7001',
];

/**
 * What follows from replicas that all failed. A refusal counts as the verdict only when `decisive`
 * says that enough replicas took part; otherwise bad answers of some are listed beside the silence
 * of the rest, and the run is inconclusive: "could not check" is never reported as "tampered".
 */
export function diagnoseFailures(
  message: string,
  failures: readonly ReplicaFailure[],
  decisive: boolean,
): Diagnostic {
  const details = failures.map(({ url, error }) => [url, describeFailure(error)] as const);
  const refusals = failures.flatMap(({ error }) => (error instanceof VerifyError ? [error] : []));
  const rank = (error: VerifyError): number =>
    SEVERITY.indexOf(codeEntry(publicCode(error.code)).exit);
  const worst = refusals.toSorted((a, b) => rank(a) - rank(b))[0];
  if (worst !== undefined && decisive) {
    const refusal = diagnoseRefusal(worst);
    return { ...refusal, details: [...refusal.details, ...details] };
  }
  return diagnostic('BP7001', message, { details, hints: hintsAfter(failures) });
}

/** What to do about a log that is not the pinned one. Never: take the pin that its servers show. */
export const OTHER_LOG_HINT =
  'they run another log than the one in bftpkg.json: compare its pin with what the operators publish';

/** Whether a server says, or shows, that it runs another log than the pinned one. */
export function isOtherLog(error: Error): boolean {
  const isRefused = error instanceof VerifyError && error.code === 'ROSTER_NOT_PINNED';
  return isRefused || saysOf(error) === 'PIN_UNKNOWN';
}

function saysOf(error: Error): string | undefined {
  return error instanceof TransportError ? error.remote?.code : undefined;
}

// Only where all agree: one of them may say what it likes.
function hintsAfter(failures: readonly ReplicaFailure[]): readonly string[] {
  const areAll = (is: (error: Error) => boolean): boolean =>
    failures.length > 0 && failures.every(({ error }) => is(error));
  if (areAll(isOtherLog)) return [OTHER_LOG_HINT, 'bftpkg explain BP3003'];
  return areAll((error) => saysOf(error) === 'NOT_READY') ? [EMPTY_LOG_HINT] : RETRY_HINTS;
}

/** What to do about a log without an entry. */
export const EMPTY_LOG_HINT = 'publish something first: bftpkg package register <name>';

/** Anything that was thrown, as diagnostics. Never throws, never empty. */
export function diagnoseThrown(thrown: unknown): readonly Diagnostic[] {
  if (thrown instanceof CliError) return [thrown.diagnostic];
  if (thrown instanceof VerifyError) return [diagnoseRefusal(thrown)];
  if (thrown instanceof UnreachableError) {
    return [diagnoseFailures(thrown.message, thrown.failures, false)];
  }
  if (thrown instanceof TransportError) {
    const code =
      thrown.code === 'TOO_LARGE' ? 'BP7002' : thrown.code === 'TIMEOUT' ? 'BP7003' : 'BP7001';
    return [diagnostic(code, describeFailure(thrown))];
  }
  const trouble = machineTrouble(thrown);
  if (trouble !== undefined) {
    return [diagnostic('BP9004', trouble.message, { hints: [trouble.hint] })];
  }
  const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  return [
    diagnostic('BP9999', `internal error: ${text}`, {
      hints: ['run again with --verbose and report the details'],
    }),
  ];
}

/** Whether an exit comes from a proof, so that asking somebody else cannot make it better. */
export function isFinal(error: unknown): boolean {
  return error instanceof VerifyError && codeEntry(publicCode(error.code)).exit === EXIT.fork;
}
