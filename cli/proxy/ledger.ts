// What a run of the proxy was asked for and what it answered: package managers show a refusal as
// "403 Forbidden" or not at all (optional dependencies are dropped in silence), so it is told here, in
// full, when the command has ended.
import { diagnostic, type Diagnostic, type SubjectReport } from '../output/report.ts';

/** Things remembered of one kind. A command that asks for more is out of its mind; those are counted. */
const REMEMBERED_MAX = 10_000;
/** Hidden versions of a package that are named one by one. */
const HIDDEN_NAMED_MAX = 5;

/** A version that is not offered, and why. */
export interface HiddenVersion {
  readonly version: string;
  readonly reason: Diagnostic;
}

/** The record of one run. */
export class ProxyLedger {
  /** Tarballs that were asked for, by name and version; the last word on each counts. */
  readonly #tarballs = new Map<string, SubjectReport>();
  /** Packages that there was nothing to offer of. */
  readonly #missing = new Map<string, SubjectReport>();
  readonly #hidden = new Map<string, Diagnostic>();
  /** Ways out that were tried, by what was asked for. */
  readonly #escapes = new Map<string, Diagnostic>();
  /** What could not be proven either way, by message. */
  readonly #unproven = new Map<string, Diagnostic>();
  readonly #told = new Set<string>();
  readonly #tell: (line: string) => void;
  #forgotten = 0;

  /** @param tell hears each refusal at once, one line */
  constructor(tell: (line: string) => void) {
    this.#tell = tell;
  }

  /** A tarball was served or refused. */
  tarball(report: SubjectReport): void {
    const { name, version } = report;
    this.#put(this.#tarballs, `${name}@${version ?? ''}`, report, report.diagnostics);
  }

  /** Nothing of a package could be offered. */
  missing(report: SubjectReport): void {
    this.#put(this.#missing, report.name, report, report.diagnostics);
  }

  /** Versions of a package that were left out of what was offered. */
  hidden(name: string, versions: readonly HiddenVersion[]): void {
    if (versions.length === 0) return;
    const found = describeHidden(name, versions);
    this.#put(this.#hidden, name, found, [found]);
  }

  /** Something was asked of another host. */
  escape(what: string, refusal: Diagnostic): void {
    this.#put(this.#escapes, what, refusal, [refusal]);
  }

  /** Something could not be proven either way. */
  unproven(problem: Diagnostic): void {
    this.#put(this.#unproven, problem.message, problem, [problem]);
  }

  /**
   * Everything that was asked for, refusals included.
   *
   * @param hasSucceeded whether the command did without what is not in the log: an optional dependency
   *        that was proven to be absent and left out is no failure
   */
  subjects(hasSucceeded: boolean): readonly SubjectReport[] {
    const missing = hasSucceeded ? [] : [...this.#missing.values()];
    return [...this.#tarballs.values(), ...missing].toSorted((a, b) =>
      order(a) < order(b) ? -1 : 1,
    );
  }

  /** What is said about the run as a whole. @param hasSucceeded as for {@link subjects} */
  diagnostics(hasSucceeded: boolean): readonly Diagnostic[] {
    const dropped = hasSucceeded ? [...this.#missing.values()] : [];
    const warnings = dropped.flatMap(({ diagnostics }) =>
      diagnostics.map((each): Diagnostic => ({ ...each, severity: 'warning' })),
    );
    const forgotten =
      this.#forgotten === 0
        ? []
        : [
            diagnostic('BP6014', `${this.#forgotten} more were asked for than are listed`, {
              severity: 'warning',
            }),
          ];
    return [
      ...this.#escapes.values(),
      ...this.#unproven.values(),
      ...this.#hidden.values(),
      ...warnings,
      ...forgotten,
    ];
  }

  // What is said again is told once; a verdict that changes while the proxy serves is news.
  #put<T>(table: Map<string, T>, key: string, value: T, news: readonly Diagnostic[]): void {
    if (!table.has(key) && table.size >= REMEMBERED_MAX) {
      this.#forgotten++;
      return;
    }
    table.set(key, value);
    for (const { code, severity, message } of news) {
      const line = `${severity === 'warning' ? 'note' : 'refused'} ${code} ${message}`;
      if (this.#told.has(line) || this.#told.size >= REMEMBERED_MAX) continue;
      this.#told.add(line);
      this.#tell(line);
    }
  }
}

function order({ name, version }: SubjectReport): string {
  return `${name}@${version ?? ''}`;
}

function describeHidden(name: string, versions: readonly HiddenVersion[]): Diagnostic {
  const named = versions.slice(-HIDDEN_NAMED_MAX).toReversed();
  const more = versions.length - named.length;
  const noun = versions.length === 1 ? 'version is' : 'versions are';
  return diagnostic('BP6014', `${name}: ${versions.length} ${noun} not offered`, {
    severity: 'warning',
    details: [
      ...named.map(({ version, reason }) => [version, `${reason.code} ${reason.message}`] as const),
      ...(more === 0 ? [] : [['and', `${more} more`] as const]),
    ],
  });
}

/**
 * Whether a package manager failed because of what is said anyway. It shows the answers of the proxy in its own
 * words, with advice that does not fit (npm's is to install from an address instead).
 *
 * @param failure a BP7004 with the manager's last lines
 * @param said what the report says besides
 */
export function isSaidAlready(failure: Diagnostic, said: readonly Diagnostic[]): boolean {
  return failure.details.some(([, text]) =>
    said.some(({ code }) => text.includes(`bftpkg ${code}:`)),
  );
}
