// Which versions of a package are offered, and which are not, and why.
import type { LoggedRelease } from '../../verifier/npm/packument.ts';
import { quote } from '../../verifier/errors.ts';
import { asTexts } from '../lockfiles/classify.ts';
import { diagnostic, type Diagnostic, type SubjectReport } from '../output/report.ts';
import type { HiddenVersion } from './ledger.ts';
import { isArchive } from './local-archives.ts';
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

const NEEDS = ['dependencies', 'optionalDependencies', 'peerDependencies'] as const;
const PATH = /^(?:file|link|portal|workspace):|^(?:\.{1,2}|~)?[\\/]/i;

// pnpm and Yarn 1 look for `file:x.tgz` of whatever package in the project's folder, and run what is in it
// (tried): a signed package would decide which unsigned bytes are installed, a project which they are.
function pathInNeeds({
  subject: { name, version, manifest },
}: LoggedRelease): Diagnostic | undefined {
  for (const field of NEEDS) {
    const found = asTexts(manifest[field]).find(
      ([, range]) => PATH.test(range) || isArchive(range),
    );
    if (found === undefined) continue;
    const [needed, range] = found;
    const message = `${name}@${version}: asks for ${needed} by a path, ${quote(range)}`;
    return diagnostic('BP6006', message, { hints: ['move to a version that asks for a release'] });
  }
  return undefined;
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
  const offer = (release: LoggedRelease): void => {
    const reason = pathInNeeds(release);
    if (reason === undefined) offered.push(release);
    else hidden.push({ version: release.subject.version, reason });
  };
  let present = 0;
  for (const { result, report } of answers) {
    if (report === undefined) continue;
    if (result.kind === 'absent') {
      const other = elsewhere(report.version ?? '');
      if (other !== undefined && isAllowed(other.report)) offer(other.release);
      else if (other !== undefined) hide(other.report);
      continue;
    }
    present++;
    if (report.verdict === 'verified' && result.kind === 'verified') {
      offer({ subject: result.release, loggedAt: result.release.loggedAt });
    } else hide(report);
  }
  return { offered, hidden, present };
}
