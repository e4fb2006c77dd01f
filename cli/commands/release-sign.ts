// `bftpkg release sign`: a co-maintainer's part. What is signed was rebuilt from the signer's own checkout,
// or its digest was named by somebody who knows it from elsewhere.
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import type { Invocation } from '../context.ts';
import { doneReport, type Report } from '../output/report.ts';
import { artifactsAtHand, keysToSign, share, type Shared } from '../release/agree.ts';
import { withWorkspace, type Artifact } from '../release/artifact.ts';
import { loadDraft, saveDraft } from '../release/draft.ts';
import { requireObserved } from '../release/observed.ts';
import { waitingFor } from '../release/prepare.ts';
import {
  findProposal,
  isComplete,
  namesOf,
  openProposal,
  tallyLines,
  type Proposal,
} from '../release/proposals.ts';
import { rebuild } from '../release/rebuild.ts';
import { review } from '../release/review.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { confirm, requireConfirmable, sign, signWith, type SignOptions } from './sign.ts';

const COMMAND = 'release sign';

/** Options of `release sign`. */
export interface ReleaseSignOptions extends SignOptions {
  /** Checkouts to rebuild from. By default this folder, or none when the digest is named. */
  readonly from: readonly string[];
  /** Whether the signature goes into the mailboxes. */
  readonly post: boolean;
}

/** `release sign [file|id|name@version]`. */
export async function releaseSign(
  invocation: Invocation,
  what: string | undefined,
  options: ReleaseSignOptions,
): Promise<Report> {
  if (what !== undefined && (await isOtherStatement(invocation, what))) {
    return await sign(invocation, COMMAND, what, options);
  }
  return await withWorkspace((workspace) =>
    withSession(invocation, {}, async (session) => {
      const proposal = await findProposal(invocation, session, what);
      const { release, head } = proposal;
      await requireObserved(session, release.observed, head, invocation.context.signal);
      requireConfirmable(invocation, proposal.draft, options.expectDigest);
      const artifacts =
        options.expectDigest === undefined || options.from.length > 0
          ? await rebuilt(invocation, session, proposal, options.from, workspace)
          : await artifactsAtHand(invocation, session, proposal);
      const others = await waitingFor(invocation, session, proposal);
      const { lines, changes } = await review(invocation, session, proposal, artifacts, others);
      const keys = await keysToSign(invocation, proposal, options.key);
      const { expectDigest } = options;
      const unread =
        keys.length > 0 || options.key.length === 0
          ? await confirm(invocation, proposal.draft, lines, expectDigest, artifacts)
          : lines;
      const draft =
        keys.length === 0 && options.key.length > 0
          ? proposal.draft
          : await signWith(invocation, proposal.draft, keys);
      const out =
        options.out === undefined ? proposal.file : resolve(invocation.context.cwd, options.out);
      // On this disk first: then a network that fails costs nobody a signature.
      if (out !== undefined) await saveDraft(draft, out);
      const signed = await openProposal(session, draft, out);
      const shared = options.post
        ? await share(invocation, session, signed, artifacts)
        : { proposal: signed, kept: 0, warnings: [] };
      return report(shared, out, unread, changes.length, options.post);
    }),
  );
}

function report(
  { proposal, kept, warnings }: Shared,
  out: string | undefined,
  lines: readonly string[],
  compared: number,
  isPosted: boolean,
): Report {
  const where = out ?? proposal.id.slice(0, 16);
  const next = isComplete(proposal)
    ? `next  bftpkg release submit ${where}`
    : 'next  another maintainer, in their own checkout: bftpkg release sign --key <key>';
  return doneReport(
    COMMAND,
    {
      data: {
        ...(out === undefined ? {} : { file: out }),
        statement: proposal.id,
        signatures: proposal.draft.signatures.map(({ keyid }) => keyid),
        complete: isComplete(proposal),
        compared,
        posted: kept,
      },
      lines: [
        ...lines,
        `signed ${namesOf(proposal)}`,
        ...tallyLines(proposal),
        ...(out === undefined ? [] : [`draft in ${out}`]),
        ...(isPosted ? [`in the mailbox of ${kept} replicas`] : []),
        next,
      ],
    },
    warnings,
  );
}

async function isOtherStatement({ context }: Invocation, what: string): Promise<boolean> {
  const path = resolve(context.cwd, what);
  const isFile = await stat(path).then(
    (facts) => facts.isFile(),
    () => false,
  );
  return isFile && (await loadDraft(path)).statement.kind !== 'release';
}

// This folder, if it is a package's; without a checkout the refusal says what to do.
async function rebuilt(
  invocation: Invocation,
  session: LogSession,
  proposal: Proposal,
  from: readonly string[],
  workspace: string,
): Promise<readonly Artifact[]> {
  const { cwd } = invocation.context;
  const here = await stat(join(cwd, 'package.json')).then(
    () => ['.'],
    () => [],
  );
  const folders = from.length === 0 ? here : from;
  return await rebuild(invocation, session, proposal, folders, workspace);
}
