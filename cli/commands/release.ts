// `bftpkg release`: from a folder to a verified entry of the log.
import { copyFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

import { equalBytes } from '../../verifier/bytes.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { releasePurl } from '../../verifier/npm/purl.ts';
import {
  formatRelease,
  RELEASE_PAYLOAD_TYPE,
  type ReleaseSubjectFields,
} from '../../verifier/statements/release.ts';
import type { Invocation } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { doneReport, type Report } from '../output/report.ts';
import {
  describeArtifact,
  prepareArtifact,
  withWorkspace,
  type Artifact,
} from '../release/artifact.ts';
import {
  describeDraft,
  draftId,
  loadDraft,
  makeDraft,
  saveDraft,
  type Draft,
} from '../release/draft.ts';
import { requireSigners } from '../release/signers.ts';
import { submitDraft } from '../release/submit.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { lookUpRelease, type SeenHead } from '../session/look-up.ts';
import { signWith } from './sign.ts';
import { submissionReport } from './submission-report.ts';
import { withdrawalSubmit } from './withdraw.ts';

/** A prepared release, or the finding that it is in the log already. */
type Prepared =
  | { readonly kind: 'draft'; readonly draft: Draft; readonly artifacts: readonly Artifact[] }
  | { readonly kind: 'logged'; readonly report: Report };

/** `release prepare [target…]`: packs, checks, and writes the draft and the tarballs beside it. */
export async function releasePrepare(
  invocation: Invocation,
  targets: readonly string[],
  options: { readonly out: string },
): Promise<Report> {
  const command = 'release prepare';
  return await withPrepared(invocation, targets, command, async (_session, unsigned, artifacts) => {
    const out = resolve(invocation.context.cwd, options.out);
    // Packed tarballs are in a temporary folder; whoever signs next needs them beside the draft.
    const paths: string[] = [];
    for (const { path } of artifacts) {
      const kept = join(dirname(out), basename(path));
      if (kept !== path) await copyFile(path, kept);
      paths.push(kept);
    }
    const draft = { ...unsigned, artifacts: paths };
    await saveDraft(draft, out);
    return doneReport(command, {
      data: {
        file: out,
        statement: draftId(draft),
        artifacts: paths,
        subjects: describeSubjects(draft),
      },
      lines: [
        ...describeDraft(draft),
        ...artifacts.flatMap((artifact, i) =>
          describeArtifact({ ...artifact, path: paths[i] ?? artifact.path }),
        ),
        `draft in ${out}`,
        `next  bftpkg release sign ${options.out} --key <key>, then bftpkg release submit ${options.out}`,
      ],
    });
  });
}

/** `release submit <file>`. */
export async function releaseSubmit(invocation: Invocation, file: string): Promise<Report> {
  const draft = await loadDraft(resolve(invocation.context.cwd, file));
  if (draft.statement.kind === 'withdrawal') {
    return await withdrawalSubmit(invocation, draft, 'release submit');
  }
  if (draft.statement.kind !== 'release') {
    throw usageError(`${file} is not a release`, 'bftpkg package submit');
  }
  return await withSession(invocation, {}, async (session) => {
    await requireSigned(session, draft);
    return submissionReport('release submit', draft, await submitDraft(session, draft, invocation));
  });
}

/** `release publish [target…] --key …`: prepare, sign with own keys, submit. */
export async function releasePublish(
  invocation: Invocation,
  targets: readonly string[],
  options: { readonly key: readonly string[] },
): Promise<Report> {
  const command = 'release publish';
  return await withPrepared(invocation, targets, command, async (session, unsigned) => {
    const draft = await signWith(invocation, unsigned, options.key);
    await requireSigned(session, draft);
    return submissionReport(command, draft, await submitDraft(session, draft, invocation));
  });
}

async function withPrepared(
  invocation: Invocation,
  targets: readonly string[],
  command: string,
  work: (session: LogSession, draft: Draft, artifacts: readonly Artifact[]) => Promise<Report>,
): Promise<Report> {
  return await withWorkspace((workspace) =>
    withSession(invocation, {}, async (session) => {
      const prepared = await prepare(invocation, session, targets, workspace, command);
      if (prepared.kind === 'logged') return prepared.report;
      return await work(session, prepared.draft, prepared.artifacts);
    }),
  );
}

async function prepare(
  invocation: Invocation,
  session: LogSession,
  targets: readonly string[],
  workspace: string,
  command: string,
): Promise<Prepared> {
  const artifacts: Artifact[] = [];
  for (const target of targets.length === 0 ? ['.'] : targets) {
    const path = resolve(invocation.context.cwd, target);
    artifacts.push(await prepareArtifact(path, workspace, invocation));
  }
  const subjects: ReleaseSubjectFields[] = [];
  let head: SeenHead | undefined;
  const logged: Artifact[] = [];
  for (const artifact of artifacts) {
    const { name, version, manifest } = artifact.checked;
    const purl = releasePurl(name, version);
    const seen = await lookUpRelease(session, name, version);
    // The oldest head of several is the one that all of them were seen after.
    head ??= seen.head;
    if (seen.release !== undefined) {
      requireSame(artifact, seen.release.sha512, seen.release.index);
      logged.push(artifact);
      continue;
    }
    if (seen.found === undefined) {
      throw new CliError('BP5003', `${name}: not registered in the log`, {
        hints: [`bftpkg package register ${name} --maintainer <name>=<key>`],
      });
    }
    subjects.push({
      purl,
      sha512: artifact.sha512,
      size: artifact.bytes.length,
      maintainers: seen.found.sequence,
      manifest,
    });
  }
  if (subjects.length === 0) return { kind: 'logged', report: alreadyLogged(command, logged) };
  if (logged.length > 0) {
    throw new CliError('BP5004', 'some of these releases are in the log already, others are not', {
      hints: ['name only those that are new'],
    });
  }
  const observed = new Map(head === undefined ? [] : [[head.origin, head]]);
  const payload = formatRelease({ subjects, observed });
  const paths = artifacts.map(({ path }) => path);
  return { kind: 'draft', draft: makeDraft(RELEASE_PAYLOAD_TYPE, payload, paths), artifacts };
}

function requireSame(artifact: Artifact, loggedDigest: Uint8Array, index: number): void {
  if (equalBytes(artifact.sha512, loggedDigest)) return;
  const { name, version } = artifact.checked;
  throw new CliError('BP5004', `${name}@${version}: in the log already, with other bytes`, {
    details: [
      ['logged', `${formatSri(loggedDigest)} (entry ${index})`],
      ['yours', formatSri(artifact.sha512)],
    ],
    hints: ['raise the version: a name and version mean one artifact for ever'],
  });
}

function alreadyLogged(command: string, artifacts: readonly Artifact[]): Report {
  const names = artifacts.map(
    ({ checked, sha512 }) => `${checked.name}@${checked.version} ${formatSri(sha512)}`,
  );
  return doneReport(command, {
    data: { subjects: names, already: true },
    lines: names.map((name) => `${name} is in the log already, with the same bytes`),
  });
}

function describeSubjects(draft: Draft): string[] {
  if (draft.statement.kind !== 'release') return [];
  return draft.statement.release.subjects.map(
    ({ name, version, sha512 }) => `${name}@${version} ${formatSri(sha512)}`,
  );
}

async function requireSigned(session: LogSession, draft: Draft): Promise<void> {
  if (draft.statement.kind !== 'release') return;
  const hint = 'bftpkg release sign <file> --key <key> by another maintainer';
  for (const { name } of draft.statement.release.subjects) {
    await requireSigners(session, draft, name, hint);
  }
}
