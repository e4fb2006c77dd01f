// Putting a verified package into a folder without any package manager. The archive is not parsed again:
// the checker that decided whether it is safe also says where each file's bytes are, so there is no second
// reader that could see another archive in them.
import { chmod, mkdir, mkdtemp, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { ArchiveListing } from '../../verifier/archive/tarball.ts';
import { asTable } from '../lockfiles/classify.ts';
import { CliError, systemCode } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { removeStaleFolders } from './swap.ts';

const FILE_MODE = 0o644;
const PROGRAM_MODE = 0o755;

/**
 * Refuses a place that is taken: nothing of anybody's is replaced or mixed with what comes.
 *
 * @throws {CliError} BP9004 for anything but an empty folder or nothing at all
 */
export async function requireFreePlace(target: string): Promise<void> {
  let found: readonly string[];
  try {
    found = await readdir(target);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw new CliError('BP9004', `${target}: ${systemReason(error, 'cannot be read')}`);
  }
  if (found.length === 0) return;
  throw new CliError('BP9004', `${target}: is not empty`, {
    hints: ['remove it first, or name another folder'],
  });
}

/**
 * Unpacks a checked tarball. The folder appears whole, by one rename, or not at all.
 *
 * @param listing of a tarball whose digest and archive were checked against a verified release
 * @param target  absolute; nothing, or an empty folder
 * @throws {CliError} BP9004
 */
export async function unpackInto(listing: ArchiveListing, target: string): Promise<void> {
  await requireFreePlace(target);
  const parent = dirname(target);
  let made: string | undefined;
  try {
    await mkdir(parent, { recursive: true });
    await removeStaleFolders(parent);
    // Beside the target: a rename works within one file system only.
    made = await mkdtemp(join(parent, '.bftpkg-'));
    await writeFiles(listing, made);
    // mkdtemp's folders are for one user alone.
    await chmod(made, PROGRAM_MODE);
    await rmdir(target).catch(() => undefined);
    await rename(made, target);
  } catch (error) {
    if (made !== undefined) await rm(made, { recursive: true, force: true, maxRetries: 3 });
    throw new CliError('BP9004', `${target}: ${systemReason(error)}`, {
      cause: error,
    });
  }
}

async function writeFiles(
  { files, archive, manifest }: ArchiveListing,
  folder: string,
): Promise<void> {
  // npm makes the files executable that a package names as its programs, whatever the archive says.
  const programs = new Set(Object.values(asTable(manifest['bin'] ?? null) ?? {}));
  const made = new Set<string>();
  for (const { path, offset, size, executable } of files) {
    const place = join(folder, path);
    const parent = dirname(place);
    if (!made.has(parent)) {
      await mkdir(parent, { recursive: true });
      made.add(parent);
    }
    const mode = executable || programs.has(path) ? PROGRAM_MODE : FILE_MODE;
    // `wx`: two paths that are one file on this file system end here, whatever the checker thought.
    await writeFile(place, archive.subarray(offset, offset + size), { mode, flag: 'wx' });
  }
}
