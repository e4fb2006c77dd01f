// The report of a statement that is in the log.
import { formatSri } from '../../verifier/npm/integrity.ts';
import { parsePurl } from '../../verifier/npm/purl.ts';
import { describeFailure, diagnoseRefusal } from '../output/diagnose.ts';
import { diagnostic, doneReport, type Diagnostic, type Report } from '../output/report.ts';
import type { Draft } from '../release/draft.ts';
import type { Submitted } from '../release/submit.ts';

/** What was logged, where, and which gateways failed on the way. */
export function submissionReport(
  command: string,
  draft: Draft,
  submitted: Submitted,
  warnings: readonly Diagnostic[] = [],
): Report {
  const { index, statement, already } = submitted;
  const { origin, size } = submitted.verified.evidence.checkpoint.checkpoint;
  const what = describe(draft);
  // To be in the log is not to be accepted: a release may be withdrawn. A withdrawal's own report says so.
  const refusals = submitted.verified.evidence.subjects.flatMap((result): Diagnostic[] => {
    if (draft.statement.kind === 'withdrawal' || result.kind !== 'refused') return [];
    return [{ ...diagnoseRefusal(result.error), severity: 'warning' }];
  });
  const failures = submitted.failures.map(({ url, error }) =>
    diagnostic('BP7001', `replica ${url}: ${describeFailure(error)}`, { severity: 'warning' }),
  );
  return doneReport(
    command,
    {
      data: {
        subjects: [...what],
        statement,
        index,
        already,
        checkpoint: { origin, size },
        refused: refusals.map(({ code, message }) => ({ code, message })),
      },
      lines: [
        ...what,
        `${already ? 'was in the log already' : 'is in the log'}: entry ${index}, ` +
          `verified under a checkpoint of size ${size} of ${origin}`,
        ...refusals.map(({ message }) => `clients refuse it all the same: ${message}`),
        `statement ${statement}`,
      ],
    },
    [...warnings, ...refusals, ...failures],
  );
}

function describe(draft: Draft): readonly string[] {
  if (draft.statement.kind === 'maintainers') {
    const { set } = draft.statement;
    const { name } = parsePurl(set.package);
    return [`${name}: ${set.maintainers.length} maintainers, ${set.faulty + 1} have to sign`];
  }
  if (draft.statement.kind === 'withdrawal') {
    const { withdrawal } = draft.statement;
    const { name } = parsePurl(withdrawal.package);
    return [`${name}@${withdrawal.version}: ${withdrawal.kind}, ${withdrawal.reason}`];
  }
  return draft.statement.release.subjects.map(
    ({ name, version, sha512 }) => `${name}@${version} ${formatSri(sha512)}`,
  );
}
