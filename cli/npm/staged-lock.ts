// The lockfile that npm gets to see. Of the project's own lockfile it has the places only: where which
// name and version goes. All that npm acts upon besides (digests, dependencies, programs, engines,
// platforms, scripts) is what the maintainers signed, or for bundled packages what lies in the signed
// tarball: a pull request that edits `bin`, `os` or `hasInstallScript` in a lockfile changes nothing.
import type { VerifiedRelease } from '../../verifier/evidence/subject.ts';
import { assert } from '../../verifier/errors.ts';
import type { JsonObject, JsonValue } from '../../verifier/json.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { asTexts } from '../lockfiles/classify.ts';
import { lookUp } from '../lockfiles/look-up.ts';
import type { LockEntry, Lockfile } from './lockfile.ts';
import { parsePackageJson } from './npm.ts';

/**
 * The registry of the lockfile that npm sees. Nothing listens there and npm is offline: it only has to
 * be the same host everywhere, so that `--allow-remote=none` can refuse any other.
 */
export const STAGED_REGISTRY = 'https://verified.invalid/';

/** What a lockfile has of a manifest, beside the name and the version. */
const SIGNED_FIELDS = [
  'acceptDependencies',
  'bin',
  'bundleDependencies',
  'cpu',
  'dependencies',
  'engines',
  'hasInstallScript',
  'libc',
  'optionalDependencies',
  'os',
  'peerDependencies',
  'peerDependenciesMeta',
] as const;

/** What may be installed, with what is to be acted upon. */
export type InstallableRelease = Pick<VerifiedRelease, 'name' | 'version' | 'sha512' | 'manifest'>;

/** What was proven about the entries of a lockfile. */
export interface ProvenEntries {
  /** By key: what the log proved, and what a policy allows without it, as its tarball has it. */
  readonly releases: ReadonlyMap<string, InstallableRelease>;
  /** By key: the package.json of a bundled package, as it lies in its owner's verified tarball. */
  readonly bundled: ReadonlyMap<string, JsonObject>;
}

type Table = { [key: string]: JsonValue };

/**
 * Makes the lockfile for npm.
 *
 * Entries for which nothing was proven are left out: what npm misses then ends in its own refusal,
 * since it is offline.
 */
export function stagedLock(lockfile: Lockfile, proven: ProvenEntries): string {
  const root = parsePackageJson(lockfile.text).value as Table;
  const packages = root['packages'] as Table;
  const staged: Table = {};
  // The user's own words: npm compares them with package.json.
  const { '': project } = packages;
  if (project !== undefined) staged[''] = project;
  for (const entry of lockfile.entries) {
    const made = stagedEntry(entry, packages[entry.key] as Table, proven);
    if (made !== undefined) staged[entry.key] = withoutMissing(entry.key, made, packages);
  }
  return JSON.stringify({
    name: root['name'] ?? 'project',
    version: root['version'] ?? '0.0.0',
    lockfileVersion: 3,
    requires: true,
    packages: staged,
  });
}

function stagedEntry(
  entry: LockEntry,
  before: Table,
  { releases, bundled }: ProvenEntries,
): Table | undefined {
  switch (entry.kind) {
    // Refused are those whose names no log takes; a policy may allow one.
    case 'refused':
    case 'registry': {
      const release = releases.get(entry.key);
      return release === undefined ? undefined : registryEntry(entry, release);
    }
    case 'bundled': {
      const found = bundled.get(entry.key);
      if (found === undefined) return undefined;
      return { version: found['version'] ?? '', inBundle: true, ...pick(found) };
    }
    case 'local':
      // A workspace: the user's own sources, of which only the place counts (staging.ts).
      return before;
    case 'unbound':
      return undefined;
  }
}

// Optional packages that the lockfile leaves out: npm would look for them again, and complain that it may
// not. The lockfile does without them, for example because no version of them could be verified.
function withoutMissing(key: string, entry: Table, packages: Table): Table {
  const optional = asTexts(entry['optionalDependencies']);
  if (optional.length === 0) return entry;
  const has = (place: string): boolean => Object.hasOwn(packages, place);
  const present = optional.filter(([name]) => lookUp(key, name, has) !== undefined);
  return { ...entry, optionalDependencies: Object.fromEntries(present) };
}

function registryEntry(entry: LockEntry, release: InstallableRelease): Table {
  assert(entry.name === release.name, 'an entry is bound to the release of its own name');
  const { name, version, sha512, manifest } = release;
  const base = name.split('/').at(-1) ?? name;
  // Under an alias the folder's name is another one; npm needs the real one said.
  const isAlias = !entry.key.endsWith(`node_modules/${name}`);
  return {
    ...(isAlias ? { name } : {}),
    version,
    resolved: `${STAGED_REGISTRY}${name}/-/${base}-${version}.tgz`,
    integrity: formatSri(sha512),
    ...pick(manifest),
  };
}

function pick(manifest: JsonObject): Table {
  const picked: Table = {};
  for (const field of SIGNED_FIELDS) {
    const value = Object.hasOwn(manifest, field) ? manifest[field] : undefined;
    if (value !== undefined) picked[field] = value;
  }
  return picked;
}
