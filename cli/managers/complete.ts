// Whether a manager has put into the private folder what it was to put there. One that went to work somewhere
// else, or left something out, ends well all the same: an empty node_modules would replace the project's, and be
// called verified.
import { readFile, realpath } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';

import { CliError, systemCode } from '../errors.ts';
import { asTable, type Table } from '../lockfiles/classify.ts';
import { isNeededHere, type Lockfile } from '../lockfiles/lockfile.ts';
import { parsePackageJson } from '../npm/npm.ts';

// The user's own folders, which are not in the private one.
const LOCAL_RANGE = /^(?:link|file|portal|workspace):/;

/**
 * Looks for what the user's own packages need directly, in node_modules of each and of the folders above it, and
 * whether it is what the lockfile has.
 *
 * @param manager  its name, for messages
 * @param folder   the private folder, after the manager has ended
 * @param projects folders of the user's own packages in it, relative; `''` is the root
 * @throws {CliError} BP7004 for what is missing, or is something else
 */
export async function requireInstalled(
  manager: string,
  folder: string,
  projects: readonly string[],
  lockfile: Lockfile,
): Promise<void> {
  const versions = neededVersions(lockfile);
  const root = await realpath(folder);
  for (const place of projects) {
    const own = await readManifest(join(root, place));
    const optional = asTable(own?.['optionalDependencies']) ?? {};
    // Managers install both, for every one of the user's own packages.
    const needed = { ...asTable(own?.['devDependencies']), ...asTable(own?.['dependencies']) };
    for (const [name, range] of Object.entries(needed)) {
      const wish = typeof range === 'string' ? range : '';
      const [, asked = name] = /^npm:(@?[^@]+)/.exec(wish) ?? [];
      // An override can replace or remove it: what counts is what the lockfile has.
      const isNeeded = versions.has(asked) && !Object.hasOwn(optional, name);
      if (!isNeeded || LOCAL_RANGE.test(wish)) continue;
      const missing = ['missing', join(place, 'node_modules', name)] as const;
      const path = await findInstalled(root, place, name);
      if (path === undefined) throw left(manager, name, missing);
      if (isOwn(root, path)) continue;
      const found = await readManifest(path);
      const [real, version] = [found?.['name'], found?.['version']].map((value) =>
        typeof value === 'string' ? value : '',
      );
      if (versions.get(real ?? '')?.has(version ?? '') === true) continue;
      throw left(manager, name, ['found instead', `${real ?? ''} ${version ?? ''}`]);
    }
  }
}

function neededVersions({ entries }: Lockfile): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  for (const entry of entries) {
    if (entry.kind !== 'registry' && entry.kind !== 'unbound') continue;
    const isNeeded =
      entry.kind === 'unbound' || isNeededHere(entry, process.platform, process.arch);
    if (!isNeeded) continue;
    const known = found.get(entry.name) ?? new Set();
    found.set(entry.name, known.add(entry.version));
  }
  return found;
}

/** Where a package is that is asked for in a folder, links followed; nothing above `root` counts. */
async function findInstalled(
  root: string,
  place: string,
  name: string,
): Promise<string | undefined> {
  for (let at = place; ; at = dirname(at)) {
    try {
      const path = await realpath(join(root, at, 'node_modules', name));
      await realpath(join(path, 'package.json'));
      return path;
    } catch (error) {
      if (systemCode(error) !== 'ENOENT' && systemCode(error) !== 'ENOTDIR') throw error;
    }
    if (at === '' || at === '.') return undefined;
  }
}

// A link to one of the user's own packages that has the name of one in the lockfile.
function isOwn(root: string, path: string): boolean {
  const parts = relative(root, path).split(sep);
  return !parts.includes('node_modules') && parts[0] !== '..';
}

async function readManifest(folder: string): Promise<Table | undefined> {
  const text = await readFile(join(folder, 'package.json'), 'utf8');
  return asTable(parsePackageJson(text).value);
}

function left(manager: string, name: string, detail: readonly [string, string]): CliError {
  return new CliError('BP7004', `${manager} did not install ${name}, without saying why`, {
    details: [detail],
    hints: ['nothing was changed; please report it'],
  });
}
