// What `verify --installed` has found: at entries of the lockfile, and beside all of them.
import type { ReplicaFailure } from '../errors.ts';
import type { Lockfile } from '../lockfiles/lockfile.ts';
import { describeFailure } from '../output/diagnose.ts';
import {
  diagnostic,
  type Diagnostic,
  type SubjectReport,
  type Verification,
} from '../output/report.ts';
import { blankSubject } from './report-subject.ts';

/** Files and scripts that are listed by name; the rest is counted. */
export const LISTED_MAX = 20;

/** What was found, by entry of the lockfile, and what belongs to none. */
export class Findings {
  readonly liars: ReplicaFailure[] = [];
  /** Start scripts that could do anything. */
  readonly shims: string[] = [];
  readonly #lockfile: Lockfile;
  readonly #byKey = new Map<string, Diagnostic[]>();
  readonly #compared = new Set<string>();
  readonly #extra: SubjectReport[] = [];

  constructor(lockfile: Lockfile) {
    this.#lockfile = lockfile;
  }

  add(key: string, problem: Diagnostic): void {
    this.#byKey.set(key, [...(this.#byKey.get(key) ?? []), problem]);
  }

  /** The bytes of an entry have been looked at, or needn't be. */
  compared(key: string): void {
    this.#compared.add(key);
  }

  extra(name: string, problem: Diagnostic): void {
    const blank = blankSubject(name, null, null);
    const origin = { kind: 'installed', notes: [] };
    this.#extra.push({ ...blank, origin, verdict: 'rejected', diagnostics: [problem] });
  }

  // Not the text of any package manager that is known, and not known to be wrong either.
  #unknownShims(): readonly SubjectReport[] {
    if (this.shims.length === 0) return [];
    const message = `${this.shims.length} start scripts could not be checked: they are not what a known pnpm writes in this folder`;
    const details = this.shims.slice(0, LISTED_MAX).map((path) => ['script', path] as const);
    const found = diagnostic('BP1007', message, {
      details,
      hints: ['look at these files, or install again in this folder'],
    });
    const blank = blankSubject('.bin', null, null);
    const origin = { kind: 'installed', notes: [] };
    return [{ ...blank, origin, verdict: 'inconclusive', diagnostics: [found] }];
  }

  /** The rows of the lockfile's verification stand in the order of its entries. */
  applyTo(verification: Verification, bytesFetched: number): Verification {
    const { entries } = this.#lockfile;
    const subjects = verification.subjects.map((subject, i): SubjectReport => {
      const key = entries[i]?.key ?? '';
      const mine = this.#byKey.get(key) ?? [];
      return withFindings(subject, mine, this.#compared.has(key));
    });
    const liars = this.liars.map(({ url, error }) => ({ url, problem: describeFailure(error) }));
    return {
      ...verification,
      source: `${verification.source} and node_modules`,
      subjects: [...subjects, ...this.#extra, ...this.#unknownShims()],
      replicas: [...verification.replicas, ...liars],
      bytesFetched,
    };
  }
}

function withFindings(
  subject: SubjectReport,
  findings: readonly Diagnostic[],
  wasCompared: boolean,
): SubjectReport {
  // The lockfile had no digest of the tarball; the disk has been compared with the tarball itself.
  const isBound = wasCompared && findings.every(({ severity }) => severity === 'warning');
  const before = isBound
    ? subject.diagnostics.filter(({ code }) => code !== 'BP1007')
    : subject.diagnostics;
  const diagnostics = [...before, ...findings];
  if (diagnostics.some(({ severity }) => severity === 'error')) {
    return { ...subject, verdict: 'rejected', diagnostics };
  }
  if (diagnostics.some(({ severity }) => severity === 'inconclusive')) {
    return { ...subject, verdict: 'inconclusive', diagnostics };
  }
  const verdict = subject.verdict === 'inconclusive' && isBound ? 'verified' : subject.verdict;
  return { ...subject, verdict, diagnostics };
}
