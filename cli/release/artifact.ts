// Tarballs on the maintainer's side: made by their own npm, read once, and checked by the same rules
// that every replica and every installer applies.
import { lstat, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Finding } from '../../verifier/archive/findings.ts';
import { checkTarball, type ArchiveListing } from '../../verifier/archive/tarball.ts';
import { gunzip } from '../../verifier/node/gunzip.ts';
import { sha512 } from '../../verifier/node/sha512.ts';
import { ARTIFACT_BYTES_MAX } from '../client/replica.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { packWithNpm } from '../npm/npm.ts';
import { gitFiles } from './pack/git.ts';
import { describeNotes, repack, type PackNotes } from './pack/repack.ts';

/** A tarball that obeys the rules. */
export interface Artifact {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** 64 bytes. */
  readonly sha512: Uint8Array;
  readonly checked: ArchiveListing;
  /** Where its files come from; only for one that was packed here. */
  readonly notes?: PackNotes;
}

/**
 * Reads and checks a tarball.
 *
 * @throws {CliError} BP9004; {VerifyError} `ARCHIVE_UNSAFE` and what else the rules refuse
 */
export async function readArtifact(path: string): Promise<Artifact> {
  let bytes: Uint8Array;
  try {
    const facts = await lstat(path);
    if (facts.size > ARTIFACT_BYTES_MAX)
      throw new CliError('BP1002', `${path}: larger than 256 MiB`);
    bytes = new Uint8Array(await readFile(path));
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('BP9004', `${path}: ${systemReason(error, 'cannot be read')}`);
  }
  return { path, bytes, sha512: sha512(bytes), checked: await checkTarball(bytes, gunzip) };
}

/**
 * The artifact of a target: a tarball as it is, or a folder, packed so that the same files give the same
 * bytes on every machine: npm says which files, `pack/repack.ts` makes the tarball.
 *
 * @param workspace private folder for what is packed
 */
export async function prepareArtifact(
  target: string,
  workspace: string,
  invocation: Invocation,
): Promise<Artifact> {
  let isFolder: boolean;
  try {
    isFolder = (await lstat(target)).isDirectory();
  } catch (error) {
    throw new CliError('BP9003', `${target}: ${systemReason(error, 'cannot be read')}`);
  }
  if (!isFolder) return await readArtifact(target);
  // One for each, because two packages of a monorepo could have tarballs of one name.
  const folder = await mkdtemp(join(workspace, 'pack-'));
  invocation.progress(`packing ${target} with npm`);
  const path = await packWithNpm(target, folder, invocation.context);
  const { bytes } = await readArtifact(path);
  const { tarball, notes } = await repack(bytes, await gitFiles(target, invocation.context));
  await writeFile(path, tarball);
  return { ...(await readArtifact(path)), notes };
}

/** Runs `work` with a private temporary folder that is removed afterwards. */
export async function withWorkspace<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'bftpkg-pack-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What a signer should know about a tarball, as lines for people. */
export function describeArtifact({ path, checked, notes }: Artifact): readonly string[] {
  return [
    `  tarball   ${path}`,
    `  files     ${checked.files.length}`,
    ...checked.findings.map((finding) => `  note      ${describeFinding(finding)}`),
    ...(notes === undefined ? [] : describeNotes(notes)),
  ];
}

function describeFinding(finding: Finding): string {
  switch (finding.kind) {
    case 'install-script':
      return `runs on install: ${finding.name}: ${finding.detail}`;
    case 'native-build':
      return `native build: ${finding.path}`;
    case 'bundled-package':
      return `bundled package: ${finding.name}`;
    case 'npm-settings':
      return `npm settings inside: ${finding.path}`;
    case 'shrinkwrap':
      return `its own lockfile inside: ${finding.path}`;
  }
}
