// package-lock.json and npm-shrinkwrap.json, versions 2 and 3. The file decides what gets installed and
// anybody with a pull request can change it, so every entry is classified and none is skipped
// silently. Only a registry package with exactly one SHA-512 can be bound to a logged release; what
// npm itself would accept besides (no hash, SHA-1, several hashes, git, URLs) is refused with its
// reason. `resolved` is never trusted: the log binds name, version and digest.
import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { quote, VerifyError } from '../../verifier/errors.ts';
import { parseForeignJson, type ForeignJson } from '../../verifier/foreign-json.ts';
import type { JsonValue } from '../../verifier/json.ts';
import { parseSri } from '../../verifier/npm/integrity.ts';
import { isPackageName } from '../../verifier/npm/name.ts';
import { isVersion } from '../../verifier/npm/version.ts';
import { CliError, systemCode } from '../errors.ts';

/** Ten times the lockfile of a very large monorepo. */
const LOCKFILE_BYTES_MAX = 64 * 1024 * 1024;

/** A lockfile, classified. */
export interface Lockfile {
  readonly path: string;
  /** Name for messages. */
  readonly file: string;
  /** 2 or 3. */
  readonly version: number;
  /** The exact text that was classified: what is installed later is made from it. */
  readonly text: string;
  /** All of `packages` but the root, in the file's order. */
  readonly entries: readonly LockEntry[];
}

/** One entry of `packages`. */
export type LockEntry = LockPlace &
  (
    | RegistryEntry
    /** Inside the tarball of the entry that `owner` names. */
    | { readonly kind: 'bundled'; readonly owner: string }
    /** The user's own sources: a workspace, or a link to one. */
    | { readonly kind: 'local' }
    | RefusedEntry
  );

/** An entry that can't be bound to a logged release. */
export interface RefusedEntry {
  readonly kind: 'refused';
  readonly reason: string;
  /** Whether the reason is its name or version: the log takes none such, so it can't have it. */
  readonly isUnloggable: boolean;
}

/** Where an entry stands and what it is called, for reports. */
export interface LockPlace {
  /** Key in `packages`, such as `node_modules/a/node_modules/@s/b`. */
  readonly key: string;
  /** Real name, also under an alias. */
  readonly name: string;
  readonly version: string | null;
  /** From 1. */
  readonly line: number | null;
}

/** A package that can be bound to a logged release. */
export interface RegistryEntry {
  readonly kind: 'registry';
  readonly version: string;
  /** 64 bytes. */
  readonly sha512: Uint8Array;
  /** Left out by npm on other platforms. */
  readonly optional: boolean;
  readonly os: readonly string[];
  readonly cpu: readonly string[];
}

const LOCKFILE_NAMES = ['npm-shrinkwrap.json', 'package-lock.json'] as const;
const OTHER_LOCKFILES = ['pnpm-lock.yaml', 'yarn.lock', 'bun.lock', 'bun.lockb'] as const;

/**
 * Finds and reads the project's lockfile; npm-shrinkwrap.json wins, as in npm.
 *
 * @throws {CliError} BP9004 when there is none, BP9005 for one that can't be checked
 */
export async function loadLockfile(project: string, named?: string): Promise<Lockfile> {
  const path = named ?? (await findLockfile(project));
  let bytes: Buffer;
  try {
    const facts = await lstat(path);
    if (facts.size > LOCKFILE_BYTES_MAX) throw new CliError('BP9005', `${path}: too large`);
    bytes = await readFile(path);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('BP9004', `${path}: ${systemCode(error) ?? 'cannot be read'}`);
  }
  return parseLockfile(bytes, path);
}

async function findLockfile(project: string): Promise<string> {
  for (const name of LOCKFILE_NAMES) {
    if (await exists(join(project, name))) return join(project, name);
  }
  for (const name of OTHER_LOCKFILES) {
    if (await exists(join(project, name))) {
      throw new CliError('BP9005', `${join(project, name)}: this version reads npm lockfiles only`);
    }
  }
  throw new CliError('BP9004', `no package-lock.json in ${project}`, {
    hints: ['name releases or a tarball: bftpkg verify name@version'],
  });
}

/** Whether there is something at a path. */
export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false;
    throw error;
  }
}

/**
 * Classifies the content of a lockfile.
 *
 * @param path for messages
 * @throws {CliError} BP9005 for a version or shape that can't be checked
 */
export function parseLockfile(source: Uint8Array, path: string): Lockfile {
  let document: ForeignJson;
  try {
    document = parseForeignJson(source, { lengthMax: LOCKFILE_BYTES_MAX });
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw new CliError('BP9005', `${path}: ${error.message}`, { cause: error });
  }
  const root = asTable(document.value);
  const version = root?.['lockfileVersion'];
  if (root === undefined || (version !== 2 && version !== 3)) {
    throw new CliError('BP9005', `${path}: lockfileVersion is not 2 or 3`, {
      hints: ['npm install --package-lock-only --lockfile-version 3'],
    });
  }
  const packages = asTable(root['packages']);
  if (packages === undefined) throw new CliError('BP9005', `${path}: it has no packages`);
  const entries: LockEntry[] = [];
  for (const key of Object.keys(packages)) {
    if (key === '') continue;
    entries.push(classify(key, packages, document));
  }
  const text = Buffer.from(source).toString('utf8');
  return { path, file: path.split(/[\\/]/).at(-1) ?? path, version, text, entries };
}

type Table = { readonly [key: string]: JsonValue };

function asTable(value: JsonValue | undefined): Table | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined;
  return value as Table;
}

const MODULES = 'node_modules/';

/** Name of the folder that an entry is installed into: the last `node_modules/…` of its key. */
function folderName(key: string): string | undefined {
  const at = key.lastIndexOf(MODULES);
  if (at < 0 || (at > 0 && key[at - 1] !== '/')) return undefined;
  return key.slice(at + MODULES.length);
}

// A path that stays in the project and means the same to every reader.
function isPlainPath(path: string): boolean {
  // oxlint-disable-next-line no-control-regex -- exactly what must not be in a path
  if (path === '' || path.startsWith('/') || /[\\:\u0000-\u001f]/u.test(path)) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

function classify(key: string, packages: Table, document: ForeignJson): LockEntry {
  const entry = asTable(packages[key]);
  const folder = folderName(key);
  const stated = entry?.['name'];
  const version = entry?.['version'];
  const place: LockPlace = {
    key,
    // Under an alias the folder has another name; the entry then says the real one.
    name: typeof stated === 'string' ? stated : (folder ?? key),
    version: typeof version === 'string' ? version : null,
    line: document.lineOf(['packages', key]) ?? null,
  };
  const refused = (reason: string): LockEntry => refuse(place, reason);

  if (entry === undefined) return refused('the entry is not an object');
  if (!isPlainPath(key)) return refused('its path leaves the project');
  if (entry['link'] === true) return classifyLink(place, entry, packages);
  if (folder === undefined) {
    // The folder of a workspace. Its dependencies have entries of their own.
    return isLinked(key, packages) ? { ...place, kind: 'local' } : refused('nothing links to it');
  }
  if (entry['link'] !== undefined && entry['link'] !== false) return refused('link is not true');
  if (entry['inBundle'] === true) return classifyBundled(place, entry, packages);
  return classifyRegistry(place, entry);
}

function refuse(place: LockPlace, reason: string, isUnloggable: boolean = false): LockEntry {
  return { ...place, kind: 'refused', reason, isUnloggable };
}

function isLinked(target: string, packages: Table): boolean {
  return Object.values(packages).some((value) => {
    const entry = asTable(value);
    return entry?.['link'] === true && entry['resolved'] === target;
  });
}

function classifyLink(place: LockPlace, entry: Table, packages: Table): LockEntry {
  const target = entry['resolved'];
  if (typeof target !== 'string' || !isPlainPath(target) || folderName(target) !== undefined) {
    return refuse(place, 'it links to a folder outside of the project');
  }
  if (!Object.hasOwn(packages, target)) {
    return refuse(place, 'it links to a folder that has no entry');
  }
  return { ...place, kind: 'local' };
}

function classifyBundled(place: LockPlace, entry: Table, packages: Table): LockEntry {
  // The owner is the nearest package around it that is not bundled itself.
  let at = place.key.lastIndexOf(`/${MODULES}`);
  while (at > 0) {
    const owner = place.key.slice(0, at);
    const candidate = asTable(packages[owner]);
    if (candidate !== undefined && candidate['inBundle'] !== true) {
      // Bundled in the user's own root or workspace, it would come from nowhere.
      if (folderName(owner) === undefined || candidate['link'] === true) break;
      return { ...place, kind: 'bundled', owner };
    }
    at = owner.lastIndexOf(`/${MODULES}`);
  }
  // npm marks what the project itself bundles as well; that is fetched like anything else.
  return classifyRegistry(place, entry);
}

function classifyRegistry(place: LockPlace, entry: Table): LockEntry {
  const refused = (reason: string): LockEntry => refuse(place, reason);
  const { resolved, integrity } = entry;
  const source = sourceOf(resolved);
  if (source !== 'registry') return refused(source);
  if (!isPackageName(place.name)) {
    // Among them old packages with names that npm gives to nobody any more, like `buffer`.
    return refuse(place, `${quote(place.name)} is no name that npm gives to new packages`, true);
  }
  if (place.version === null || !isVersion(place.version)) {
    return refuse(place, 'its version is not a plain semantic version', true);
  }
  if (integrity === undefined) return refused('it has no integrity value');
  if (typeof integrity !== 'string') return refused('its integrity value is not a string');
  let sha512: Uint8Array;
  try {
    sha512 = parseSri(integrity);
  } catch {
    return refused(describeIntegrity(integrity));
  }
  return {
    ...place,
    kind: 'registry',
    version: place.version,
    sha512,
    optional: entry['optional'] === true || entry['devOptional'] === true,
    os: asStrings(entry['os']),
    cpu: asStrings(entry['cpu']),
  };
}

function sourceOf(resolved: JsonValue | undefined): string {
  if (resolved === undefined) return 'registry';
  if (typeof resolved !== 'string') return 'resolved is not a string';
  if (/^(?:git[+:@]|github:|gitlab:|bitbucket:|gist:|ssh:)/i.test(resolved)) {
    return 'it comes from git, which no digest covers';
  }
  if (/^file:/i.test(resolved)) return 'it comes from a local file';
  if (!/^https?:\/\//i.test(resolved)) return `its source ${quote(resolved)} is unknown`;
  // `/-/` and `/download/` are the two forms in which registries name tarballs.
  const path = resolved.replace(/[?#].*$/s, '');
  if (/\/-\/[^/]+\.tgz$/.test(path) || /\/download\//.test(path)) return 'registry';
  return 'it comes from a URL that is not a registry’s';
}

function describeIntegrity(integrity: string): string {
  const parts = integrity.trim().split(/\s+/);
  if (parts.length > 1) return 'it has several integrity values, of which npm accepts any one';
  if (integrity.startsWith('sha1-')) return 'its only integrity value is SHA-1, which is broken';
  if (!integrity.startsWith('sha512-')) return 'its integrity value is not SHA-512';
  return 'its integrity value is malformed';
}

function asStrings(value: JsonValue | undefined): readonly string[] {
  if (!Array.isArray(value)) return [];
  return (value as readonly JsonValue[]).filter((item) => typeof item === 'string');
}

/** Whether npm installs an entry on this platform. Required ones always count as needed. */
export function isNeededHere(entry: RegistryEntry, platform: string, arch: string): boolean {
  return !entry.optional || (admits(entry.os, platform) && admits(entry.cpu, arch));
}

function admits(list: readonly string[], value: string): boolean {
  if (list.includes(`!${value}`)) return false;
  const wanted = list.filter((item) => !item.startsWith('!'));
  return wanted.length === 0 || wanted.includes(value) || wanted.includes('any');
}
