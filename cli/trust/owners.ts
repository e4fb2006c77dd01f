// Files above a project are looked for up to the top of its repository. Without a repository that is the top of the
// file system, and on the way are folders in which everybody can write: a bftpkg.json in /tmp would choose the log for
// whatever somebody else unpacks below it.
import { stat } from 'node:fs/promises';

import { configError } from '../errors.ts';

/** Of the system itself. */
const ROOT_UID = 0;

/**
 * Whether a file is of somebody who has no say in a project.
 *
 * @param file    who owns the file
 * @param project who owns the project's folder; in a container it is often not who runs us
 * @param own     who runs us
 */
export function isForeign(file: number, project: number, own: number): boolean {
  return file !== own && file !== ROOT_UID && file !== project;
}

/**
 * Refuses a file above a project that another user has put there.
 *
 * @param flag that names such a file outright
 * @throws {CliError} BP9004
 */
export async function requireOwnAbove(path: string, project: string, flag: string): Promise<void> {
  const own = process.getuid?.();
  // Windows has no such numbers, and no folder above one's own in which others can write.
  if (own === undefined) return;
  const [file, folder] = await Promise.all([stat(path), stat(project)]);
  if (!isForeign(file.uid, folder.uid, own)) return;
  throw configError(
    `${path}: belongs to another user, and lies above the project in ${project}`,
    `if it is meant: ${flag} ${path}`,
  );
}
