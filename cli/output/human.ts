// The report for people. Every piece of text that came from outside goes through `printable` here and
// nowhere later, so colour codes are the only escape sequences that can reach the terminal.
import type { Style } from './color.ts';
import { countVerdicts, findingsOf, leftOutLines, subjectSpec, type Finding } from './findings.ts';
import type { RunFacts } from './json.ts';
import type { Diagnostic, Report, SubjectReport, Verification } from './report.ts';
import { printable } from './sanitize.ts';
import { formatCount, shortenDigests, wrapLine } from './text-layout.ts';

/** What goes where: results to stdout, everything else to stderr. */
export interface HumanText {
  readonly stdout: string;
  readonly stderr: string;
}

/** How much to show. */
export interface HumanOptions {
  readonly verbose: boolean;
  readonly quiet: boolean;
  /** Columns of the terminal; without one, lines are left whole so that logs can be searched. */
  readonly width?: number | undefined;
}

function mark(found: Diagnostic, style: Style): string {
  switch (found.severity) {
    case 'error':
      return style.bad(`${style.marks.fail} error[${found.code}]`);
    case 'inconclusive':
      return style.warn(`${style.marks.unknown} ${found.code}`);
    case 'warning':
      return style.warn(`${style.marks.warn} warning[${found.code}]`);
  }
}

interface Layout {
  readonly style: Style;
  readonly verbose: boolean;
  readonly width: number | undefined;
}

function diagnosticLines(found: Diagnostic, { style, verbose, width }: Layout): readonly string[] {
  const labels = Math.max(0, ...found.details.map(([label]) => Math.min(label.length, 32)));
  const texts = found.details.map(([, text]) => printable(text, TEXT_LENGTH_MAX));
  const shown = verbose ? texts : shortenDigests(texts);
  return [
    // On one line whatever is in it: a name with line breaks would write lines of its own.
    ...wrapLine(`${mark(found, style)} ${printable(found.message)}`, width, 2),
    ...found.details.flatMap(([label], index) => {
      const name = style.dim(printable(label, 80).padEnd(labels));
      return wrapLine(`  ${name}  ${shown[index] ?? ''}`, width, labels + 4);
    }),
    ...found.hints.flatMap((hint) =>
      wrapLine(`  ${style.dim('next')}  ${printable(hint)}`, width, 8),
    ),
  ];
}

// A detail can hold several digests in full.
const TEXT_LENGTH_MAX = 1000;
// Enough to see what kind of problem it is; the others of the same kind are named below them.
const SHOWN_IN_FULL_MAX = 3;
const NAMED_MAX = 20;

// Findings of one code one after another: the first few in full, then the names of the rest.
function findingLines(findings: readonly Finding[], layout: Layout): readonly string[] {
  const byCode = new Map<string, Finding[]>();
  for (const found of findings) {
    const key = `${found.diagnostic.severity} ${found.diagnostic.code}`;
    const group = byCode.get(key);
    if (group === undefined) byCode.set(key, [found]);
    else group.push(found);
  }
  return [...byCode.values()].flatMap((group) => {
    // One more is named as quickly as it is counted.
    const isLong = !layout.verbose && group.length > SHOWN_IN_FULL_MAX + 1;
    const full = isLong ? group.slice(0, SHOWN_IN_FULL_MAX) : group;
    const lines = full.flatMap((found) => [...diagnosticLines(withPaths(found), layout), '']);
    return isLong ? [...lines, ...namedLines(group.slice(SHOWN_IN_FULL_MAX), layout), ''] : lines;
  });
}

// Who asked for what is wrong: what has to be changed is often one of those.
function withPaths({ subject, diagnostic }: Finding): Diagnostic {
  const paths = subject?.paths ?? [];
  const lines = paths.map((path) => ['pulled in by', path.join(' → ')] as const);
  return { ...diagnostic, details: [...diagnostic.details, ...lines] };
}

function namedLines(group: readonly Finding[], { style, width }: Layout): readonly string[] {
  const [first] = group;
  if (first === undefined) return [];
  const lines = [`${mark(first.diagnostic, style)} and ${group.length} more like these:`];
  for (const { subject, diagnostic } of group.slice(0, NAMED_MAX)) {
    const name = subject === null ? printable(diagnostic.message) : subjectName(subject);
    lines.push(...wrapLine(`  ${name}${placeText(subject)}`, width, 4));
  }
  const left = group.length - NAMED_MAX;
  if (left > 0) lines.push(`  … and ${formatCount(left)} more (--verbose shows all)`);
  return lines;
}

function placeText(subject: SubjectReport | null): string {
  const place = subject?.location ?? null;
  if (place === null) return '';
  return `   ${printable(place.file)}${place.line === null ? '' : `:${place.line}`}`;
}

/** A duration in the largest unit that keeps it readable. */
export function formatAge(seconds: number): string {
  if (seconds < 0) return `${-seconds}s in the future`;
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800)
    return `${Math.floor(seconds / 3600)}h ${Math.floor((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d`;
}

function count(n: number, one: string, many: string): string {
  return `${formatCount(n)} ${n === 1 ? one : many}`;
}

function header(verification: Verification, facts: RunFacts): readonly string[] {
  const { checkpoint, policy, subjects } = verification;
  const lines = [
    [
      `bftpkg ${facts.version}`,
      printable(verification.source),
      count(subjects.length, 'package', 'packages'),
      ...(checkpoint === null ? [] : [`log ${printable(checkpoint.origin)}`]),
    ].join(' · '),
  ];
  if (policy !== null) {
    lines.push(
      `policy attestations ≥ ${policy.attestations} of ${policy.total}, checkpoint ≤ ` +
        `${formatAge(policy.maxCheckpointAgeSeconds)}   (${printable(policy.source)})`,
    );
  }
  if (checkpoint !== null) {
    const parts = [
      `checkpoint ${formatCount(checkpoint.size)}`,
      `${formatAge(checkpoint.ageSeconds)} old`,
      `epoch ${checkpoint.epoch}`,
      `signed by ${checkpoint.signers.map((name) => printable(name, 60)).join(' ')}`,
    ];
    if (checkpoint.consistentWith !== null) {
      parts.push(`consistent with ${formatCount(checkpoint.consistentWith)}`);
    }
    lines.push(parts.join(' · '));
  }
  return lines;
}

const ROWS: readonly (readonly [SubjectReport['verdict'], keyof Style['marks'], string])[] = [
  ['verified', 'ok', 'verified'],
  ['rejected', 'fail', 'refused'],
  ['inconclusive', 'unknown', 'could not be checked'],
  ['excepted', 'skip', 'excepted (not expired)'],
  ['baseline', 'skip', 'baseline'],
  ['bundled', 'skip', 'bundled in a package above'],
  ['local', 'skip', 'your own sources'],
  ['omitted', 'skip', 'left out, as you asked'],
];

function table(verification: Verification, style: Style): readonly string[] {
  const counts = countVerdicts(verification.subjects);
  if (verification.subjects.length === 0) return [''];
  const lines = ['', `  ${style.dim('RESULT'.padEnd(32))} ${style.dim('PACKAGES')}`];
  for (const [verdict, markName, label] of ROWS) {
    if (counts[verdict] === 0) continue;
    const text = `${style.marks[markName]} ${label}`.padEnd(32);
    lines.push(`  ${text} ${formatCount(counts[verdict]).padStart(8)}`);
  }
  lines.push('');
  return lines;
}

function subjectName(subject: SubjectReport): string {
  return printable(subjectSpec(subject));
}

function verifiedLine(subject: SubjectReport, style: Style): string {
  const parts = [`${style.good(style.marks.ok)} ${subjectName(subject)}`];
  if (subject.entry !== null) parts.push(`entry ${formatCount(subject.entry)}`);
  if (subject.maintainers !== null) {
    const { required, signers } = subject.maintainers;
    const names = signers.map((signer) => printable(signer.label, 40)).join(' + ');
    parts.push(`signed by ${names} (${required} needed)`);
  }
  if (subject.digest.logged !== null)
    parts.push(...shortenDigests([printable(subject.digest.logged)]));
  return `  ${parts.join(' · ')}`;
}

// Few enough to read; more are counted in the table.
const LISTED_MAX = 10;

// What nobody proved, and on whose word it passes all the same: never left to a number in the table.
function allowedLines(
  { subjects }: Verification,
  { quiet, verbose }: HumanOptions,
  style: Style,
): readonly string[] {
  const allowed = subjects.filter(({ decision }) => decision !== undefined);
  if (quiet || allowed.length === 0) return [];
  const shown = verbose ? allowed : allowed.slice(0, LISTED_MAX);
  const lines = shown.map((subject) => {
    const until = subject.decision?.expires ?? null;
    return [
      `  ${style.marks.skip} ${subjectName(subject)}`,
      until === null ? subject.decision?.kind : `excepted until ${printable(until)}`,
      printable(subject.decision?.reason ?? ''),
    ].join(' · ');
  });
  const left = allowed.length - shown.length;
  return [...lines, ...(left === 0 ? [] : [`  … and ${left} more (--verbose shows all)`]), ''];
}

/** Commands of which people need to hear whether they changed anything. */
const INSTALLING: readonly string[] = ['install', 'ci', 'update'];

function summary(
  report: Report,
  verification: Verification,
  style: Style,
  facts: RunFacts,
): string {
  const counts = countVerdicts(verification.subjects);
  const time = `in ${(facts.durationMs / 1000).toFixed(1)}s`;
  const fetched =
    verification.bytesFetched === 0
      ? ''
      : ` (${formatCount(Math.ceil(verification.bytesFetched / 1024))} KiB fetched)`;
  const { installed } = verification;
  const unproven =
    installed === null || installed.allowed === 0
      ? ''
      : ` (${formatCount(installed.allowed)} of them not verified)`;
  const after =
    installed === null
      ? ''
      : `, ${count(installed.packages, 'package', 'packages')} installed${unproven}`;
  if (report.verdict === 'verified' || report.verdict === 'allowed') {
    const allowed = counts.excepted + counts.baseline;
    const byPolicy = allowed === 0 ? '' : `, ${formatCount(allowed)} allowed by policy`;
    return style.good(
      `${style.marks.ok} ${formatCount(counts.verified)} verified${after}${byPolicy}, ` +
        `0 problems ${time}${fetched}`,
    );
  }
  const bad = counts.rejected + counts.inconclusive;
  const problems = count(Math.max(bad, report.diagnostics.length), 'problem', 'problems');
  const isInstall = INSTALLING.includes(report.command);
  const nothing = isInstall && installed === null ? '; nothing was installed' : after;
  return style.bad(
    `${style.marks.fail} ${problems}, ${formatCount(counts.verified)} verified${nothing} ` +
      `(exit ${report.exit.code}) ${time}`,
  );
}

/** The report for people, split by stream. */
export function renderHuman(
  report: Report,
  facts: RunFacts,
  style: Style,
  options: HumanOptions,
): HumanText {
  const { verification } = report;
  if (report.result?.raw !== undefined) return { stdout: report.result.raw, stderr: '' };
  const layout = { style, verbose: options.verbose, width: options.width };
  const out: string[] = [];
  const err: string[] = [];
  if (verification !== null) {
    if (!options.quiet) out.push(...header(verification, facts), ...table(verification, style));
    const verified = verification.subjects.filter((subject) => subject.verdict === 'verified');
    // What is wrong comes first; with it, what is right is only counted.
    const isFine = report.exit.code === 0 && verified.length <= LISTED_MAX;
    if (options.verbose || (!options.quiet && isFine)) {
      out.push(...verified.map((subject) => verifiedLine(subject, style)));
      if (verified.length > 0) out.push('');
    }
    out.push(...allowedLines(verification, options, style));
    const leftOut = leftOutLines(verification.subjects);
    out.push(...leftOut.map((line) => `  ${style.marks.skip} ${printable(line)}`));
    if (leftOut.length > 0) out.push('');
    const findings = findingsOf(report);
    const isWarning = ({ diagnostic }: Finding): boolean => diagnostic.severity === 'warning';
    const shown = options.quiet ? findings.filter((found) => !isWarning(found)) : findings;
    out.push(...findingLines(shown, layout));
    for (const { url, problem } of verification.replicas) {
      err.push(`bftpkg: replica ${printable(url)}: ${printable(problem)}`);
    }
    for (const file of report.evidence) out.push(`  evidence  ${printable(file)}`);
    out.push(summary(report, verification, style, facts));
  } else {
    for (const { diagnostic } of findingsOf(report)) {
      err.push(...diagnosticLines(diagnostic, layout));
    }
    for (const file of report.evidence) err.push(`  evidence  ${printable(file)}`);
  }
  if (report.result !== null) {
    const lines = report.result.lines.map((line) => printable(line, 4000));
    // Prose is folded; of other results each line may be something to copy.
    const width = report.command === 'explain' ? options.width : undefined;
    out.push(...lines.flatMap((line) => wrapLine(line, width, 0)));
  }
  return { stdout: asText(out), stderr: asText(err) };
}

function asText(lines: readonly string[]): string {
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}
