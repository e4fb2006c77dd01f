// Entries that are called bundled in packages that nobody can vouch for.
import type { VerifiedRelease } from '../../verifier/evidence/subject.ts';
import type { Lockfile } from '../lockfiles/lockfile.ts';
import { diagnostic, type SubjectReport } from '../output/report.ts';

/**
 * Refuses what a lockfile calls bundled in packages that only a policy lets pass: no signed manifest and no
 * verified tarball says that it is in there. Somebody who may edit the lockfile alone could hang
 * `evil` below an excepted package, and npm would fetch it by name. Owners that are refused are left to their
 * own rows: those are the first problem, and fail the run anyway.
 *
 * @param subjects one for each entry, in the order of the lockfile, before the policy; more may follow
 * @param judged   the same after the policy
 * @returns `undefined` when there is nothing to refuse
 */
export function refuseUnprovenBundles(
  { entries, file }: Lockfile,
  releases: ReadonlyMap<string, VerifiedRelease>,
  subjects: readonly SubjectReport[],
  judged: readonly SubjectReport[],
): readonly SubjectReport[] | undefined {
  const verdicts = new Map(entries.map(({ key }, i) => [key, judged[i]?.verdict]));
  let refused = 0;
  const changed = subjects.map((subject, i): SubjectReport => {
    const entry = entries[i];
    if (entry?.kind !== 'bundled' || subject.verdict !== 'bundled') return subject;
    const owner = verdicts.get(entry.owner);
    if (releases.has(entry.owner) || owner === 'rejected' || owner === 'inconclusive') {
      return subject;
    }
    refused++;
    const place = `${file}${entry.line === null ? '' : `:${entry.line}`}  ${entry.key}`;
    const message = `${entry.name}@${entry.version ?? '?'}: the lockfile calls it bundled, in a package that is not verified`;
    const problem = diagnostic('BP6006', message, {
      details: [['in', place]],
      hints: ['look at who added it; if it belongs there, it needs an exception of its own'],
    });
    return { ...subject, verdict: 'rejected', diagnostics: [...subject.diagnostics, problem] };
  });
  return refused === 0 ? undefined : changed;
}
