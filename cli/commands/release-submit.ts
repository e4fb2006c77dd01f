// `bftpkg release submit`: anybody may bring a release into the log that enough maintainers have signed.
import { resolve } from 'node:path';
import { stat } from 'node:fs/promises';

import { equalBytes } from '../../verifier/bytes.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import type { Report } from '../output/report.ts';
import { loadDraft } from '../release/draft.ts';
import { findProposal, isComplete, type Proposal } from '../release/proposals.ts';
import { findInLog, submitDraft, type Submitted } from '../release/submit.ts';
import { lookUpRelease } from '../session/look-up.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { stillWaiting } from './release-status.ts';
import { submissionReport } from './submission-report.ts';
import { withdrawalSubmit } from './withdraw.ts';

const COMMAND = 'release submit';

/** `release submit [file|id|name@version]`. */
export async function releaseSubmit(
  invocation: Invocation,
  what: string | undefined,
): Promise<Report> {
  const path = what === undefined ? undefined : resolve(invocation.context.cwd, what);
  const isFile =
    path !== undefined &&
    (await stat(path).then(
      (facts) => facts.isFile(),
      () => false,
    ));
  const draft = isFile ? await loadDraft(path) : undefined;
  if (draft?.statement.kind === 'withdrawal') {
    return await withdrawalSubmit(invocation, draft, COMMAND, what ?? '');
  }
  return await withSession(invocation, {}, async (session) => {
    // Also when its maintainers have changed since, and it could not be submitted any more.
    const logged =
      draft?.statement.kind === 'release' ? await findInLog(session, draft) : undefined;
    if (draft !== undefined && logged !== undefined) {
      return submissionReport(COMMAND, draft, { ...logged, already: true, failures: [] });
    }
    const proposal = await findProposal(invocation, session, what);
    return submissionReport(
      COMMAND,
      proposal.draft,
      await submitProposal(invocation, session, proposal),
    );
  });
}

/**
 * Submits a proposal. When another statement about the same bytes was faster, that is success.
 *
 * @throws {CliError} BP2001 with who is missing; as `submitDraft`
 */
export async function submitProposal(
  invocation: Invocation,
  session: LogSession,
  proposal: Proposal,
): Promise<Submitted> {
  if (!isComplete(proposal)) throw stillWaiting(proposal);
  try {
    return await submitDraft(session, proposal.draft, invocation);
  } catch (error) {
    if (!(error instanceof CliError) || error.diagnostic.code !== 'BP5004') throw error;
    const other = await sameBytesLogged(session, proposal);
    if (other === undefined) throw error;
    return other;
  }
}

async function sameBytesLogged(
  session: LogSession,
  { release }: Proposal,
): Promise<Submitted | undefined> {
  let found: Submitted | undefined;
  for (const { name, version, sha512 } of release.subjects) {
    const seen = await lookUpRelease(session, name, version);
    if (seen.release === undefined || !equalBytes(seen.release.sha512, sha512)) return undefined;
    const verified = await session.verify([{ kind: 'release', name, version }]);
    const { index, statement } = seen.release;
    found ??= { index, statement, verified, already: true, failures: [] };
  }
  return found;
}
