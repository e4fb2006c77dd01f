// The machine report: one JSON document on stdout for every exit. Fields are only ever added; readers
// ignore those that they do not know.
import { countVerdicts, sortSubjects, subjectSpec } from './findings.ts';
import type { CheckpointReport, Diagnostic, Report, SubjectReport } from './report.ts';
import { printableJson } from './sanitize.ts';

/** Facts about the run that are not part of its verdict. */
export interface RunFacts {
  readonly version: string;
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** Leave out whatever differs between two runs with equal outcome: times, ages, bytes fetched. */
  readonly reproducible?: boolean;
  /** From the root of the repository to the project, with forward slashes; where it is the root, ''. */
  readonly folder?: string;
}

const VERIFY_SCHEMA = 'urn:bftpkg:schema:verify:v1';
const RESULT_SCHEMA = 'urn:bftpkg:schema:result:v1';
const VERIFY_COMMANDS: ReadonlySet<string> = new Set(['verify', 'install', 'ci']);

function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

/** A diagnostic, as it is in every document. */
export function jsonDiagnostic(found: Diagnostic): object {
  return {
    code: found.code,
    severity: found.severity,
    message: found.message,
    details: found.details.map(([label, text]) => ({ label, text })),
    hints: found.hints,
  };
}

/** A subject, as it is in every document. */
export function jsonSubject(subject: SubjectReport): object {
  return {
    id: `npm:${subjectSpec(subject)}`,
    name: subject.name,
    version: subject.version,
    location: subject.location,
    paths: subject.paths ?? [],
    verdict: subject.verdict,
    origin: subject.origin ?? null,
    digest: subject.digest,
    entry:
      subject.entry === null
        ? null
        : {
            index: subject.entry,
            loggedAt: subject.loggedAt === null ? null : isoTime(subject.loggedAt),
          },
    maintainers:
      subject.maintainers === null
        ? null
        : {
            required: subject.maintainers.required,
            valid: subject.maintainers.signers.length,
            signatures: subject.maintainers.signers.map((signer) => ({
              ...signer,
              status: 'valid',
            })),
          },
    decision:
      subject.decision === undefined
        ? null
        : { ...subject.decision, suppressed: subject.decision.suppressed.map(jsonDiagnostic) },
    diagnostics: subject.diagnostics.map(jsonDiagnostic),
  };
}

/** What every document says first. */
export function jsonHead(report: Report, facts: RunFacts): object {
  return {
    schema: isVerification(report.command) ? VERIFY_SCHEMA : RESULT_SCHEMA,
    tool: { name: 'bftpkg', version: facts.version },
    command: report.command,
    ...(facts.reproducible === true
      ? {}
      : { startedAt: new Date(facts.startedAtMs).toISOString(), durationMs: facts.durationMs }),
  };
}

/** The verdict, and whatever isn't about a single subject. */
export function jsonVerdict(report: Report, facts: RunFacts): object {
  const { verification } = report;
  const { evidence } = report;
  const verdict = { verdict: report.verdict, exit: report.exit, evidence };
  if (!isVerification(report.command)) return { ...verdict, result: report.result?.data ?? null };
  const subjects = verification?.subjects ?? [];
  const checkpoint = verification?.checkpoint ?? null;
  return {
    ...verdict,
    source: verification?.source ?? null,
    policy: verification?.policy ?? null,
    checkpoint: checkpoint === null ? null : jsonCheckpoint(checkpoint, facts),
    summary: { subjects: subjects.length, ...countVerdicts(subjects) },
    replicas: verification?.replicas ?? [],
    installed: verification?.installed ?? null,
    ...(facts.reproducible === true ? {} : { bytesFetched: verification?.bytesFetched ?? 0 }),
  };
}

function jsonCheckpoint(checkpoint: CheckpointReport, facts: RunFacts): object {
  const { certifiedTime, ageSeconds, ...rest } = checkpoint;
  return facts.reproducible === true
    ? rest
    : { ...rest, ageSeconds, timestamp: isoTime(certifiedTime) };
}

/** Whether a command's document is the one of verifications. */
export function isVerification(command: string): boolean {
  return VERIFY_COMMANDS.has(command);
}

/** The JSON document of a report, with its final newline. */
export function renderJson(report: Report, facts: RunFacts): string {
  const subjects = sortSubjects(report.verification?.subjects ?? []);
  return `${printableJson({
    ...jsonHead(report, facts),
    ...jsonVerdict(report, facts),
    ...(isVerification(report.command) ? { subjects: subjects.map(jsonSubject) } : {}),
    diagnostics: report.diagnostics.map(jsonDiagnostic),
  })}\n`;
}
