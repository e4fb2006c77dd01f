// Small files that must survive a crash whole: keys, rosters, configurations.
import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

import { ConfigError } from './config.ts';

/**
 * Creates a file that must not exist yet, durably.
 *
 * @throws {Error} `EEXIST` when it does: keys and data are never overwritten
 */
export async function createFile(
  path: string,
  content: string | Uint8Array,
  mode: number,
): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await syncFolder(dirname(path));
}

/**
 * Replaces a file so that a crash at any moment leaves the old or the new content, never a mixture:
 * temporary file, fsync, rename, fsync of the folder (without the last one the rename may be lost).
 */
export async function replaceFile(path: string, content: string, mode: number): Promise<void> {
  const temporary = `${path}.new`;
  // Left behind by a crash between creation and rename; its content was never in force.
  await rm(temporary, { force: true });
  await createFile(temporary, content, mode);
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

/** Makes a folder's list of names durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Reads a small text file.
 *
 * @param lengthMax bytes; a longer file is a wrong file
 * @throws {ConfigError} not there, not readable, not a plain file, too long
 */
export async function readSmallFile(path: string, lengthMax: number): Promise<string> {
  let file;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
    throw new ConfigError(path, [`can't be opened: ${why}`]);
  }
  try {
    const { size } = await file.stat();
    if (size > lengthMax) throw new ConfigError(path, [`longer than ${lengthMax} bytes`]);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
