// Installing without trusting what is about to be installed. A private folder inside of the project
// (same file system, so that moving is renaming) gets package.json, a lockfile *made from the verified
// values*, and a private npm cache with the verified bytes and nothing else. npm then runs offline in
// it. Only when that has succeeded is anything of the project touched, by renames. A failure at any
// point before leaves the project exactly as it was.
import {
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { JsonValue } from '../../verifier/json.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import type { Context } from '../context.ts';
import { CliError, systemCode } from '../errors.ts';
import { replaceFile } from '../trust/atomic-file.ts';
import { contentPath } from './artifact-store.ts';
import { exists, type Lockfile } from './lockfile.ts';
import { npmFailed, parsePackageJson, runNpm, type Npm } from './npm.ts';

/**
 * The registry of the lockfile that npm sees. Nothing listens there and npm is offline: it only has to
 * be the same host everywhere, so that `--allow-remote=none` can refuse any other.
 */
const REGISTRY = 'https://verified.invalid/';
const MODULES = 'node_modules';
// No run lasts that long, so a folder of that age belongs to none.
const STALE_AFTER_MS = 24 * 3600 * 1000;

/** A prepared installation. */
export class Staging {
  readonly folder: string;
  readonly #cache: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.#cache = join(folder, '.cache');
  }

  /** Makes the private folder. */
  static async create(project: string): Promise<Staging> {
    try {
      await removeStale(project);
      return new Staging(await mkdtemp(join(project, '.bftpkg-')));
    } catch (error) {
      throw new CliError('BP9004', `${project}: ${systemCode(error) ?? 'cannot be written'}`);
    }
  }

  /** Adds verified bytes under their verified digest: all that npm will be able to find. */
  async addContent(sha512: Uint8Array, bytes: Uint8Array): Promise<void> {
    const path = join(this.#cache, '_cacache', 'content-v2', 'sha512', contentPath(sha512));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes, { mode: 0o600 });
  }

  /**
   * Runs `npm ci` offline on what was verified.
   *
   * @throws {CliError} BP7004 with npm's own errors
   */
  async install(
    packageJson: string,
    lockfile: Lockfile,
    npm: Npm,
    options: { readonly context: Context; readonly flags: readonly string[] },
  ): Promise<void> {
    await mkdir(this.#cache, { recursive: true });
    await writeFile(join(this.folder, 'package.json'), withoutScripts(packageJson));
    await writeFile(join(this.folder, 'package-lock.json'), verifiedLock(lockfile));
    const result = await runNpm({
      cwd: this.folder,
      context: options.context,
      cache: this.#cache,
      args: ['ci', '--offline', `--registry=${REGISTRY}`, ...npm.containment, ...options.flags],
      scripts: false,
    });
    if (result.code !== 0) throw npmFailed('npm ci', result);
    // npm's memory of where it installed from. It would carry our made-up registry into the project's
    // lockfile with the next plain `npm install`; without it npm looks at the tree itself.
    await rm(join(this.folder, 'node_modules', '.package-lock.json'), { force: true });
  }

  /**
   * Moves the result into the project: the only step that changes it. Renames only; when one fails,
   * those before are undone. A crash in between leaves every file whole, old or new, and at worst no
   * node_modules, which the next run makes again.
   *
   * @param files names and contents to replace in the project, besides node_modules
   */
  async commit(project: string, files: ReadonlyMap<string, string>): Promise<void> {
    const undo: (() => Promise<void>)[] = [];
    try {
      undo.push(await this.#swapModules(project));
      for (const [name, content] of files)
        undo.push(await replaceKept(join(project, name), content));
    } catch (error) {
      for (const step of undo.reverse()) await step();
      throw new CliError('BP9004', `${project}: ${systemCode(error) ?? String(error)}`, {
        cause: error,
      });
    }
  }

  // A folder can't be renamed over another one, so the old one goes aside first.
  async #swapModules(project: string): Promise<() => Promise<void>> {
    const made = join(this.folder, MODULES);
    const place = join(project, MODULES);
    const aside = join(this.folder, 'old');
    if (!(await exists(made))) await mkdir(made);
    const hadOne = await exists(place);
    if (hadOne) await rename(place, aside);
    try {
      await rename(made, place);
    } catch (error) {
      if (hadOne) await rename(aside, place);
      throw error;
    }
    return async () => {
      await rename(place, made);
      if (hadOne) await rename(aside, place);
    };
  }

  /** Removes the private folder with everything in it. */
  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Replaces a file whole, keeping its permissions. @returns how to undo it */
async function replaceKept(path: string, content: string): Promise<() => Promise<void>> {
  if (!(await exists(path))) {
    await replaceFile(path, content, 0o644);
    return async () => await rm(path);
  }
  const [before, { mode }] = await Promise.all([readFile(path), stat(path)]);
  await replaceFile(path, content, mode & 0o777);
  return async () => await replaceFile(path, before, mode & 0o777);
}

/** Removes what runs that were killed have left. By now they hold nothing that anybody needs. */
async function removeStale(project: string): Promise<void> {
  for (const name of await readdir(project)) {
    if (!/^\.bftpkg-[A-Za-z0-9]{6}$/.test(name)) continue;
    const path = join(project, name);
    const { mtimeMs } = await lstat(path);
    if (Date.now() - mtimeMs > STALE_AFTER_MS) await rm(path, { recursive: true, force: true });
  }
}

type Table = { [key: string]: JsonValue };

// npm runs the root's own scripts on `ci` unless told otherwise; it is told, and they are gone too.
function withoutScripts(packageJson: string): string {
  const { scripts: _scripts, ...rest } = parsePackageJson(packageJson).value as Table;
  return JSON.stringify(rest);
}

/**
 * The lockfile that npm gets: the verified entries with exactly one digest and the one source that
 * exists, whatever the project's lockfile says. npm reads a project's own lockfile never again after
 * it was verified, so changing it meanwhile changes nothing.
 */
export function verifiedLock(lockfile: Lockfile): string {
  const root = parsePackageJson(lockfile.text).value as Table;
  const packages = root['packages'] as Table;
  const verified: Table = {};
  const { '': project } = packages;
  if (project !== undefined) verified[''] = project;
  for (const entry of lockfile.entries) {
    // Of a lockfile inside of a tarball npm hears nothing: all that is installed is listed here.
    const {
      integrity: _integrity,
      resolved: _resolved,
      hasShrinkwrap: _hasShrinkwrap,
      ...rest
    } = packages[entry.key] as Table;
    if (entry.kind === 'bundled') verified[entry.key] = rest;
    if (entry.kind !== 'registry') continue;
    const base = entry.name.split('/').at(-1) ?? entry.name;
    verified[entry.key] = {
      ...rest,
      resolved: `${REGISTRY}${entry.name}/-/${base}-${entry.version}.tgz`,
      integrity: formatSri(entry.sha512),
    };
  }
  return JSON.stringify({
    name: root['name'] ?? 'project',
    version: root['version'] ?? '0.0.0',
    lockfileVersion: 3,
    requires: true,
    packages: verified,
  });
}
