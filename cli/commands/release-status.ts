// `bftpkg release status`, `collect` and `wait`: what waits for signatures, whose they are, and when it is
// in the log.
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { JsonObject } from '../../verifier/json.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import { describeFailure } from '../output/diagnose.ts';
import { diagnostic, doneReport, type Diagnostic, type Report } from '../output/report.ts';
import { refreshed } from '../release/agree.ts';
import { loadDraft, mergeDrafts, saveDraft, draftId } from '../release/draft.ts';
import {
  findProposal,
  isComplete,
  namesOf,
  openProposal,
  openProposals,
  signersOf,
  tallyLines,
  wantedOf,
  type Proposal,
} from '../release/proposals.ts';
import { rivalLine, rivalsOf } from '../release/rivals.ts';
import { findInLog } from '../release/submit.ts';
import { lookUpRelease } from '../session/look-up.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { submissionReport } from './submission-report.ts';

/** Between two questions; a person who signs takes longer. */
const POLL_MS = 2_000;

/** `release status [name|name@version]`: everything that waits for signatures. */
export async function releaseStatus(
  invocation: Invocation,
  what: string | undefined,
): Promise<Report> {
  const { name, version } = await wantedOf(invocation, what);
  return await withSession(invocation, {}, async (session) => {
    const { proposals, failures } = await openProposals(session, [name], invocation.context.signal);
    const fitting = proposals
      .filter(
        ({ release }) =>
          version === undefined ||
          release.subjects.some((each) => each.name === name && each.version === version),
      )
      .toSorted(byNamesAndSigners);
    const logged =
      version === undefined ? undefined : (await lookUpRelease(session, name, version)).release;
    const said =
      logged === undefined
        ? []
        : [`${name}@${version} is in the log: entry ${logged.index}, ${formatSri(logged.sha512)}`];
    const lines = fitting.flatMap((proposal) => proposalLines(proposal, proposals));
    const nothing =
      lines.length === 0 && said.length === 0 ? [`nothing waits for signatures: ${name}`] : [];
    return doneReport(
      'release status',
      {
        data: {
          package: name,
          logged: logged === undefined ? null : logged.index,
          proposals: fitting.map((proposal) => proposalJson(proposal, proposals)),
        },
        lines: [...said, ...lines, ...nothing],
      },
      failures.map(({ url, error }) =>
        diagnostic('BP7001', `replica ${url}: ${describeFailure(error)}`, { severity: 'warning' }),
      ),
    );
  });
}

/** `release collect <what> [files…]`: one draft with all signatures that others have made. */
export async function releaseCollect(
  invocation: Invocation,
  what: string,
  files: readonly string[],
  options: { readonly out?: string },
): Promise<Report> {
  const { cwd } = invocation.context;
  return await withSession(invocation, {}, async (session) => {
    const found = await findProposal(invocation, session, what);
    let { draft } = found;
    const warnings: Diagnostic[] = [];
    for (const file of files) {
      const other = await loadDraft(resolve(cwd, file));
      if (draftId(other) === found.id) draft = mergeDrafts(draft, other);
      else {
        const message = `${file}: signatures of another statement, ${draftId(other).slice(0, 16)}`;
        warnings.push(diagnostic('BP2001', message, { severity: 'warning' }));
      }
    }
    const proposal = await openProposal(session, draft, found.file);
    const out =
      options.out === undefined
        ? (found.file ?? resolve(cwd, 'release.json'))
        : resolve(cwd, options.out);
    await saveDraft(proposal.draft, out);
    return doneReport(
      'release collect',
      {
        data: { file: out, ...proposalJson(proposal, []) },
        lines: [
          ...proposalLines(proposal, []),
          `draft in ${out}, ${proposal.draft.signatures.length} signature(s)`,
        ],
      },
      warnings,
    );
  });
}

/** `release wait [what]`: until the release is in the log, proven. */
export async function releaseWait(
  invocation: Invocation,
  what: string | undefined,
): Promise<Report> {
  return await withSession(invocation, {}, async (session) => {
    const logged = await loggedAlready(invocation, session, what);
    if (logged !== undefined) return logged;
    const { proposal, submitted } = await waitUntil(
      invocation,
      session,
      await findProposal(invocation, session, what),
      () => false,
    );
    if (submitted !== undefined) {
      return submissionReport('release wait', proposal.draft, {
        ...submitted,
        already: false,
        failures: [],
      });
    }
    throw stillWaiting(proposal);
  });
}

/** What became of waiting. */
export interface Waited {
  readonly proposal: Proposal;
  /** The proof, once it is in the log. */
  readonly submitted: Awaited<ReturnType<typeof findInLog>>;
}

/**
 * Waits until a proposal is in the log, or what was asked for is true, or the command's time is spent.
 *
 * @param isEnough asked whenever signatures have come in
 */
export async function waitUntil(
  invocation: Invocation,
  session: LogSession,
  start: Proposal,
  isEnough: (proposal: Proposal) => boolean,
): Promise<Waited> {
  const { signal } = invocation.context;
  let proposal = start;
  for (;;) {
    const submitted = await findInLog(session, proposal.draft);
    if (submitted !== undefined) return { proposal, submitted };
    if (isEnough(proposal)) return { proposal, submitted };
    const signed = proposal.tallies.reduce((sum, tally) => sum + tally.signed.length, 0);
    invocation.progress(`waiting for maintainers: ${signed} signature(s) so far`);
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return { proposal, submitted: undefined };
    proposal = await refreshed(session, proposal, signal);
  }
}

/** Exit 11 with who is still missing. */
export function stillWaiting(proposal: Proposal): CliError {
  const [short] = proposal.tallies.filter(({ needed, signed }) => signed.length < needed);
  const { name, needed, signed } = short ?? { name: namesOf(proposal), needed: 0, signed: [] };
  const message =
    short === undefined
      ? `${name}: signed by enough maintainers, but not in the log yet`
      : `${name}: ${signed.length} valid maintainer signature(s), ${needed} required`;
  return new CliError('BP2001', message, {
    details: proposal.tallies.flatMap((tally) => [
      ...tally.signed.map((each) => [each.name, 'has signed'] as const),
      ...tally.missing.map((each) => [each.name, 'has not signed'] as const),
    ]),
    hints:
      short === undefined
        ? [`bftpkg release submit ${proposal.id.slice(0, 16)}`]
        : ['another maintainer, in their own checkout: bftpkg release sign --key <key>'],
  });
}

async function loggedAlready(
  invocation: Invocation,
  session: LogSession,
  what: string | undefined,
): Promise<Report | undefined> {
  if (what === undefined || !/^@?[^@]+@[0-9]/.test(what)) return undefined;
  const { name, version = '' } = await wantedOf(invocation, what);
  const { release } = await lookUpRelease(session, name, version);
  if (release === undefined) return undefined;
  const line = `${name}@${version} ${formatSri(release.sha512)} is in the log: entry ${release.index}`;
  return doneReport('release wait', {
    data: { subjects: [`${name}@${version} ${formatSri(release.sha512)}`], index: release.index },
    lines: [line],
  });
}

// As people look for them: by version, and of one version by who has signed.
function byNamesAndSigners(a: Proposal, b: Proposal): number {
  const keyOf = (proposal: Proposal): string => {
    return [namesOf(proposal), ...signersOf(proposal), proposal.id].join('\n');
  };
  return keyOf(a) < keyOf(b) ? -1 : 1;
}

function proposalLines(proposal: Proposal, others: readonly Proposal[]): readonly string[] {
  const rivals = rivalsOf(proposal, others);
  return [
    `${namesOf(proposal)}  proposal ${proposal.id.slice(0, 16)}`,
    ...proposal.release.subjects.map(({ sha512 }) => `  digest    ${formatSri(sha512)}`),
    ...tallyLines(proposal),
    ...rivals.map((rival) => `  WARNING   ${rivalLine(rival)}`),
    isComplete(proposal)
      ? `  next      bftpkg release submit ${proposal.id.slice(0, 16)}`
      : `  next      bftpkg release sign ${proposal.id.slice(0, 16)} --key <key>`,
  ];
}

function proposalJson(proposal: Proposal, others: readonly Proposal[]): JsonObject {
  return {
    statement: proposal.id,
    complete: isComplete(proposal),
    subjects: proposal.release.subjects.map(
      ({ name, version, sha512 }) => `${name}@${version} ${formatSri(sha512)}`,
    ),
    packages: proposal.tallies.map(({ name, needed, signed, missing }) => ({
      name,
      needed,
      signed: signed.map((each) => each.name),
      missing: missing.map((each) => each.name),
    })),
    rivals: rivalsOf(proposal, others).map((rival) => rival.proposal.id),
  };
}
