// The report in GitHub's Markdown, for step summaries and comments. Strangers' text is shown as text: it
// makes no link, image, heading, HTML or mention.
import { codeEntry } from './codes.ts';
import {
  countVerdicts,
  findingsOf,
  leftOutLines,
  subjectSpec,
  suppressedFindingsOf,
  type Finding,
} from './findings.ts';
import type { RunFacts } from './json.ts';
import type { Report, Verification } from './report.ts';
import { printable } from './sanitize.ts';

// A step summary is cut off at 1 MiB, and people stop reading long before.
const FINDINGS_MAX = 100;

const TITLES: Readonly<Record<Report['verdict'], string>> = {
  verified: 'verified',
  allowed: 'verified, with exceptions',
  rejected: 'refused',
  inconclusive: 'could not be checked',
  done: 'done',
  error: 'could not run',
};

/**
 * Text as text. What means something within a line is escaped, the dots and colons of addresses
 * included, which GitHub makes links of; `@` and `<` are entities, because mentions and HTML are
 * looked for before escapes are.
 */
export function escapeMarkdown(text: string): string {
  return printable(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('@', '&#64;')
    .replace(/[\\`*_[\]!|~:.$]/g, '\\$&');
}

/** Text in a code span, whatever backticks it has; in a table cell as well as outside. */
export function markdownCode(text: string): string {
  // In a table, `\\|` is a backslash and the end of the cell: what follows would no longer be code. A code
  // span has no spelling for a backslash before a bar.
  const shown = printable(text);
  if (shown.includes('\\|')) return escapeMarkdown(text);
  const clean = shown.replaceAll('|', '\\|');
  const runs = clean.match(/`+/g) ?? [];
  const fence = '`'.repeat(Math.max(0, ...runs.map((run) => run.length)) + 1);
  // Spaces at the ends of a span are part of the fence.
  return clean === '' ? '' : `${fence} ${clean} ${fence}`;
}

/** The Markdown document of a report, with its final newline. */
export function renderMarkdown(report: Report, facts: RunFacts): string {
  const { verification } = report;
  const findings = findingsOf(report);
  const allowed = suppressedFindingsOf(report);
  const lines = [
    `## bftpkg ${escapeMarkdown(report.command)}: ${TITLES[report.verdict]}`,
    '',
    ...(verification === null ? [] : verificationLines(verification)),
    ...table('Problems', findings),
    ...table('Allowed by policy', allowed),
    ...report.evidence.map((file) => `- evidence: ${markdownCode(file)}`),
    ...(verification?.replicas ?? []).map(
      ({ url, problem }) => `- replica ${markdownCode(url)}: ${escapeMarkdown(problem)}`,
    ),
    ...(report.result?.lines ?? []).map((line) =>
      line === '' ? '' : `    ${printable(line, 4000)}`,
    ),
    '',
    `exit ${report.exit.code}${report.exit.reason === null ? '' : ` (${report.exit.reason})`}, ` +
      `bftpkg ${escapeMarkdown(facts.version)}`,
  ];
  return `${lines.join('\n')}\n`;
}

function verificationLines({ source, checkpoint, subjects }: Verification): readonly string[] {
  const counts = Object.entries(countVerdicts(subjects)).filter(([, count]) => count > 0);
  const head =
    checkpoint === null
      ? []
      : [
          `Log ${markdownCode(checkpoint.origin)}, checkpoint ${checkpoint.size}, signed by ` +
            checkpoint.signers.map(markdownCode).join(' '),
        ];
  return [
    [markdownCode(source), ...head].join('. '),
    '',
    ...(counts.length === 0
      ? []
      : [
          '| result | packages |',
          '| --- | ---: |',
          ...counts.map(([verdict, count]) => `| ${verdict} | ${count} |`),
          '',
        ]),
    ...leftOutLines(subjects).flatMap((line) => [escapeMarkdown(line), '']),
  ];
}

function table(title: string, findings: readonly Finding[]): readonly string[] {
  if (findings.length === 0) return [];
  const left = findings.length - FINDINGS_MAX;
  return [
    `### ${title}`,
    '',
    '| | code | package | what was found |',
    '| --- | --- | --- | --- |',
    ...findings.slice(0, FINDINGS_MAX).map(row),
    ...(left > 0 ? [`| | | | and ${left} more |`] : []),
    '',
  ];
}

const MARKS = { error: '✖', inconclusive: '?', warning: '!' } as const;

function row({ diagnostic, subject }: Finding): string {
  const place = subject?.location ?? null;
  const line = place?.line === null || place === null ? '' : `:${place.line}`;
  const name = subject === null ? '' : markdownCode(subjectSpec(subject));
  const where = place === null ? '' : ` ${markdownCode(`${place.file}${line}`)}`;
  const details = diagnostic.details.map(
    ([label, text]) => `<br>${escapeMarkdown(label)} ${markdownCode(text)}`,
  );
  const hints = diagnostic.hints.map((hint) => `<br>next: ${escapeMarkdown(hint)}`);
  const cells = [
    MARKS[diagnostic.severity],
    `${diagnostic.code} ${escapeMarkdown(codeEntry(diagnostic.code).title)}`,
    `${name}${where}`,
    [escapeMarkdown(diagnostic.message), ...details, ...hints].join(''),
  ];
  return `| ${cells.join(' | ')} |`;
}
