// git as a child process in a folder that strangers may have made. What a repository's own configuration names is
// run by git: a file watcher, and for an object that a partial clone lacks whatever `remote.<name>.uploadpack`
// says (`cat-file` did, tried). Only plumbing commands are run here, which obey neither filters nor hooks nor text
// converters.
import { dirname, join } from 'node:path';

import type { Context } from './context.ts';
import { usageError } from './errors.ts';
import { isThere, REPOSITORY_MARK } from './lockfiles/load.ts';

/** In front of every command: nothing of the repository's choice is started. */
export const CAUTIOUS_FLAGS: readonly string[] = [
  '-c',
  'core.fsmonitor=false',
  '-c',
  // Since 2.38; earlier ones have {@link requireNoHiddenRepository} alone.
  'safe.bareRepository=explicit',
];

/** Variables for every command, besides PATH. Objects that are not there are not fetched. */
export function cautiousEnvironment({ env }: Pick<Context, 'env'>): Record<string, string> {
  const { HOME } = env;
  return {
    ...(HOME === undefined ? {} : { HOME }),
    GIT_TERMINAL_PROMPT: '0',
    GIT_OPTIONAL_LOCKS: '0',
    // Since 2.44, and in the security releases before it.
    GIT_NO_LAZY_FETCH: '1',
    // A list of what is allowed, which counts against every configuration: there is no such protocol.
    GIT_ALLOW_PROTOCOL: 'none',
  };
}

/**
 * Refuses folders of a checkout that look like repositories themselves. Any clone can bring along a folder with HEAD,
 * objects and config; git takes that for the repository when it is started there: its configuration would be obeyed,
 * and its commits shown for those of the project.
 *
 * @param folder absolute
 * @throws {CliError} BP9003
 */
export async function requireNoHiddenRepository(folder: string): Promise<void> {
  // As many steps as a path can have parts: ends at the root of the file system at the latest.
  for (let at = folder; ; at = dirname(at)) {
    if (await isThere(join(at, REPOSITORY_MARK))) return;
    if ((await isThere(join(at, 'HEAD'))) && (await isThere(join(at, 'objects')))) {
      throw usageError(
        `${at}: a git repository without a ${REPOSITORY_MARK} folder, where one of a checkout is wanted`,
        'look at who put it there, and remove it',
      );
    }
    if (dirname(at) === at) return;
  }
}
