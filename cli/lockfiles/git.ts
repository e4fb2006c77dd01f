// The lockfile as it was at a commit.
import { execFile } from 'node:child_process';
import { basename, dirname } from 'node:path';

import type { Context } from '../context.ts';
import { usageError } from '../errors.ts';
import { CAUTIOUS_FLAGS, cautiousEnvironment, requireNoHiddenRepository } from '../git.ts';
import { parseLockfile } from './parse.ts';
import { LOCKFILE_BYTES_MAX, type Lockfile } from './lockfile.ts';

const TIMEOUT_MS = 20_000;

/**
 * Reads the lockfile at a commit.
 *
 * @returns `undefined` when there was none, or a partial clone has left it out
 * @throws {CliError} BP9003 for what is no commit, or no repository to believe; BP9005 for a lockfile that can't be
 *   checked
 */
export async function readLockfileAt(
  lockfile: Lockfile,
  since: string,
  context: Context,
): Promise<Lockfile | undefined> {
  const folder = dirname(lockfile.path);
  await requireNoHiddenRepository(folder);
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
    env: { PATH: context.env['PATH'], ...cautiousEnvironment(context) },
    encoding: 'buffer' as const,
    maxBuffer: LOCKFILE_BYTES_MAX,
    timeout: TIMEOUT_MS,
    signal: context.signal,
  };
  return await new Promise((resolve) => {
    execFile('git', [...CAUTIOUS_FLAGS, ...args], options, (error, stdout) =>
      resolve(error === null ? stdout : undefined),
    );
  });
}
