// Files that may be there or not, read whole and bounded: a repository can hold a file of any size.
import { constants, type Stats } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';

import { CliError, systemCode } from './errors.ts';
import { systemReason } from './system-reasons.ts';

/** As much as the largest lockfile that is read. Settings and manifests are far smaller. */
const TEXT_BYTES_MAX: number = 64 * 1024 * 1024;
/** Read at a time of what goes on behind its stated end. */
const PIECE_BYTES = 64 * 1024;

/**
 * The bytes of a file; `undefined` when there is none. Devices and pipes are refused unopened: a repository can
 * link to one that never ends (`/dev/zero`, which states a size of 0), or that waits for somebody to write.
 *
 * @param bytesMax the longest that it may be
 * @throws {CliError} BP9004 for a file that can't be read, is longer, or is none
 */
export async function readIfThere(path: string, bytesMax: number): Promise<Buffer | undefined> {
  try {
    requireFile(await stat(path), path);
    // What took its place since must not hold us either.
    const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      const facts = await file.stat();
      requireFile(facts, path);
      if (facts.size > bytesMax) throw tooLarge(path);
      return await readBounded(file, facts.size, bytesMax, path);
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

// A folder is left to reading, which says so.
function requireFile(facts: Stats, path: string): void {
  if (facts.isFile() || facts.isDirectory()) return;
  throw new CliError('BP9004', `${path}: not a file`);
}

// Some files have more than they state (those of /proc state nothing), and others grow meanwhile.
async function readBounded(
  file: FileHandle,
  stated: number,
  bytesMax: number,
  path: string,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for (let room = stated + 1; ; room = PIECE_BYTES) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(room), 0, room, null);
    if (bytesRead === 0) return Buffer.concat(pieces, length);
    length += bytesRead;
    if (length > bytesMax) throw tooLarge(path);
    pieces.push(buffer.subarray(0, bytesRead));
  }
}

function tooLarge(path: string): CliError {
  return new CliError('BP9004', `${path}: too large`);
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
