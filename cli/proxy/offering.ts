// Which versions of a package are offered, and which are not, and why.
import type { LoggedRelease } from '../../verifier/npm/packument.ts';
import { diagnostic, type Diagnostic, type SubjectReport } from '../output/report.ts';
import type { HiddenVersion } from './ledger.ts';
import type { Judged } from './verdicts.ts';

/** The refusal of a package that is proven not to be there. */
export function notInLog(name: string): Diagnostic {
  return diagnostic('BP5003', `${name}: not in the log`, {
    hints: ['check the spelling; ask its maintainers to publish through the log'],
  });
}

/** A row for versions that nobody can name. */
export function unlisted(name: string, count: number): HiddenVersion {
  const message = `${name}: ${count} more that are not among the newest or that no replica listed`;
  return { version: 'others', reason: diagnostic('BP6014', message, { severity: 'warning' }) };
}

/** Whether it is there on a policy's word alone. */
export function isAllowed({ verdict }: SubjectReport): boolean {
  return verdict === 'excepted' || verdict === 'baseline';
}

/**
 * Sorts the verdicts on a package's versions. A version that is in no log and no registry is a replica's
 * mistake or lie and nobody's loss; all else that is not offered is said.
 *
 * @param elsewhere what a registry has of a version that is not in the log, and the policy's word on it
 */
export function sortVersions(
  answers: readonly Judged[],
  elsewhere: (
    version: string,
  ) => { readonly release: LoggedRelease; readonly report: SubjectReport } | undefined,
): {
  readonly offered: readonly LoggedRelease[];
  readonly hidden: readonly HiddenVersion[];
  readonly present: number;
} {
  const offered: LoggedRelease[] = [];
  const hidden: HiddenVersion[] = [];
  const hide = ({ version, diagnostics }: SubjectReport): void => {
    const reason = diagnostics.find(({ severity }) => severity !== 'warning');
    if (reason !== undefined) hidden.push({ version: version ?? '', reason });
  };
  let present = 0;
  for (const { result, report } of answers) {
    if (report === undefined) continue;
    if (result.kind === 'absent') {
      const other = elsewhere(report.version ?? '');
      if (other !== undefined && isAllowed(other.report)) offered.push(other.release);
      else if (other !== undefined) hide(other.report);
      continue;
    }
    present++;
    if (report.verdict === 'verified' && result.kind === 'verified') {
      offered.push({ subject: result.release, loggedAt: result.release.loggedAt });
    } else hide(report);
  }
  return { offered, hidden, present };
}
