// What happened to a release's bytes, added to what was proven about its name.
import type { FetchOutcome } from '../npm/fetch.ts';
import { diagnoseFailures, diagnoseRefusal } from '../output/diagnose.ts';
import type { SubjectReport } from '../output/report.ts';

/** The report about a release with the outcome of fetching it; `undefined` when it was not fetched. */
export function withFetchOutcome(
  subject: SubjectReport,
  outcome: FetchOutcome | undefined,
): SubjectReport {
  if (subject.verdict !== 'verified' || outcome === undefined || outcome.kind === 'checked') {
    return subject;
  }
  const spec = `${outcome.release.name}@${outcome.release.version}`;
  if (outcome.kind === 'refused') {
    const problem = diagnoseRefusal(outcome.error);
    return { ...subject, verdict: 'rejected', diagnostics: [...subject.diagnostics, problem] };
  }
  const problem = diagnoseFailures(
    `${spec}: verified, but no replica could be reached for its tarball`,
    outcome.failures,
    false,
  );
  return { ...subject, verdict: 'inconclusive', diagnostics: [...subject.diagnostics, problem] };
}
