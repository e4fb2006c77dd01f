// SARIF 2.1.0 (OASIS), within the limits of GitHub code scanning: 5,000 results are kept of a run, each
// needs a physical location, a rule has at most 20 tags.
//
// A run that could not check says so (`executionSuccessful: false`) and has no results: a result that
// is missing closes an alert, and silence of the network must not close any.
import { createHash } from 'node:crypto';

import { codeEntry, type DiagnosticCode } from './codes.ts';
import { EXIT, EXIT_CODES, type ExitCode } from './exit-codes.ts';
import {
  findingsOf,
  repositoryPath,
  subjectSpec,
  suppressedFindingsOf,
  type Finding,
} from './findings.ts';
import type { RunFacts } from './json.ts';
import type { Report } from './report.ts';
import { printable, printableJson } from './sanitize.ts';

/** Results that GitHub keeps of a run. */
export const RESULTS_MAX = 5_000;

const SCHEMA = 'https://json.schemastore.org/sarif-2.1.0.json';
const ROOT = '%SRCROOT%';
// Where a result without a file of its own is shown.
const CONFIGURATION = 'bftpkg.json';
const MESSAGE_LENGTH_MAX = 2_000;

// CVSS-like: GitHub calls 9 and above critical, 7 high, 4 medium.
const SECURITY_SEVERITY: Partial<Record<ExitCode, string>> = {
  [EXIT.fork]: '9.8',
  [EXIT.tampered]: '9.6',
  [EXIT.proof]: '8.8',
  [EXIT.maintainers]: '8.6',
  [EXIT.attestations]: '8.2',
  [EXIT.withdrawn]: '8.0',
  [EXIT.stale]: '6.5',
  [EXIT.policy]: '5.5',
  [EXIT.notLogged]: '5.0',
};
const SECURITY_SEVERITY_OTHER = '3.0';

/** The SARIF document of a report, with its final newline. */
export function renderSarif(report: Report, facts: RunFacts): string {
  const findings = findingsOf(report);
  const isInconclusive = findings.some(({ diagnostic }) => diagnostic.severity === 'inconclusive');
  const isComplete = report.verdict !== 'error' && report.verdict !== 'inconclusive';
  const proven = isComplete ? findings.filter((found) => !isUnchecked(found)) : [];
  const unchecked = isComplete ? findings.filter(isUnchecked) : findings;
  const all = [...proven, ...(isComplete ? suppressedFindingsOf(report) : [])];
  const rules = new Rules(report, facts);
  const kept = all.length > RESULTS_MAX ? all.slice(0, RESULTS_MAX - 1) : all;
  const results = kept.map((found) => rules.result(found));
  if (kept.length < all.length) results.push(rules.cutNote(all.length - kept.length));
  const run = {
    tool: {
      driver: {
        name: 'bftpkg',
        version: facts.version,
        semanticVersion: facts.version,
        rules: rules.list,
      },
    },
    // What tells this analysis from others of the same commit; the slash at the end is part of it.
    automationDetails: { id: `bftpkg/${report.command}/${facts.folder ?? ''}` },
    invocations: [
      {
        executionSuccessful: isComplete && !isInconclusive,
        exitCode: report.exit.code,
        exitCodeDescription: EXIT_CODES.find(({ code }) => code === report.exit.code)?.meaning,
        ...(facts.reproducible === true ? {} : times(facts)),
        toolExecutionNotifications: [
          ...unchecked.map((found) => rules.notification(found)),
          ...replicaNotes(report),
        ],
      },
    ],
    originalUriBaseIds: { [ROOT]: { description: { text: 'the root of the repository' } } },
    columnKind: 'utf16CodeUnits',
    results,
    properties: {
      verdict: report.verdict,
      reason: report.exit.reason,
      evidence: report.evidence,
    },
  };
  return `${printableJson({ $schema: SCHEMA, version: '2.1.0', runs: [run] })}\n`;
}

function isUnchecked({ diagnostic }: Finding): boolean {
  return diagnostic.severity === 'inconclusive';
}

function times({ startedAtMs, durationMs }: RunFacts): object {
  return {
    startTimeUtc: new Date(startedAtMs).toISOString(),
    endTimeUtc: new Date(startedAtMs + durationMs).toISOString(),
  };
}

function replicaNotes({ verification }: Report): object[] {
  const replicas = verification?.replicas ?? [];
  return replicas.map(({ url, problem }) => ({
    level: 'note',
    message: { text: plainText(`replica ${url}: ${problem}`) },
  }));
}

// Plain text of SARIF has links in brackets and placeholders in braces (3.11.5, 3.11.6); a stranger's
// text must make neither.
function plainText(text: string): string {
  return printable(text, MESSAGE_LENGTH_MAX)
    .replace(/[\\[\]]/g, '\\$&')
    .replace(/[{}]/g, '$&$&');
}

// Rules are listed once each, in the order of their first result.
class Rules {
  readonly list: object[] = [];
  readonly #report: Report;
  readonly #folder: string;
  readonly #indexes = new Map<DiagnosticCode, number>();

  constructor(report: Report, facts: RunFacts) {
    this.#report = report;
    this.#folder = facts.folder ?? '';
  }

  #indexOf(code: DiagnosticCode): number {
    const known = this.#indexes.get(code);
    if (known !== undefined) return known;
    this.#indexes.set(code, this.list.length);
    this.list.push(describeRule(code));
    return this.list.length - 1;
  }

  result(found: Finding): object {
    const { diagnostic, subject, isSuppressed } = found;
    const identity = [diagnostic.code, subject?.name ?? '', subject?.version ?? ''].join('|');
    return {
      ruleId: diagnostic.code,
      ruleIndex: this.#indexOf(diagnostic.code),
      level: diagnostic.severity === 'warning' ? 'warning' : 'error',
      message: { text: messageText(found) },
      locations: [this.#location(found)],
      partialFingerprints: {
        'bftpkg/v1': createHash('sha256').update(identity).digest('hex'),
      },
      ...(isSuppressed ? { suppressions: [suppression(found)] } : {}),
      ...(subject === null ? {} : { properties: { package: printable(subjectSpec(subject)) } }),
    };
  }

  notification(found: Finding): object {
    const { diagnostic } = found;
    return {
      descriptor: { id: diagnostic.code, index: this.#indexOf(diagnostic.code) },
      level: diagnostic.severity === 'error' ? 'error' : 'warning',
      message: { text: messageText(found) },
    };
  }

  cutNote(left: number): object {
    return {
      ruleId: 'bftpkg/results-left-out',
      level: 'note',
      message: { text: `${left} more results are left out; bftpkg verify --json has all of them` },
      locations: [this.#location(undefined)],
    };
  }

  // Never without one: code scanning refuses a file that has a result without a location.
  #location(found: Finding | undefined): object {
    const subjects = this.#report.verification?.subjects ?? [];
    const place = found?.subject?.location;
    const file =
      place?.file ?? subjects.find(({ location }) => location !== null)?.location?.file ?? '';
    const path = repositoryPath(file === '' ? CONFIGURATION : file, this.#folder);
    const isAbsolute = /^(?:[/\\]|[A-Za-z]:)/.test(file);
    const uri = (path === '' ? CONFIGURATION : path).split('/').map(encodeSegment).join('/');
    return {
      physicalLocation: {
        artifactLocation: isAbsolute ? { uri: `file:///${uri}` } : { uri, uriBaseId: ROOT },
        region: { startLine: Math.max(1, place?.line ?? 1) },
      },
    };
  }
}

// Lone surrogates can't be encoded at all, so what is unprintable is spelled out first.
function encodeSegment(segment: string): string {
  return encodeURIComponent(printable(segment));
}

function messageText({ diagnostic }: Finding): string {
  return plainText(
    [
      // Code scanning refuses a result without a text.
      diagnostic.message === '' ? codeEntry(diagnostic.code).title : diagnostic.message,
      ...diagnostic.details.map(([label, text]) => `${label}: ${text}`),
      ...diagnostic.hints.map((hint) => `next: ${hint}`),
    ].join('; '),
  );
}

function suppression({ subject }: Finding): object {
  const decision = subject?.decision;
  const until = decision?.expires ?? null;
  return {
    kind: 'external',
    status: 'accepted',
    justification: plainText(
      `${decision?.kind ?? ''}${until === null ? '' : ` until ${until}`}: ${decision?.reason ?? ''}`,
    ),
  };
}

function describeRule(code: DiagnosticCode): object {
  const entry = codeEntry(code);
  const name = entry.title.replace(/(?:^|[^a-zA-Z]+)([a-z])/g, (_all, letter: string) =>
    letter.toUpperCase(),
  );
  const sections: readonly (readonly [string, string])[] = [
    ['What happened', entry.happened],
    ['Why it matters', entry.matters],
    ['Innocent causes', entry.innocent],
    ['Possible attacks', entry.attack],
    ['What to do', entry.action],
    ['How to suppress', entry.suppress],
  ];
  return {
    id: code,
    name,
    shortDescription: { text: entry.title },
    fullDescription: { text: entry.happened },
    help: {
      text: sections.map(([title, text]) => `${title}: ${text}`).join('\n'),
      markdown: sections
        .map(([title, text]) => `**${title}** ${text.replaceAll('<', '&lt;')}`)
        .join('\n\n'),
    },
    defaultConfiguration: { level: entry.exit === EXIT.inconclusive ? 'warning' : 'error' },
    properties: {
      tags: ['security', 'supply-chain'],
      precision: 'very-high',
      'problem.severity': entry.exit === EXIT.inconclusive ? 'warning' : 'error',
      'security-severity': SECURITY_SEVERITY[entry.exit] ?? SECURITY_SEVERITY_OTHER,
    },
  };
}
