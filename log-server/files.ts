// Small files that are read whole: keys, rosters, configurations.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

import { ConfigError } from './config.ts';

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such file'],
  ['ENOTDIR', 'what should be its folder is none'],
  ['EACCES', 'it is not yours to read'],
  // Nobody else may choose by a link what is read here.
  ['ELOOP', 'it is a link'],
]);

/**
 * Reads a small text file.
 *
 * @param lengthMax bytes; a longer file is a wrong file
 * @param ifMissing what to do when it is not there
 * @throws {ConfigError} not there, not readable, not a plain file, too long
 */
export async function readSmallFile(
  path: string,
  lengthMax: number,
  ifMissing: string = '',
): Promise<string> {
  let file;
  try {
    // Without waiting: a pipe has nobody at its other end.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    file = await open(path, flags);
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
    const rest = why === 'ENOENT' && ifMissing !== '' ? `: ${ifMissing}` : '';
    throw new ConfigError(path, [`can't be opened: ${REASONS.get(why) ?? why}${rest}`]);
  }
  try {
    const info = await file.stat();
    if (!info.isFile()) {
      const what = info.isDirectory() ? 'is a folder' : 'is no plain file';
      throw new ConfigError(path, [`${what}: name the file`]);
    }
    if (info.size > lengthMax) throw new ConfigError(path, [`longer than ${lengthMax} bytes`]);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
