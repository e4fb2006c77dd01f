// `bftpkg release prepare`: packs, shows what changes, and writes the draft; with a key it is signed and
// handed to the co-maintainers as well.
import { copyFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

import { formatSri } from '../../verifier/npm/integrity.ts';
import type { Invocation } from '../context.ts';
import { doneReport, type Report } from '../output/report.ts';
import { keysToSign, share } from '../release/agree.ts';
import { withWorkspace, type Artifact } from '../release/artifact.ts';
import { saveDraft } from '../release/draft.ts';
import { pathsOf, prepareRelease } from '../release/prepare.ts';
import { isComplete, openProposal } from '../release/proposals.ts';
import { review } from '../release/review.ts';
import { withSession } from '../session/log-session.ts';
import { confirm, signWith } from './sign.ts';

const COMMAND = 'release prepare';

/** Options of `release prepare`. */
export interface PrepareOptions {
  readonly out: string;
  readonly key: readonly string[];
  readonly expectDigest?: string;
  /** Whether a signed draft goes into the mailboxes. */
  readonly post: boolean;
}

/** `release prepare [target…]`. */
export async function releasePrepare(
  invocation: Invocation,
  targets: readonly string[],
  options: PrepareOptions,
): Promise<Report> {
  return await withWorkspace((workspace) =>
    withSession(invocation, {}, async (session) => {
      const prepared = await prepareRelease(invocation, session, targets, workspace);
      if (prepared.kind === 'logged') return alreadyLogged(COMMAND, prepared.artifacts);
      const out = resolve(invocation.context.cwd, options.out);
      const artifacts = await keepBeside(out, prepared.artifacts);
      const byName = new Map(artifacts.map((each) => [each.checked.name, each]));
      const { release } = prepared.proposal;
      const inOrder = release.subjects.map(({ name }) => byName.get(name));
      const draft = {
        ...prepared.proposal.draft,
        artifacts: pathsOf(inOrder.filter((each) => each !== undefined)),
      };
      const seen = { ...prepared.proposal, draft, file: out };
      const { lines, changes } = await review(invocation, session, seen, inOrder, prepared.others);
      const joined = prepared.isJoined
        ? ['proposed by a co-maintainer already, with the same bytes']
        : [];
      // Before anything is signed: whatever comes in between, the draft is there to go on with.
      await saveDraft(draft, out);
      const facts = {
        file: out,
        statement: seen.id,
        artifacts: pathsOf(artifacts),
        subjects: release.subjects.map(
          ({ name, version, sha512 }) => `${name}@${version} ${formatSri(sha512)}`,
        ),
        changes: changes.map((change) => ({ ...change, files: { ...change.files } })),
      };
      if (options.key.length === 0) {
        return doneReport(COMMAND, {
          data: { ...facts, signatures: draft.signatures.length, posted: 0 },
          lines: [
            ...lines,
            ...joined,
            `draft in ${out}`,
            `next  bftpkg release sign ${options.out} --key <key>`,
          ],
        });
      }
      const keys = await keysToSign(invocation, seen, options.key);
      const unread =
        keys.length > 0
          ? await confirm(invocation, draft, lines, options.expectDigest, inOrder)
          : lines;
      const signed = keys.length > 0 ? await signWith(invocation, draft, keys) : draft;
      await saveDraft(signed, out);
      const proposal = await openProposal(session, signed, out);
      const shared = options.post
        ? await share(invocation, session, proposal, artifacts)
        : { proposal, kept: 0, warnings: [] };
      const next = isComplete(shared.proposal) ? 'submit' : 'sign';
      return doneReport(
        COMMAND,
        {
          data: { ...facts, signatures: signed.signatures.length, posted: shared.kept },
          lines: [
            ...unread,
            ...joined,
            `draft in ${out}, ${signed.signatures.length} signature(s)`,
            ...(options.post ? [`in the mailbox of ${shared.kept} replicas`] : []),
            next === 'submit'
              ? `next  bftpkg release submit ${options.out}`
              : 'next  a co-maintainer, in their own checkout: bftpkg release sign --key <key>',
          ],
        },
        shared.warnings,
      );
    }),
  );
}

/** The report for what needs nothing done any more. */
export function alreadyLogged(command: string, artifacts: readonly Artifact[]): Report {
  const names = artifacts.map(
    ({ checked, sha512 }) => `${checked.name}@${checked.version} ${formatSri(sha512)}`,
  );
  return doneReport(command, {
    data: { subjects: names, already: true },
    lines: names.map((name) => `${name} is in the log already, with the same bytes`),
  });
}

// Packed tarballs are in a temporary folder; whoever goes on with the draft needs them beside it.
async function keepBeside(
  out: string,
  artifacts: readonly Artifact[],
): Promise<readonly Artifact[]> {
  const kept: Artifact[] = [];
  for (const artifact of artifacts) {
    const path = join(dirname(out), basename(artifact.path));
    if (path !== artifact.path) await copyFile(artifact.path, path);
    kept.push({ ...artifact, path });
  }
  return kept;
}
