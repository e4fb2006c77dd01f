// Reading files that hold secrets: only those that nobody else can have read or exchanged.
import { constants, type Stats } from 'node:fs';
import { lstat, open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

import { CliError, systemCode } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';

/** Group and others must not have read it. */
const READABLE_BY_OTHERS = 0o077;
/** Group and others must not be able to replace files in the folder. */
const WRITABLE_BY_OTHERS = 0o022;
/** A sticky folder like /tmp lets only the owner replace a file. */
const STICKY = 0o1000;
/** Neither through a link that somebody else can turn, nor waiting for the other end of a pipe. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** A file has more bytes than anything of its kind. */
export class TooLargeError extends CliError {
  constructor(path: string, bytesMax: number) {
    super('BP8001', `${path}: larger than ${bytesMax} bytes`);
  }
}

/**
 * Reads a file with a secret, after checking that it is a plain file of this user (or of root) that
 * others can neither read nor replace.
 *
 * @throws {CliError} BP8001 with the chmod to type; the message holds nothing of the content
 */
export async function readPrivateFile(path: string, bytesMax: number): Promise<Buffer> {
  try {
    if (!(await lstat(path)).isFile()) throw new CliError('BP8001', `${path}: not a plain file`);
    const folder = await lstat(dirname(path));
    if (!folder.isDirectory()) {
      throw new CliError('BP8001', `${dirname(path)}: a link to a folder, not a folder`);
    }
    const forbidden = (folder.mode & STICKY) !== 0 ? 0 : WRITABLE_BY_OTHERS;
    requireOwn(dirname(path), folder, forbidden, 'others can replace files in it', 'chmod 700');
    const file = await open(path, OPEN_FLAGS);
    try {
      // The open file is looked at, not the path: it can't be exchanged in between.
      const facts = await file.stat();
      if (!facts.isFile()) throw new CliError('BP8001', `${path}: not a plain file`);
      requireOwn(path, facts, READABLE_BY_OTHERS, 'others can read it', 'chmod 600');
      return await readBounded(file, path, bytesMax);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('BP8001', `${path}: ${systemReason(error, 'cannot be read')}`, {
      hints: systemCode(error) === 'ENOENT' ? ['bftpkg key list shows the names of your keys'] : [],
    });
  }
}

/**
 * Reads a secret that another program provides: a plain file, checked as above but for links (secrets
 * are mounted as links in containers), or a pipe (`<(pass show npm)`).
 *
 * @throws {CliError} BP8001
 */
export async function readSecretSource(path: string, bytesMax: number): Promise<Buffer> {
  try {
    const file = await open(path, 'r');
    try {
      const facts = await file.stat();
      if (facts.isFile()) {
        requireOwn(path, facts, READABLE_BY_OTHERS, 'others can read it', 'chmod 600');
      } else if (!facts.isFIFO() && !facts.isCharacterDevice()) {
        throw new CliError('BP8001', `${path}: neither a file nor a pipe`);
      }
      return await readBounded(file, path, bytesMax);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('BP8001', `${path}: ${systemReason(error, 'cannot be read')}`);
  }
}

// By what comes, not by the size that the file claims: pipes and /proc claim none.
async function readBounded(file: FileHandle, path: string, bytesMax: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytesMax + 1);
  let length = 0;
  while (length <= bytesMax) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
  }
  buffer.fill(0);
  throw new TooLargeError(path, bytesMax);
}

function requireOwn(
  path: string,
  facts: Pick<Stats, 'uid' | 'mode'>,
  forbidden: number,
  problem: string,
  fix: string,
): void {
  // On Windows there are no such bits; access lists protect the profile folder there.
  const user = process.getuid?.();
  if (user === undefined) return;
  if (facts.uid !== user && facts.uid !== 0) {
    throw new CliError('BP8001', `${path}: belongs to another user`);
  }
  if ((facts.mode & forbidden) !== 0) {
    throw new CliError('BP8001', `${path}: ${problem}`, { hints: [`${fix} ${path}`] });
  }
}
