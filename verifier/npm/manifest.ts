// The manifest: what a resolver and an installer act on, taken from package.json and normalised the
// way npm does it before it acts. Maintainers sign the manifest with the release, replicas and
// clients compute it again from the tarball and compare. So what a registry says about a package
// ("manifest confusion") has no effect, and forms that npm reads alike have one manifest.
//
// Where npm quietly drops or guesses (a range that isn't text, a program without a target), the
// package is refused instead: other package managers guess differently.
import { VerifyError, quote } from '../errors.ts';
import { canonicalJson } from '../json.ts';
import type { JsonObject, JsonValue } from '../json.ts';
import { linkedPrograms, relativePath } from './programs.ts';
import { isAbsent, malformed, readStrings, readTable } from './package-json.ts';

/**
 * Scripts that installing runs: npm's three for every dependency, and those that it and others run
 * for a package that comes as a folder or from git. All other scripts run only by name.
 */
const INSTALL_SCRIPTS: readonly string[] = ['preinstall', 'install', 'postinstall'];
const LIFECYCLE_SCRIPTS: readonly string[] = [
  ...INSTALL_SCRIPTS,
  'prepublish',
  'preprepare',
  'prepare',
  'postprepare',
];
const GYP_SCRIPT = 'node-gyp rebuild';

/** A git address with a commit in it is the longest thing that is put there on purpose. */
const RANGE_LENGTH_MAX = 4096;
/** A script of this length is a program in the wrong place; a statement could not hold two. */
const SCRIPT_LENGTH_MAX = 16_384;
const ENGINE_LENGTH_MAX = 1024;
const PLATFORM_LENGTH_MAX = 64;

/**
 * Names of dependencies: what npm accepts for *old* packages, since those are depended on too. The
 * name becomes a folder, so nothing in it may lead elsewhere.
 */
const DEPENDENCY_PATTERN =
  /^(?:@[A-Za-z0-9._~!'()*-]{1,214}\/)?[A-Za-z0-9_~!'()*-][A-Za-z0-9._~!'()*-]{0,213}$/;

/**
 * Computes the manifest of a package.
 *
 * Fields (all optional, absent when empty): `acceptDependencies`, `bin`, `bundleDependencies`
 * (sorted), `cpu`, `dependencies`, `directories.bin`, `engines`, `hasInstallScript`,
 * `hasShrinkwrap`, `libc`, `optionalDependencies`, `os`, `peerDependencies`,
 * `peerDependenciesMeta`, `scripts`. All else in package.json is ignored.
 *
 * @param packageJson   the parsed file (foreign-json.ts)
 * @param hasBindingGyp whether the package's root has a `binding.gyp`, for which npm runs
 *                      `node-gyp rebuild` though no script says so
 * @param hasShrinkwrap whether it has an `npm-shrinkwrap.json`, which npm obeys
 * @returns an object that has canonical JSON
 * @throws {VerifyError} `MANIFEST_MALFORMED`
 */
export function manifestOf(
  packageJson: JsonValue,
  hasBindingGyp = false,
  hasShrinkwrap = false,
): JsonObject {
  const source = readTable(packageJson, 'the document');
  const optionalDependencies = dependencies(source, 'optionalDependencies');
  // npm takes a name that stands in both tables for optional.
  const required = Object.entries(dependencies(source, 'dependencies')).filter(
    ([name]) => !Object.hasOwn(optionalDependencies, name),
  );
  const scripts = lifecycleScripts(source, hasBindingGyp);
  const bin = linkedPrograms(source);
  const hasInstallScript = INSTALL_SCRIPTS.some((name) => Object.hasOwn(scripts, name));

  const manifest: Record<string, JsonValue> = {};
  const add = (field: string, value: JsonObject | readonly string[]): void => {
    if (Object.keys(value).length > 0) manifest[field] = value;
  };
  add('acceptDependencies', dependencies(source, 'acceptDependencies'));
  add('bin', bin);
  add('bundleDependencies', bundled(source));
  add('cpu', platforms(source, 'cpu'));
  add('dependencies', Object.fromEntries(required));
  add('directories', Object.keys(bin).length === 0 ? programFolder(source) : {});
  add('engines', engines(source));
  add('libc', platforms(source, 'libc'));
  add('optionalDependencies', optionalDependencies);
  add('os', platforms(source, 'os'));
  add('peerDependencies', dependencies(source, 'peerDependencies'));
  add('peerDependenciesMeta', optionalPeers(source));
  add('scripts', scripts);
  if (hasInstallScript) manifest['hasInstallScript'] = true;
  if (hasShrinkwrap) manifest['hasShrinkwrap'] = true;
  return manifest;
}

/**
 * Checks a manifest that came in a statement: it must be one that `manifestOf` could have computed.
 * Then whoever serves or reads it need not check its fields again.
 *
 * @throws {VerifyError} `MANIFEST_MALFORMED`
 */
export function checkManifest(value: JsonValue): JsonObject {
  const source = readTable(value, 'the manifest');
  const manifest = manifestOf(value, false, source['hasShrinkwrap'] === true);
  const difference = describeManifestDifference(source, manifest);
  if (difference !== undefined) {
    throw new VerifyError(
      'MANIFEST_MALFORMED',
      `manifest: ${quote(difference)} is not in normal form`,
    );
  }
  return manifest;
}

/** Whether two manifests say the same. */
export function manifestsEqual(a: JsonObject, b: JsonObject): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

/**
 * The first place, in alphabetical order, where two manifests differ, like `dependencies.left-pad`;
 * `undefined` when they are equal. The names in it are a stranger's: quote it.
 */
export function describeManifestDifference(a: JsonObject, b: JsonObject): string | undefined {
  for (const field of keysOf(a, b)) {
    const left = Object.hasOwn(a, field) ? a[field] : undefined;
    const right = Object.hasOwn(b, field) ? b[field] : undefined;
    if (left !== undefined && right !== undefined) {
      if (canonicalJson(left) === canonicalJson(right)) continue;
      if (isTable(left) && isTable(right)) {
        return `${field}.${describeManifestDifference(left, right) ?? ''}`;
      }
    }
    return field;
  }
  return undefined;
}

function keysOf(a: JsonObject, b: JsonObject): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
}

function isTable(value: JsonValue): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function dependencies(source: JsonObject, field: string): JsonObject {
  const value = source[field];
  if (isAbsent(value)) return {};
  const table = readTable(value, field);
  for (const [name, range] of Object.entries(table)) {
    checkDependencyName(name, field);
    if (typeof range !== 'string' || range.length > RANGE_LENGTH_MAX) {
      throw malformed(`the range of ${quote(name)} in ${field} is not a short text`);
    }
  }
  return { ...table };
}

function checkDependencyName(name: string, field: string): void {
  if (!DEPENDENCY_PATTERN.test(name) || name.toLowerCase() === 'node_modules') {
    throw malformed(`${field} names ${quote(name)}, which is no package name`);
  }
}

/** Only `optional: true` has an effect. */
function optionalPeers(source: JsonObject): JsonObject {
  const value = source['peerDependenciesMeta'];
  if (isAbsent(value)) return {};
  const peers: [string, JsonValue][] = [];
  for (const [name, meta] of Object.entries(readTable(value, 'peerDependenciesMeta'))) {
    checkDependencyName(name, 'peerDependenciesMeta');
    const optional = readTable(meta, `peerDependenciesMeta of ${quote(name)}`)['optional'];
    if (optional !== undefined && typeof optional !== 'boolean') {
      throw malformed(`optional of ${quote(name)} in peerDependenciesMeta is not true or false`);
    }
    if (optional === true) peers.push([name, { optional }]);
  }
  return Object.fromEntries(peers);
}

/** `bundleDependencies`, or `bundledDependencies` where it is missing; `true` means all. */
function bundled(source: JsonObject): readonly string[] {
  const value = source['bundleDependencies'] ?? source['bundledDependencies'];
  if (isAbsent(value)) return [];
  const names =
    value === true
      ? Object.keys(dependencies(source, 'dependencies'))
      : isTable(value)
        ? Object.keys(value)
        : readStrings(value, 'bundleDependencies', RANGE_LENGTH_MAX);
  for (const name of names) checkDependencyName(name, 'bundleDependencies');
  return [...new Set(names)].sort();
}

function platforms(source: JsonObject, field: string): readonly string[] {
  const value = source[field];
  if (isAbsent(value)) return [];
  // npm and others read a single text as a list of one.
  return readStrings(typeof value === 'string' ? [value] : value, field, PLATFORM_LENGTH_MAX);
}

function engines(source: JsonObject): JsonObject {
  const value = source['engines'];
  // Lists were the form before npm 1.1; npm looks up `node` in them, finds nothing, and goes on.
  if (isAbsent(value) || Array.isArray(value) || typeof value === 'string') return {};
  const table = readTable(value, 'engines');
  for (const [name, range] of Object.entries(table)) {
    if (typeof range !== 'string' || range.length > ENGINE_LENGTH_MAX) {
      throw malformed(`the range of ${quote(name)} in engines is not a short text`);
    }
  }
  return { ...table };
}

function lifecycleScripts(source: JsonObject, hasBindingGyp: boolean): JsonObject {
  const value = source['scripts'];
  const table = isAbsent(value) ? {} : readTable(value, 'scripts');
  const scripts: Record<string, string> = {};
  for (const name of LIFECYCLE_SCRIPTS) {
    const script = table[name];
    if (isAbsent(script)) continue;
    if (typeof script !== 'string' || script.length > SCRIPT_LENGTH_MAX) {
      throw malformed(`the script ${name} is not a text of at most ${SCRIPT_LENGTH_MAX}`);
    }
    scripts[name] = script;
  }
  const isBuilt =
    hasBindingGyp &&
    source['gypfile'] !== false &&
    scripts['install'] === undefined &&
    scripts['preinstall'] === undefined;
  return isBuilt ? { ...scripts, install: GYP_SCRIPT } : scripts;
}

/** A folder whose files are all linked as programs, where `bin` says nothing. */
function programFolder(source: JsonObject): JsonObject {
  const directories = source['directories'];
  // Other kinds of value are common in old packages and mean nothing to npm.
  if (directories === undefined || !isTable(directories)) return {};
  const folder = directories['bin'];
  if (isAbsent(folder)) return {};
  return { bin: relativePath(folder, 'directories.bin') };
}
