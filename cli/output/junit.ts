// JUnit XML, the form that most build servers show: a suite for each lockfile, a case for each package.
// What could not be checked is an `error`, what was refused a `failure`, what nobody checked `skipped`.
import { findingsOf, sortSubjects, subjectSpec } from './findings.ts';
import type { RunFacts } from './json.ts';
import type { Diagnostic, Report, SubjectReport } from './report.ts';
import { printable } from './sanitize.ts';

const TEXT_LENGTH_MAX = 4_000;

interface Case {
  readonly name: string;
  readonly file: string | null;
  readonly line: number | null;
  readonly outcome: 'passed' | 'failure' | 'error' | 'skipped';
  readonly type: string;
  readonly message: string;
  readonly text: string;
}

/** The JUnit document of a report, with its final newline. */
export function renderJUnit(report: Report, facts: RunFacts): string {
  const suites = new Map<string, Case[]>();
  const add = (suite: string, each: Case): void => {
    const cases = suites.get(suite);
    if (cases === undefined) suites.set(suite, [each]);
    else cases.push(each);
  };
  const source = report.verification?.source ?? report.command;
  for (const subject of sortSubjects(report.verification?.subjects ?? [])) {
    add(subject.location?.file ?? source, subjectCase(subject));
  }
  // Also what is wrong with the run as a whole is a case: a suite without a failure looks green.
  for (const { diagnostic, subject } of findingsOf(report)) {
    if (subject === null) add(runName(report), runCase(diagnostic));
  }
  if (suites.size === 0) add(runName(report), plainCase(report));
  const all = [...suites.values()].flat();
  const time = facts.reproducible === true ? [] : [attribute('time', seconds(facts))];
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attribute('name', runName(report))}${totals(all)}${time.join('')}>`,
    ...[...suites].flatMap(([name, cases]) => suiteLines(name, cases, report, facts)),
    '</testsuites>',
    '',
  ].join('\n');
}

// Before a command is known, the command is the program.
function runName({ command }: Report): string {
  return command === 'bftpkg' ? command : `bftpkg ${command}`;
}

function seconds({ durationMs }: RunFacts): string {
  return (durationMs / 1000).toFixed(3);
}

function totals(cases: readonly Case[]): string {
  const count = (outcome: Case['outcome']): string =>
    String(cases.filter((each) => each.outcome === outcome).length);
  return (
    attribute('tests', String(cases.length)) +
    attribute('failures', count('failure')) +
    attribute('errors', count('error')) +
    attribute('skipped', count('skipped'))
  );
}

function suiteLines(
  name: string,
  cases: readonly Case[],
  report: Report,
  facts: RunFacts,
): readonly string[] {
  const times =
    facts.reproducible === true
      ? ''
      : attribute('time', seconds(facts)) +
        attribute('timestamp', new Date(facts.startedAtMs).toISOString().replace(/\.\d+Z$/, ''));
  const checkpoint = report.verification?.checkpoint ?? null;
  const properties: readonly (readonly [string, string])[] = [
    ['bftpkg.version', facts.version],
    ['bftpkg.exit', String(report.exit.code)],
    ...(checkpoint === null
      ? []
      : ([
          ['bftpkg.log', checkpoint.origin],
          ['bftpkg.checkpoint', String(checkpoint.size)],
        ] as const)),
  ];
  return [
    `  <testsuite${attribute('name', name)}${totals(cases)}${times}>`,
    '    <properties>',
    ...properties.map(
      ([key, value]) => `      <property${attribute('name', key)}${attribute('value', value)}/>`,
    ),
    '    </properties>',
    ...cases.flatMap((each) => caseLines(name, each)),
    '  </testsuite>',
  ];
}

function caseLines(suite: string, each: Case): readonly string[] {
  const start =
    `    <testcase${attribute('classname', suite)}${attribute('name', each.name)}` +
    (each.file === null ? '' : attribute('file', each.file)) +
    (each.line === null ? '' : attribute('line', String(each.line)));
  const output = each.text === '' ? [] : [`      <system-out>${xml(each.text)}</system-out>`];
  switch (each.outcome) {
    case 'passed':
      return output.length === 0 ? [`${start}/>`] : [`${start}>`, ...output, '    </testcase>'];
    case 'skipped':
      return [
        `${start}>`,
        `      <skipped${attribute('message', each.message)}/>`,
        '    </testcase>',
      ];
    case 'failure':
    case 'error': {
      const attributes = attribute('type', each.type) + attribute('message', each.message);
      const body = `<${each.outcome}${attributes}>${xml(each.text)}</${each.outcome}>`;
      return [`${start}>`, `      ${body}`, '    </testcase>'];
    }
  }
}

const SKIPPED: Partial<Record<SubjectReport['verdict'], string>> = {
  local: 'your own sources',
  bundled: 'inside the tarball of another package',
  omitted: 'left out, as asked',
};

function subjectCase(subject: SubjectReport): Case {
  const { location, decision, verdict, diagnostics } = subject;
  const decisive = diagnostics.find(({ severity }) => severity !== 'warning') ?? diagnostics[0];
  const place = {
    name: subjectSpec(subject),
    file: location?.file ?? null,
    line: location?.line ?? null,
  };
  const text = diagnostics.map(describe).join('\n\n');
  const found = { type: decisive?.code ?? '', message: decisive?.message ?? verdict, text };
  switch (verdict) {
    case 'verified':
      return { ...place, ...found, outcome: 'passed' };
    case 'rejected':
      return { ...place, ...found, outcome: 'failure' };
    case 'inconclusive':
      return { ...place, ...found, outcome: 'error' };
    case 'excepted':
    case 'baseline': {
      const until = decision?.expires ?? null;
      const message = `${verdict}${until === null ? '' : ` until ${until}`}: ${decision?.reason ?? ''}`;
      return { ...place, ...found, message, outcome: 'skipped' };
    }
    case 'local':
    case 'bundled':
    case 'omitted': {
      const reason = verdict === 'omitted' ? (subject.origin?.notes[0] ?? '') : '';
      const message = [SKIPPED[verdict] ?? verdict, ...(reason === '' ? [] : [reason])].join(': ');
      return { ...place, ...found, message, outcome: 'skipped' };
    }
  }
}

function runCase(diagnostic: Diagnostic): Case {
  const outcomes = { error: 'failure', inconclusive: 'error', warning: 'passed' } as const;
  return {
    name: diagnostic.code,
    file: null,
    line: null,
    outcome: outcomes[diagnostic.severity],
    type: diagnostic.code,
    message: diagnostic.message,
    text: describe(diagnostic),
  };
}

// A report without subjects and without findings, such as one of `explain`.
function plainCase({ command, exit }: Report): Case {
  const outcome = exit.code === 0 ? 'passed' : 'error';
  const type = exit.reason ?? '';
  return { name: command, file: null, line: null, outcome, type, message: '', text: '' };
}

function describe({ code, message, details, hints }: Diagnostic): string {
  return [
    `${code} ${message}`,
    ...details.map(([label, text]) => `${label}: ${text}`),
    ...hints.map((hint) => `next: ${hint}`),
  ]
    .map((line) => printable(line, TEXT_LENGTH_MAX))
    .join('\n');
}

// XML has no way at all to write most control characters, so they are spelled out first; line breaks
// between our own lines stay.
function xml(text: string): string {
  return text
    .split('\n')
    .map((line) => printable(line, TEXT_LENGTH_MAX))
    .join('\n')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/[\ufffe\uffff]/g, '');
}

function attribute(name: string, value: string): string {
  const text = xml(value.replaceAll('\n', ' ')).replaceAll('"', '&quot;').replaceAll("'", '&apos;');
  return ` ${name}="${text}"`;
}
