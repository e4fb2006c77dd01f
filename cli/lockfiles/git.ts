// The lockfile as it was at a commit. Only plumbing commands of git are run, which obey neither filters
// nor hooks nor text converters: the repository's settings are whoever wrote it.
import { execFile } from 'node:child_process';
import { basename, dirname } from 'node:path';

import type { Context } from '../context.ts';
import { usageError } from '../errors.ts';
import { parseLockfile } from './parse.ts';
import { LOCKFILE_BYTES_MAX, type Lockfile } from './lockfile.ts';

const TIMEOUT_MS = 20_000;

/**
 * Reads the lockfile at a commit.
 *
 * @returns `undefined` when there was none
 * @throws {CliError} BP9003 for what is no commit; BP9005 for a lockfile that can't be checked
 */
export async function readLockfileAt(
  lockfile: Lockfile,
  since: string,
  context: Context,
): Promise<Lockfile | undefined> {
  const folder = dirname(lockfile.path);
  const commit = await git(
    ['rev-parse', '--verify', '--quiet', '--end-of-options', `${since}^{commit}`],
    folder,
    context,
  );
  const hash = commit?.toString('utf8').trim();
  if (hash === undefined || !/^[0-9a-f]{40,64}$/.test(hash)) {
    throw usageError(`--since ${since}: no such commit in the repository of ${folder}`);
  }
  const content = await git(
    ['cat-file', 'blob', `${hash}:./${basename(lockfile.path)}`],
    folder,
    context,
  );
  return content === undefined ? undefined : parseLockfile(content, lockfile.path);
}

/** What a git command writes; `undefined` when it fails. */
async function git(
  args: readonly string[],
  cwd: string,
  context: Context,
): Promise<Buffer | undefined> {
  const options = {
    cwd,
    env: { PATH: context.env['PATH'], HOME: context.env['HOME'], GIT_TERMINAL_PROMPT: '0' },
    encoding: 'buffer' as const,
    maxBuffer: LOCKFILE_BYTES_MAX,
    timeout: TIMEOUT_MS,
    signal: context.signal,
  };
  return await new Promise((resolve) => {
    // `core.fsmonitor` is a program that git would run.
    execFile('git', ['-c', 'core.fsmonitor=false', ...args], options, (error, stdout) =>
      resolve(error === null ? stdout : undefined),
    );
  });
}
