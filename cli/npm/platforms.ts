// Where packages may be installed. The attacks of the zoo are tried on Linux; what Windows does with links, names,
// permissions and the scripts that package managers are there, nobody has tried, and a tool that claims to
// keep code out must not be the first to find out.
import { CliError } from '../errors.ts';

/**
 * Refuses to install, or to run a package manager, on a system on which that was never tried.
 *
 * @throws {CliError} BP9004
 */
export function requireTriedPlatform(
  what: string,
  platform: NodeJS.Platform = process.platform,
): void {
  if (platform !== 'win32') return;
  throw new CliError('BP9004', `${what} is not supported on Windows`, {
    hints: ['run it in WSL; bftpkg verify needs no package manager'],
  });
}
