// `bftpkg release publish`: all of it, from this folder to the log and from there to the npm registry. Each
// step finds what the one before it has left, so it can be run again after any failure, on any of the
// maintainers' machines.
import type { Invocation } from '../context.ts';
import { doneReport, type Diagnostic, type Report } from '../output/report.ts';
import { keysToSign, share } from '../release/agree.ts';
import { withWorkspace, type Artifact } from '../release/artifact.ts';
import { prepareRelease, type Prepared } from '../release/prepare.ts';
import { isComplete, openProposal, type Proposal } from '../release/proposals.ts';
import { publishArtifact, type Published } from '../release/registry-release.ts';
import { review } from '../release/review.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import type { PublishFlags } from '../npm/registry.ts';
import { alreadyLogged } from './release-prepare.ts';
import { stillWaiting, waitUntil } from './release-status.ts';
import { submitProposal } from './release-submit.ts';
import { confirm, signWith } from './sign.ts';
import { submissionReport } from './submission-report.ts';

const COMMAND = 'release publish';

/** Options of `release publish`. */
export interface PublishOptions extends PublishFlags {
  readonly key: readonly string[];
  readonly expectDigest?: string;
  /** Whether to wait for co-maintainers until the command's time is spent. */
  readonly wait?: boolean;
  /** Whether to go on to the npm registry. */
  readonly npm: boolean;
  /** Show what would be signed, and stop. */
  readonly dryRun?: boolean;
}

type Draft = Extract<Prepared, { kind: 'draft' }>;

/** `release publish [target…]`. */
export async function releasePublish(
  invocation: Invocation,
  targets: readonly string[],
  options: PublishOptions,
): Promise<Report> {
  return await withWorkspace((workspace) =>
    withSession(invocation, {}, async (session) => {
      const prepared = await prepareRelease(invocation, session, targets, workspace);
      const report =
        prepared.kind === 'logged'
          ? alreadyLogged(COMMAND, prepared.artifacts)
          : await agreeAndSubmit(invocation, session, prepared, options);
      if (!options.npm || options.dryRun === true) return report;
      const published: Published[] = [];
      for (const artifact of prepared.artifacts) {
        published.push(await publishArtifact(invocation, artifact, options, workspace));
      }
      return withPublished(report, published);
    }),
  );
}

async function agreeAndSubmit(
  invocation: Invocation,
  session: LogSession,
  prepared: Draft,
  options: PublishOptions,
): Promise<Report> {
  const { artifacts, others } = prepared;
  const inOrder = ordered(prepared);
  const { lines } = await review(invocation, session, prepared.proposal, inOrder, others);
  if (options.dryRun === true) {
    const { id } = prepared.proposal;
    return doneReport(COMMAND, {
      data: { statement: id, dryRun: true },
      lines: [...lines, 'nothing was signed (--dry-run)'],
    });
  }
  const keys = await keysToSign(invocation, prepared.proposal, options.key);
  let { proposal } = prepared;
  if (keys.length > 0) {
    await confirm(invocation, proposal.draft, lines, options.expectDigest, inOrder);
    proposal = await openProposal(session, await signWith(invocation, proposal.draft, keys));
  }
  const warnings: Diagnostic[] = [];
  if (!isComplete(proposal)) {
    proposal = await withTheOthers(invocation, session, proposal, artifacts, options, warnings);
  }
  const submitted = await submitProposal(invocation, session, withPaths(proposal, inOrder));
  return submissionReport(COMMAND, proposal.draft, submitted, warnings);
}

// Posted first: a run that ends here is one that the others can go on with.
async function withTheOthers(
  invocation: Invocation,
  session: LogSession,
  start: Proposal,
  artifacts: readonly Artifact[],
  options: PublishOptions,
  warnings: Diagnostic[],
): Promise<Proposal> {
  const hasAny = start.tallies.some(({ signed }) => signed.length > 0);
  if (!hasAny) throw stillWaiting(start);
  const shared = await share(invocation, session, start, artifacts);
  warnings.push(...shared.warnings);
  if (isComplete(shared.proposal)) return shared.proposal;
  if (shared.kept > 0) {
    invocation.notice(
      `proposal ${start.id.slice(0, 16)} is in the mailbox of ${shared.kept} replicas`,
    );
  } else for (const { message } of shared.warnings) invocation.notice(message);
  if (options.wait !== true) throw stillWaiting(shared.proposal);
  const { proposal, submitted } = await waitUntil(invocation, session, shared.proposal, isComplete);
  if (submitted === undefined && !isComplete(proposal)) throw stillWaiting(proposal);
  return proposal;
}

function ordered({ proposal, artifacts }: Draft): readonly (Artifact | undefined)[] {
  const byName = new Map(artifacts.map((artifact) => [artifact.checked.name, artifact]));
  return proposal.release.subjects.map(({ name }) => byName.get(name));
}

// A proposal that was fetched anew knows no files.
function withPaths(proposal: Proposal, inOrder: readonly (Artifact | undefined)[]): Proposal {
  const artifacts = inOrder.map((artifact) => artifact?.path ?? '');
  return { ...proposal, draft: { ...proposal.draft, artifacts } };
}

function withPublished(report: Report, published: readonly Published[]): Report {
  if (report.result === null) return report;
  const { data, lines } = report.result;
  const said = published.map(({ label, kind, url }) => {
    const where = url === null ? '' : `: ${url}`;
    return kind === 'present'
      ? `${label} is at the registry already, with the same bytes${where}`
      : `${label} is published, and the registry serves the same bytes${where}`;
  });
  const registry = published.map(({ label, kind, url }) => ({ subject: label, status: kind, url }));
  return {
    ...report,
    result: { ...report.result, data: { ...data, registry }, lines: [...lines, ...said] },
  };
}
