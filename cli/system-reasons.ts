// What the system says when it refuses something, in words: `ENOSPC` means something to programmers.
import { CliError, systemCode } from './errors.ts';

const REASONS: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'no permission'],
  ['EADDRINUSE', 'another program has this port'],
  ['ECONNREFUSED', 'nobody listens there'],
  ['EDQUOT', 'your share of the disk is full'],
  ['EEXIST', 'it exists already'],
  ['EIO', 'the disk does not work'],
  ['EISDIR', 'it is a folder'],
  ['ELOOP', 'it is a link, or links lead in a circle'],
  ['EMFILE', 'too many open files'],
  ['ENAMETOOLONG', 'its name is too long'],
  ['ENFILE', 'too many open files on this machine'],
  ['ENOENT', 'no such file or folder'],
  ['ENOSPC', 'no space is left on the disk'],
  ['ENOTDIR', 'a part of its path is no folder'],
  ['ENOTEMPTY', 'it is not empty'],
  ['EPERM', 'the system does not allow it'],
  ['EROFS', 'the file system can only be read'],
]);

/**
 * Why the system, or a parser, refused something: for a message that has named what it is about.
 *
 * @param otherwise what to say of an error that is not the system's; its own message, if left out
 */
export function systemReason(thrown: unknown, otherwise?: string): string {
  const code = systemCode(thrown);
  const words = code === undefined ? undefined : REASONS.get(code);
  if (words !== undefined) return `${words} (${code})`;
  if (isSystemError(thrown) && code !== undefined) return code;
  return otherwise ?? (thrown instanceof Error ? thrown.message : String(thrown));
}

// Errors of ours have codes as well, and messages that say more than those.
function isSystemError(thrown: unknown): boolean {
  return thrown instanceof Error && 'syscall' in thrown;
}

// What somebody at this machine can put right. Anything else that a command did not expect, a missing
// file included, is a mistake of ours.
const TROUBLES: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'give yourself the right to it, or name another place'],
  ['EDQUOT', 'make room, and run it again'],
  ['EIO', 'look after the disk'],
  ['EMFILE', 'allow more open files (ulimit -n), and run it again'],
  ['ENFILE', 'end other programs, and run it again'],
  ['ENOSPC', 'make room, and run it again'],
  ['EPERM', 'give yourself the right to it, or name another place'],
  ['EROFS', 'name another place'],
]);

/** Files are written under such a name first; people know the one before it. */
const TEMPORARY = /\.[0-9a-f]{12}\.tmp$/;

/**
 * A trouble of the machine that nobody here expected (a full disk, a folder that may not be written):
 * what it is and what to do. `undefined` for everything else.
 */
export function machineTrouble(
  thrown: unknown,
): { readonly message: string; readonly hint: string } | undefined {
  // By name: the module that knows the class loads the ledger, which most commands don't need. A missing folder is
  // one that somebody has named.
  const isTemporary = thrown instanceof Error && thrown.name === 'TemporaryFileError';
  const hint = isTemporary
    ? 'make room for the temporary file, or name another folder with TMPDIR'
    : isSystemError(thrown)
      ? TROUBLES.get(systemCode(thrown) ?? '')
      : undefined;
  if (hint === undefined) return undefined;
  // A write to a file that is open does not say which one it was.
  const path =
    thrown instanceof Error && 'path' in thrown && typeof thrown.path === 'string'
      ? thrown.path.replace(TEMPORARY, '')
      : undefined;
  const message = systemReason(thrown);
  return { message: path === undefined ? message : `${path}: ${message}`, hint };
}

/** A program that this machine does not have, or may not run. BP9004. */
export function cannotStart(program: string, error: Error): CliError {
  const isMissing = systemCode(error) === 'ENOENT';
  const reason = isMissing ? 'no such program on PATH (ENOENT)' : systemReason(error);
  return new CliError('BP9004', `${program} cannot be started: ${reason}`, {
    hints: isMissing ? [`install ${program}, or put its folder on PATH`] : [],
    cause: error,
  });
}
