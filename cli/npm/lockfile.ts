// The lockfiles that npm itself can install from. Reading them is the work of lockfiles/; here is only
// the narrower question that installing asks.
import { CliError } from '../errors.ts';
import { isThere, loadLockfile as loadAny } from '../lockfiles/load.ts';
import type { Lockfile } from '../lockfiles/lockfile.ts';

export { isThere as exists };
export {
  isNeededHere,
  type LockEntry,
  type Lockfile,
  type RegistryEntry,
} from '../lockfiles/lockfile.ts';
export { parseNpmLock as parseLockfile } from '../lockfiles/npm-lock.ts';

/**
 * Finds and reads the project's npm lockfile.
 *
 * @throws {CliError} BP9004 when there is none, BP9005 for one that can't be checked or installed from
 */
export async function loadLockfile(project: string): Promise<Lockfile> {
  const lockfile = await loadAny(project);
  if (lockfile.format === 'npm') return lockfile;
  throw new CliError(
    'BP9005',
    `${lockfile.path}: ${lockfile.label} can be verified, not installed`,
    {
      hints: [
        'bftpkg verify, then install with your package manager, then bftpkg verify --installed',
      ],
    },
  );
}
