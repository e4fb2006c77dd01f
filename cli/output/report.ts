// The one typed result of a run. Verdict, exit code, human text and JSON are all made from it, so
// they cannot disagree.
import type { JsonObject } from '../../verifier/json.ts';
import { codeEntry, type DiagnosticCode } from './codes.ts';
import { combineExits, EXIT, type ExitCode } from './exit-codes.ts';
import { groupReplicas, type ReplicaProblem } from './replicas.ts';

/** Something that was found, about one subject or about the run. */
export interface Diagnostic {
  readonly code: DiagnosticCode;
  /** `error` refuses; `inconclusive` could not be checked; `warning` changes nothing. */
  readonly severity: 'error' | 'inconclusive' | 'warning';
  /** What was found and what was needed. May hold strangers' text: renderers make it printable. */
  readonly message: string;
  /** Lines under the message: `label  text`. */
  readonly details: readonly (readonly [label: string, text: string])[];
  /** What to type or do next. */
  readonly hints: readonly string[];
}

/** One signature on a release, as far as it counts. */
export interface SignerReport {
  readonly keyId: string;
  readonly label: string;
}

/** Why something that was refused is allowed. */
export interface PolicyDecision {
  readonly kind: 'excepted' | 'baseline';
  /** Why somebody allowed it; a configuration's text. */
  readonly reason: string;
  /** Last day of the exception, `YYYY-MM-DD`; `null` for a baseline. */
  readonly expires: string | null;
  /** The file that says so. */
  readonly source: string;
  /** What would have been refused. */
  readonly suppressed: readonly Diagnostic[];
}

/** What happened to one subject. */
export interface SubjectReport {
  readonly name: string;
  readonly version: string | null;
  /** Where it was asked for: the lockfile and its line. */
  readonly location: { readonly file: string; readonly line: number | null } | null;
  /**
   * `local` is the user's own code, `bundled` is inside another subject's tarball, `omitted` was left
   * out on the user's own word (--omit, --only, --since). `excepted` and `baseline` were refused, and
   * a policy allows them all the same: nothing is proven about them.
   */
  readonly verdict:
    | 'verified'
    | 'rejected'
    | 'inconclusive'
    | 'local'
    | 'bundled'
    | 'omitted'
    | 'excepted'
    | 'baseline';
  /**
   * Ways on which it came into the lockfile, from the project to the package: a shortest one each. None
   * where nothing asks for it, and for subjects that are not from a lockfile.
   */
  readonly paths?: readonly (readonly string[])[];
  /** What kind of lockfile entry it is, and what else a reviewer should know about it. */
  readonly origin?: { readonly kind: string; readonly notes: readonly string[] };
  readonly digest: {
    readonly logged: string | null;
    readonly found: string | null;
  };
  readonly entry: number | null;
  /** When the log took it in, seconds. */
  readonly loggedAt: number | null;
  readonly maintainers: {
    readonly required: number;
    readonly signers: readonly SignerReport[];
  } | null;
  readonly diagnostics: readonly Diagnostic[];
  /** What a policy allowed; a verified subject can have one too. */
  readonly decision?: PolicyDecision;
}

/** The checkpoint under which everything was proven. */
export interface CheckpointReport {
  readonly origin: string;
  readonly size: number;
  /** Base64, as in the note. */
  readonly root: string;
  /** Certified by at least one correct replica, seconds. */
  readonly certifiedTime: number;
  readonly ageSeconds: number;
  readonly epoch: number;
  readonly signers: readonly string[];
  readonly consistentWith: number | null;
}

/** What a checkpoint had to satisfy. */
export interface PolicyReport {
  readonly source: string;
  readonly attestations: number;
  readonly total: number;
  readonly faulty: number;
  readonly maxCheckpointAgeSeconds: number;
}

/** What was checked with which outcome. */
export interface Verification {
  /** The lockfile, tarball or command line that named the subjects. */
  readonly source: string;
  /** What the places of subjects are relative to, absolute; the project where it isn't known. */
  readonly folder?: string;
  readonly policy: PolicyReport | null;
  readonly checkpoint: CheckpointReport | null;
  readonly subjects: readonly SubjectReport[];
  /** Replicas that failed or gave bad answers while others served; reports have one row for each. */
  readonly replicas: readonly ReplicaProblem[];
  readonly bytesFetched: number;
  /** What was done with what was verified, for `install`. */
  readonly installed: {
    readonly packages: number;
    /** Those of them that only a policy allows: no log vouches for them. */
    readonly allowed: number;
    readonly folder: string;
    /** Install scripts, each as `name@version`. */
    readonly scripts: {
      readonly ran: readonly string[];
      /** Not allowed by policy or flag. */
      readonly skipped: readonly string[];
      /** Of optional packages, which were left out because of it. */
      readonly failed: readonly string[];
    };
  } | null;
}

/** The outcome of commands that are not verifications. */
export interface CommandResult {
  /** For machines. */
  readonly data: JsonObject;
  /** For people, one line each. May hold strangers' text: renderers make it printable. */
  readonly lines: readonly string[];
  /** A text of ours that is itself what was asked for, such as a schema: shown as it is in every format. */
  readonly raw?: string;
}

/** `allowed` is exit 0 too, but some subjects are there on a policy's word and not on a proof. */
export type Verdict = 'verified' | 'allowed' | 'rejected' | 'inconclusive' | 'done' | 'error';

/** A whole run. */
export interface Report {
  readonly command: string;
  readonly verdict: Verdict;
  readonly exit: { readonly code: ExitCode; readonly reason: DiagnosticCode | null };
  /** About the run as a whole. */
  readonly diagnostics: readonly Diagnostic[];
  /** Files with proofs of misbehaviour that this run wrote. */
  readonly evidence: readonly string[];
  readonly verification: Verification | null;
  readonly result: CommandResult | null;
}

/** Makes a diagnostic. */
export function diagnostic(
  code: DiagnosticCode,
  message: string,
  options: {
    readonly severity?: Diagnostic['severity'];
    readonly details?: Diagnostic['details'];
    readonly hints?: readonly string[];
  } = {},
): Diagnostic {
  const inconclusive = codeEntry(code).exit === EXIT.inconclusive;
  return {
    code,
    severity: options.severity ?? (inconclusive ? 'inconclusive' : 'error'),
    message,
    details: options.details ?? [],
    hints: options.hints ?? [],
  };
}

/** The exit of everything that was found: the most severe code, and the diagnostic that decided. */
export function exitOf(diagnostics: readonly Diagnostic[]): Report['exit'] {
  const counted = diagnostics.filter((found) => found.severity !== 'warning');
  const code = combineExits(counted.map((found) => codeEntry(found.code).exit));
  const decisive = counted.find((found) => codeEntry(found.code).exit === code);
  return { code, reason: decisive?.code ?? null };
}

function verdictOf(code: ExitCode): Verdict {
  if (code === EXIT.verified) return 'verified';
  if (code === EXIT.inconclusive) return 'inconclusive';
  return code === EXIT.usage || code === EXIT.internal || code === EXIT.locked
    ? 'error'
    : 'rejected';
}

function isAllowed({ verdict }: SubjectReport): boolean {
  return verdict === 'excepted' || verdict === 'baseline';
}

/**
 * The report of a verification. "Verified" needs at least one verified subject and no subject that
 * is anything but verified, local or bundled: an empty set or a forgotten diagnostic never is exit 0.
 * With subjects that only a policy allows, exit 0 is called `allowed`.
 */
export function verificationReport(
  command: string,
  verification: Verification,
  about: {
    readonly diagnostics?: readonly Diagnostic[];
    readonly evidence?: readonly string[];
  } = {},
): Report {
  const { subjects } = verification;
  const all = [...(about.diagnostics ?? []), ...subjects.flatMap((subject) => subject.diagnostics)];
  const extra: Diagnostic[] = [];
  if (exitOf(all).code === EXIT.verified) {
    if (subjects.some((s) => s.verdict === 'rejected' || s.verdict === 'inconclusive')) {
      extra.push(diagnostic('BP9999', 'a subject was not verified and no reason was recorded'));
    } else if (!subjects.some((s) => s.verdict === 'verified' || isAllowed(s))) {
      extra.push(diagnostic('BP9001', `${verification.source}: nothing to verify`));
    }
  }
  const exit = exitOf([...all, ...extra]);
  const verdict = verdictOf(exit.code);
  return {
    command,
    verdict: verdict === 'verified' && subjects.some(isAllowed) ? 'allowed' : verdict,
    exit,
    diagnostics: [...(about.diagnostics ?? []), ...extra],
    evidence: about.evidence ?? [],
    verification: { ...verification, replicas: groupReplicas(verification.replicas) },
    result: null,
  };
}

/** The report of a command that did its work. */
export function doneReport(
  command: string,
  result: CommandResult,
  warnings: readonly Diagnostic[] = [],
): Report {
  return {
    command,
    verdict: 'done',
    exit: { code: EXIT.verified, reason: null },
    diagnostics: warnings,
    evidence: [],
    verification: null,
    result,
  };
}

/** The report of a run that ended early. Never exit 0. */
export function failureReport(
  command: string,
  diagnostics: readonly Diagnostic[],
  evidence: readonly string[] = [],
): Report {
  const exit = exitOf(diagnostics);
  const safe =
    exit.code === EXIT.verified ? { code: EXIT.internal, reason: 'BP9999' as const } : exit;
  return {
    command,
    verdict: verdictOf(safe.code),
    exit: safe,
    diagnostics,
    evidence,
    verification: null,
    result: null,
  };
}

/** The same report with something more that was found; it can only get worse by that. */
export function withDiagnostics(report: Report, found: readonly Diagnostic[]): Report {
  const more = exitOf(found);
  const code = combineExits([report.exit.code, more.code]);
  return {
    ...report,
    diagnostics: [...report.diagnostics, ...found],
    exit: { code, reason: code === report.exit.code ? report.exit.reason : more.reason },
    verdict: code === report.exit.code ? report.verdict : verdictOf(code),
  };
}

/** The same report for programs that know success, refusal and everything else only (`--exit-code=simple`). */
export function simplifyExit(report: Report): Report {
  const { code, reason } = report.exit;
  const isRefusal = code >= EXIT.tampered && code <= EXIT.policy;
  return isRefusal ? { ...report, exit: { code: EXIT.rejected, reason } } : report;
}
