// Where bftpkg keeps things for a user (XDG Base Directory Specification).
import { homedir, userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

// The specification says that relative paths in these variables are invalid and to be ignored.
function folder(env: Environment, variable: string, fallback: readonly string[]): string {
  const set = env[variable];
  const base = set !== undefined && isAbsolute(set) ? set : join(homeOf(env), ...fallback);
  return join(base, 'bftpkg');
}

// A relative one would be a folder of the checkout, whose configuration would then count as the user's own.
function homeOf(env: Environment): string {
  const home = env['HOME'] || homedir();
  return isAbsolute(home) ? home : userInfo().homedir;
}

/** Keys and user configuration. */
export function configFolder(env: Environment): string {
  return folder(env, 'XDG_CONFIG_HOME', ['.config']);
}

/** Trust state: losing it means that going back can't be noticed once. */
export function stateFolder(env: Environment): string {
  return folder(env, 'XDG_STATE_HOME', ['.local', 'state']);
}

/** Verified artifacts: can be removed at any time. */
export function cacheFolder(env: Environment): string {
  return folder(env, 'XDG_CACHE_HOME', ['.cache']);
}
