// One line for each finding, as compilers write them, so that editors and `grep` can read it:
// `package-lock.json:12: error[BP1003] left-pad@1.3.0: …`. No line for what is fine but the last.
import type { Style } from './color.ts';
import { countVerdicts, findingsOf, leftOutLines, subjectSpec, type Finding } from './findings.ts';
import type { Diagnostic, Report } from './report.ts';
import { printable } from './sanitize.ts';

const KINDS: Readonly<Record<Diagnostic['severity'], readonly ['bad' | 'warn', string]>> = {
  error: ['bad', 'error'],
  inconclusive: ['warn', 'unknown'],
  warning: ['warn', 'warning'],
};

/** The short report for people. */
export function renderConcise(report: Report, style: Style): string {
  if (report.result?.raw !== undefined) return report.result.raw;
  const lines = findingsOf(report).map((found) => findingLine(found, style));
  for (const { url, problem } of report.verification?.replicas ?? []) {
    lines.push(`${printable(url)}: replica: ${printable(problem)}`);
  }
  for (const file of report.evidence) lines.push(`${printable(file)}: evidence`);
  if (report.result !== null) {
    lines.push(...report.result.lines.map((line) => printable(line, 4000)));
  } else {
    lines.push(summaryLine(report, style));
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function findingLine({ diagnostic, subject }: Finding, style: Style): string {
  const place = subject?.location ?? null;
  const where =
    place === null
      ? 'bftpkg: '
      : `${printable(place.file)}:${place.line === null ? '' : `${place.line}:`} `;
  const [paint, word] = KINDS[diagnostic.severity];
  const label = style[paint](`${word}[${diagnostic.code}]`);
  const spec = subject === null ? '' : printable(subjectSpec(subject));
  const message = printable(diagnostic.message);
  return `${where}${label} ${message.includes(spec) ? '' : `${spec}: `}${message}`;
}

function summaryLine(report: Report, style: Style): string {
  const { verified, rejected, inconclusive, excepted, baseline } = countVerdicts(
    report.verification?.subjects ?? [],
  );
  const leftOut = leftOutLines(report.verification?.subjects ?? []).map((line) => `, ${line}`);
  const text =
    `bftpkg: ${report.verdict}: ${verified} verified, ${rejected} refused, ` +
    `${inconclusive} not checked, ${excepted + baseline} allowed by policy` +
    `${printable(leftOut.join(''))} (exit ${report.exit.code})`;
  return report.exit.code === 0 ? style.good(text) : style.bad(text);
}
