// Workflow commands of GitHub Actions: annotations on the lines of the lockfile. A runner acts on every
// line that starts with `::`, so strangers' text is escaped as the runner's own toolkit does it, and
// can start no line.
import { codeEntry } from './codes.ts';
import {
  countVerdicts,
  findingsOf,
  leftOutLines,
  repositoryPath,
  type Finding,
} from './findings.ts';
import type { RunFacts } from './json.ts';
import type { Diagnostic, Report } from './report.ts';
import { printable } from './sanitize.ts';

/** GitHub shows ten annotations of each level for a step and drops the others. */
export const ANNOTATIONS_MAX = 10;

const LEVELS: Readonly<Record<Diagnostic['severity'], 'error' | 'warning'>> = {
  error: 'error',
  inconclusive: 'error',
  warning: 'warning',
};

/** Annotations, and a line for the log. */
export function renderGitHub(report: Report, facts: RunFacts): string {
  const findings = findingsOf(report);
  const lines: string[] = [];
  for (const level of ['error', 'warning'] as const) {
    const all = findings.filter(({ diagnostic }) => LEVELS[diagnostic.severity] === level);
    // The tenth says how many there are: silently dropped ones look like fixed ones.
    const shown = all.length > ANNOTATIONS_MAX ? all.slice(0, ANNOTATIONS_MAX - 1) : all;
    lines.push(...shown.map((found) => annotation(level, found, facts)));
    const left = all.length - shown.length;
    if (left > 0) lines.push(command(level, { title: 'bftpkg' }, `and ${left} more`));
  }
  const { verified, excepted, baseline } = countVerdicts(report.verification?.subjects ?? []);
  const allowed = excepted + baseline;
  const byPolicy = allowed === 0 ? '' : `, ${allowed} allowed by policy`;
  const leftOut = leftOutLines(report.verification?.subjects ?? []).map((line) => `, ${line}`);
  const reason = report.exit.reason === null ? '' : ` ${report.exit.reason}`;
  lines.push(
    `bftpkg ${report.command}: ${report.verdict}, ${verified} verified${byPolicy}${printable(leftOut.join(''))}, exit ${report.exit.code}${reason}`,
  );
  return `${lines.join('\n')}\n`;
}

function annotation(level: 'error' | 'warning', found: Finding, facts: RunFacts): string {
  const { diagnostic, subject } = found;
  const place = subject?.location ?? null;
  const file = place === null ? '' : repositoryPath(place.file, facts.folder ?? '');
  const line = place?.line ?? null;
  // A file that is the root itself names nothing that an annotation could be shown in.
  const where = file === '' ? {} : { file, ...(line === null ? {} : { line: String(line) }) };
  const title = `${diagnostic.code} ${codeEntry(diagnostic.code).title}`;
  const text = [
    diagnostic.message,
    ...diagnostic.details.map(([label, detail]) => `${label}  ${detail}`),
    ...diagnostic.hints.map((hint) => `next  ${hint}`),
  ].map((line) => printable(line));
  return command(level, { ...where, title }, text.join('\n'));
}

function command(
  level: string,
  properties: Readonly<Record<string, string>>,
  message: string,
): string {
  const list = Object.entries(properties).map(([key, value]) => `${key}=${escapeProperty(value)}`);
  return `::${level} ${list.join(',')}::${escapeData(message)}`;
}

/** Escapes the text of a workflow command. */
export function escapeData(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

/** Escapes the value of a property of a workflow command. */
export function escapeProperty(text: string): string {
  return escapeData(printable(text)).replaceAll(':', '%3A').replaceAll(',', '%2C');
}

/**
 * What later steps can read as outputs of this one: lines for the file that GITHUB_OUTPUT names. The
 * values are our own words and paths that were typed; one with a line break could set other outputs,
 * so it is left out.
 */
export function githubOutputs(report: Report, reportFiles: readonly string[]): string {
  const lines = [`verdict=${report.verdict}`, `exit-code=${report.exit.code}`];
  const [first] = reportFiles;
  if (first !== undefined && !/[\r\n]/.test(first)) lines.push(`report-path=${first}`);
  return `${lines.join('\n')}\n`;
}
