// The machine report: one JSON document on stdout for every exit. Fields are only ever added; readers
// ignore those that they do not know.
import type { Diagnostic, Report, SubjectReport } from './report.ts';
import { printableJson } from './sanitize.ts';

/** Facts about the run that are not part of its verdict. */
export interface RunFacts {
  readonly version: string;
  readonly startedAtMs: number;
  readonly durationMs: number;
}

const VERIFY_SCHEMA = 'urn:bftpkg:schema:verify:v1';
const RESULT_SCHEMA = 'urn:bftpkg:schema:result:v1';
const VERIFY_COMMANDS: ReadonlySet<string> = new Set(['verify', 'install', 'ci']);

function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

function jsonDiagnostic(found: Diagnostic): object {
  return {
    code: found.code,
    severity: found.severity,
    message: found.message,
    details: found.details.map(([label, text]) => ({ label, text })),
    hints: found.hints,
  };
}

function jsonSubject(subject: SubjectReport): object {
  const id = subject.version === null ? subject.name : `${subject.name}@${subject.version}`;
  return {
    id: `npm:${id}`,
    name: subject.name,
    version: subject.version,
    location: subject.location,
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

/** How many subjects ended how. */
export function countVerdicts(
  subjects: readonly SubjectReport[],
): Readonly<Record<SubjectReport['verdict'], number>> {
  const counts = {
    verified: 0,
    rejected: 0,
    inconclusive: 0,
    local: 0,
    bundled: 0,
    omitted: 0,
    excepted: 0,
    baseline: 0,
  };
  for (const subject of subjects) counts[subject.verdict]++;
  return counts;
}

/** The JSON document of a report, with its final newline. */
export function renderJson(report: Report, facts: RunFacts): string {
  const head = {
    schema: VERIFY_COMMANDS.has(report.command) ? VERIFY_SCHEMA : RESULT_SCHEMA,
    tool: { name: 'bftpkg', version: facts.version },
    command: report.command,
    startedAt: new Date(facts.startedAtMs).toISOString(),
    durationMs: facts.durationMs,
    verdict: report.verdict,
    exit: report.exit,
  };
  const tail = {
    diagnostics: report.diagnostics.map(jsonDiagnostic),
    evidence: report.evidence,
  };
  const { verification } = report;
  if (!VERIFY_COMMANDS.has(report.command)) {
    return `${printableJson({ ...head, result: report.result?.data ?? null, ...tail })}\n`;
  }
  const subjects = verification?.subjects ?? [];
  const checkpoint = verification?.checkpoint ?? null;
  return `${printableJson({
    ...head,
    source: verification?.source ?? null,
    policy: verification?.policy ?? null,
    checkpoint:
      checkpoint === null
        ? null
        : { ...checkpoint, certifiedTime: undefined, timestamp: isoTime(checkpoint.certifiedTime) },
    summary: { subjects: subjects.length, ...countVerdicts(subjects) },
    subjects: subjects.map(jsonSubject),
    replicas: verification?.replicas ?? [],
    installed: verification?.installed ?? null,
    bytesFetched: verification?.bytesFetched ?? 0,
    ...tail,
  })}\n`;
}
