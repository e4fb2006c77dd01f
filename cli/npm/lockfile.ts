// The lockfiles that npm itself can install from. Reading them is the work of lockfiles/; here is only
// the narrower question that installing asks.
import { join } from 'node:path';

import { CliError } from '../errors.ts';
import { otherDeclaredManager } from '../lockfiles/declared-manager.ts';
import { isThere, loadLockfile as loadAny } from '../lockfiles/load.ts';
import type { LockFormat, Lockfile } from '../lockfiles/lockfile.ts';

const NPM_FILES = ['npm-shrinkwrap.json', 'package-lock.json'] as const;
const OTHER_FILES: ReadonlyMap<string, string> = new Map([
  ['pnpm-lock.yaml', 'pnpm'],
  ['yarn.lock', 'yarn'],
  ['bun.lock', 'bun'],
]);
const PROGRAMS: Readonly<Record<LockFormat, string>> = {
  npm: 'npm',
  pnpm: 'pnpm',
  'yarn-classic': 'yarn',
  'yarn-berry': 'yarn',
  bun: 'bun',
};
// What fails rather than change the lockfile, as `ci` does.
const FROZEN: ReadonlyMap<string, string> = new Map([
  ['pnpm', 'pnpm install --frozen-lockfile'],
  ['yarn', 'yarn install --frozen-lockfile'],
  ['bun', 'bun install --frozen-lockfile'],
]);

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
  throw notNpms(`${lockfile.path}: ${lockfile.label} is not npm’s`, PROGRAMS[lockfile.format]);
}

/**
 * Requires that npm is what the project is installed with: a second lockfile beside that of another manager would be
 * one more than anybody reads, and `verify` could not tell which.
 *
 * @throws {CliError} BP9005 naming the other one
 */
export async function requireNpm(project: string): Promise<void> {
  const declared = await otherDeclaredManager(project);
  if (declared !== undefined) {
    throw notNpms(`${join(project, 'package.json')}: is for ${declared}, not for npm`, declared);
  }
  if ((await present(project, NPM_FILES)).length > 0) return;
  const [other] = await present(project, [...OTHER_FILES.keys()]);
  if (other === undefined) return;
  throw notNpms(`${join(project, other)}: not npm’s`, OTHER_FILES.get(other) ?? '');
}

async function present(project: string, names: readonly string[]): Promise<readonly string[]> {
  const there = await Promise.all(names.map((name) => isThere(join(project, name))));
  return names.filter((_, i) => there[i]);
}

function notNpms(message: string, program: string): CliError {
  return new CliError('BP9005', message, {
    hints: [
      `bftpkg install --with ${program}`,
      `on build servers: bftpkg proxy -- ${FROZEN.get(program) ?? `${program} install`}`,
    ],
  });
}
