// The tarballs of a proposal made again from the signer's own checkout: a signature says "these bytes are
// what the repository gives", and only who has made them can say that.
import { resolve } from 'node:path';

import { checkTarball } from '../../verifier/archive/tarball.ts';
import { equalBytes } from '../../verifier/bytes.ts';
import { gunzip } from '../../verifier/node/gunzip.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import type { ReleaseSubject } from '../../verifier/statements/release.ts';
import type { Invocation } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import type { LogSession } from '../session/log-session.ts';
import { prepareArtifact, type Artifact } from './artifact.ts';
import { compareFiles, fileLine } from './compare.ts';
import { fetchProposed } from './fetch.ts';
import type { Proposal } from './proposals.ts';
import { requireStated } from './stated.ts';

/** Differences named for people. */
const FILES_SHOWN_MAX = 12;

/**
 * Packs the signer's checkouts and requires each tarball of the proposal to come out, and the proposal to
 * say about it what it is.
 *
 * @param folders one for each package, in any order
 * @param workspace private folder for what is packed
 * @throws {CliError} BP1009 with the files that differ; BP9003 when a package has no folder
 */
export async function rebuild(
  invocation: Invocation,
  session: LogSession,
  { release }: Proposal,
  folders: readonly string[],
  workspace: string,
): Promise<readonly Artifact[]> {
  const made: Artifact[] = [];
  for (const folder of folders) {
    const path = resolve(invocation.context.cwd, folder);
    made.push(await prepareArtifact(path, workspace, invocation));
  }
  const artifacts: Artifact[] = [];
  for (const subject of release.subjects) {
    const { name, version, sha512 } = subject;
    const own = made.find(({ checked }) => checked.name === name);
    if (own === undefined) {
      throw usageError(
        `no checkout of ${name}: nothing is signed that was not rebuilt`,
        `--from <folder of ${name}>, or --expect-digest ${formatSri(sha512)} if you know it from elsewhere`,
      );
    }
    if (!equalBytes(own.sha512, sha512)) throw await different(invocation, session, subject, own);
    if (own.checked.version !== version) {
      throw new CliError(
        'BP1009',
        `your checkout is ${name}@${own.checked.version}, not ${version}`,
      );
    }
    requireStated(subject, own);
    artifacts.push(own);
  }
  return artifacts;
}

async function different(
  { context }: Invocation,
  session: LogSession,
  subject: ReleaseSubject,
  own: Artifact,
): Promise<CliError> {
  const { name, version, sha512 } = subject;
  const details: (readonly [string, string])[] = [
    ['proposed', formatSri(sha512)],
    ['rebuilt', formatSri(own.sha512)],
  ];
  if (own.checked.version !== version) {
    details.push(['checkout', `is version ${own.checked.version}, proposed is ${version}`]);
  }
  const bytes = await fetchProposed(session, subject, context.signal);
  if (bytes === undefined) {
    details.push(['files', 'no replica has the proposed tarball, so the files are not compared']);
  } else {
    const files = compareFiles(own.checked, await checkTarball(bytes, gunzip));
    if (files.length > 0) details.push(['files', 'yours → the proposed ones']);
    const shown = files.slice(0, FILES_SHOWN_MAX).map((file) => ['file', fileLine(file)] as const);
    details.push(...shown);
    const more = files.length - shown.length;
    if (more > 0) details.push(['files', `and ${more} more`]);
    if (files.length === 0) {
      details.push(['files', 'the same: modes differ, or another program packed it']);
    }
  }
  return new CliError('BP1009', `${name}@${version}: your checkout gives another tarball`, {
    details,
    hints: ['check out the commit of the release and build it; nothing was signed'],
  });
}
