// What a report says about what was found, in the one order that every format shows it in: the most
// severe first, because people read the first lines and machines cut the last ones off.
import { codeEntry } from './codes.ts';
import { SEVERITY } from './exit-codes.ts';
import type { Diagnostic, Report, SubjectReport } from './report.ts';

/** One diagnostic, and the subject that it is about; `null` for the run as a whole. */
export interface Finding {
  readonly diagnostic: Diagnostic;
  readonly subject: SubjectReport | null;
  /** Whether a policy allows it all the same. */
  readonly isSuppressed: boolean;
}

const KIND_ORDER: readonly Diagnostic['severity'][] = ['error', 'inconclusive', 'warning'];

function compareTexts(a: string, b: string): number {
  // By code unit: the order must not depend on the reader's locale.
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareSubjects(a: SubjectReport, b: SubjectReport): number {
  return (
    compareTexts(a.name, b.name) ||
    compareTexts(a.version ?? '', b.version ?? '') ||
    compareTexts(a.location?.file ?? '', b.location?.file ?? '') ||
    (a.location?.line ?? 0) - (b.location?.line ?? 0)
  );
}

/** All subjects by name and version, so that equal input gives equal output. */
export function sortSubjects(subjects: readonly SubjectReport[]): readonly SubjectReport[] {
  return subjects.toSorted(compareSubjects);
}

function compareFindings(a: Finding, b: Finding): number {
  const kind = (found: Finding): number => KIND_ORDER.indexOf(found.diagnostic.severity);
  const rank = (found: Finding): number => SEVERITY.indexOf(codeEntry(found.diagnostic.code).exit);
  const bySeverity = kind(a) - kind(b) || rank(a) - rank(b);
  if (bySeverity !== 0) return bySeverity;
  const byCode = compareTexts(a.diagnostic.code, b.diagnostic.code);
  if (byCode !== 0) return byCode;
  if (a.subject === null || b.subject === null) {
    return (a.subject === null ? 0 : 1) - (b.subject === null ? 0 : 1);
  }
  return compareSubjects(a.subject, b.subject);
}

/** Everything that counts or warns, the most severe first; what a policy allows is not among it. */
export function findingsOf(report: Report): readonly Finding[] {
  const subjects = report.verification?.subjects ?? [];
  const found = [
    ...report.diagnostics.map((diagnostic) => ({ diagnostic, subject: null, isSuppressed: false })),
    ...subjects.flatMap((subject) =>
      subject.diagnostics.map((diagnostic) => ({ diagnostic, subject, isSuppressed: false })),
    ),
  ];
  return found.toSorted(compareFindings);
}

/** What would have counted and is allowed by a policy, in the same order. */
export function suppressedFindingsOf(report: Report): readonly Finding[] {
  const subjects = report.verification?.subjects ?? [];
  return subjects
    .flatMap((subject) =>
      (subject.decision?.suppressed ?? []).map((diagnostic) => ({
        diagnostic,
        subject,
        isSuppressed: true,
      })),
    )
    .toSorted(compareFindings);
}

/** `name@version`, or the name alone. Strangers' text. */
export function subjectSpec(subject: Pick<SubjectReport, 'name' | 'version'>): string {
  return subject.version === null ? subject.name : `${subject.name}@${subject.version}`;
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

/**
 * What was left out and on which word, like `3 left out: does not match alpha`; empty when nothing was. A variable
 * that somebody else set may have said it, so no report may keep it to itself. Strangers' text.
 */
export function leftOutLines(subjects: readonly SubjectReport[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const { verdict, origin } of subjects) {
    if (verdict !== 'omitted') continue;
    const reason = origin?.notes[0] ?? 'as asked';
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  return [...counts].map(([reason, count]) => `${count} left out: ${reason}`);
}

/** Where a place lies from the root of the repository: forward slashes, never above the root. */
export function repositoryPath(file: string, folder: string): string {
  const parts: string[] = [];
  const isAbsolute = /^(?:[/\\]|[A-Za-z]:)/.test(file);
  for (const part of (isAbsolute ? file : `${folder}/${file}`).split(/[/\\]/)) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}
