// `--isolate`: npm and install scripts in a network namespace of their own, in which there is nothing, not
// even loopback. What was verified is on disk already, so npm needs no network; a script that would fetch
// what nobody has signed finds none. Sockets in the file system (a container engine's, for example) stay
// reachable, which is why it is said that only the network is cut off.
import type { Context } from '../context.ts';
import { CliError } from '../errors.ts';
import { runChild } from './child.ts';
import { inPrivateFolder } from './private-folder.ts';

// Unprivileged first: the user stays who they are. Older versions of unshare know only the mapping to
// root; the last is for root where user namespaces are switched off.
const WAYS: readonly (readonly string[])[] = [
  ['unshare', '--user', '--map-current-user', '--net', '--'],
  ['unshare', '--user', '--map-root-user', '--net', '--'],
  ['unshare', '--net', '--'],
];

/**
 * How to start a program without a network.
 *
 * @returns program and arguments to put in front
 * @throws {CliError} BP9004 where the system does not allow it: never without isolation after all
 */
export async function isolation(
  context: Context,
  platform: NodeJS.Platform = process.platform,
): Promise<readonly string[]> {
  if (platform !== 'linux') throw impossible(`there are no network namespaces on ${platform}`);
  let reason = '';
  for (const way of WAYS) {
    try {
      const { code, stderr } = await inPrivateFolder(async (cwd) => {
        return await runChild('true', [], { cwd, context, env: {}, through: way });
      });
      if (code === 0) return way;
      reason = stderr.trim().split('\n')[0] ?? '';
    } catch (error) {
      if (!(error instanceof CliError) || error.diagnostic.code !== 'BP9004') throw error;
      reason = error.message;
    }
  }
  throw impossible(reason);
}

function impossible(reason: string): CliError {
  return new CliError('BP9004', `--isolate is not possible here: ${reason}`, {
    hints: ['leave it out, or run bftpkg in a container without a network after bftpkg ci'],
  });
}
