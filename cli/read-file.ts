// Files that may be there or not, read whole and bounded: a repository can hold a file of any size.
import { open } from 'node:fs/promises';

import { CliError, systemCode } from './errors.ts';
import { systemReason } from './system-reasons.ts';

/** As much as the largest lockfile that is read. Settings and manifests are far smaller. */
const TEXT_BYTES_MAX: number = 64 * 1024 * 1024;

/**
 * The bytes of a file; `undefined` when there is none.
 *
 * @param bytesMax the longest that it may be
 * @throws {CliError} BP9004 for a file that can't be read, or is longer
 */
export async function readIfThere(path: string, bytesMax: number): Promise<Buffer | undefined> {
  try {
    const file = await open(path, 'r');
    try {
      if ((await file.stat()).size > bytesMax) throw new CliError('BP9004', `${path}: too large`);
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined;
    throw new CliError('BP9004', `${path}: ${systemReason(error, 'cannot be read')}`, {
      cause: error,
    });
  }
}

/** The text of a file; `undefined` when there is none. @throws {CliError} as {@link readIfThere} */
export async function readTextIfThere(
  path: string,
  bytesMax: number = TEXT_BYTES_MAX,
): Promise<string | undefined> {
  return (await readIfThere(path, bytesMax))?.toString('utf8');
}

/** The text of a file that has to be there. @throws {CliError} BP9004 */
export async function readText(path: string): Promise<string> {
  const text = await readTextIfThere(path);
  if (text === undefined) throw new CliError('BP9004', `${path}: there is none`);
  return text;
}
