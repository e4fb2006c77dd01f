// The report as one JSON object a line, for programs that read while we work: `start`, then any number
// of `progress`, then `subject` and `diagnostic`, and always an `end`. Fields are those of the JSON
// document. A stream without an `end` was cut off and means nothing.
import { findingsOf, sortSubjects } from './findings.ts';
import { jsonDiagnostic, jsonHead, jsonSubject, jsonVerdict, type RunFacts } from './json.ts';
import type { Report } from './report.ts';
import { printableJsonLine } from './sanitize.ts';

/** The first line, written as soon as it is known what is run. */
export function ndjsonStart(command: string, version: string, startedAtMs: number | null): string {
  return line({
    type: 'start',
    tool: { name: 'bftpkg', version },
    command,
    ...(startedAtMs === null ? {} : { startedAt: new Date(startedAtMs).toISOString() }),
  });
}

/** A line about what is going on. */
export function ndjsonProgress(
  text: string,
  count: { readonly done: number; readonly total: number } | undefined,
): string {
  return line({ type: 'progress', text, ...count });
}

/** The lines of a finished report, without the first one. */
export function renderNdjson(report: Report, facts: RunFacts): string {
  const subjects = sortSubjects(report.verification?.subjects ?? []);
  const runWide = findingsOf(report).filter(({ subject }) => subject === null);
  return [
    ...subjects.map((subject) => line({ type: 'subject', ...jsonSubject(subject) })),
    ...runWide.map(({ diagnostic }) => line({ type: 'diagnostic', ...jsonDiagnostic(diagnostic) })),
    line({ type: 'end', ...jsonHead(report, facts), ...jsonVerdict(report, facts) }),
  ].join('');
}

function line(value: object): string {
  return `${printableJsonLine(value)}\n`;
}
