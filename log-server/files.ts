// Small files that are read whole: keys, rosters, configurations.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

import { ConfigError } from './config.ts';

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
