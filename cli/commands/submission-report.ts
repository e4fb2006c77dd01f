// The report of a statement that is in the log.
import { formatSri } from '../../verifier/npm/integrity.ts';
import { parsePurl } from '../../verifier/npm/purl.ts';
import { describeFailure } from '../output/diagnose.ts';
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
      },
      lines: [
        ...what,
        `${already ? 'was in the log already' : 'is in the log'}: entry ${index}, ` +
          `verified under a checkpoint of size ${size} of ${origin}`,
        `statement ${statement}`,
      ],
    },
    [...warnings, ...failures],
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
