// Installing without trusting what is about to be installed. A private folder inside of the project
// (same file system, so that moving is renaming) gets package.json, a lockfile *made from the verified
// values*, and a private npm cache with the verified bytes and nothing else. npm then runs offline in
// it. Only when that has succeeded is anything of the project touched, by renames. A failure at any
// point before leaves the project exactly as it was.
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { JsonValue } from '../../verifier/json.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import type { Context } from '../context.ts';
import { CliError, systemCode } from '../errors.ts';
import { contentPath } from './artifact-store.ts';
import { exists, type Lockfile } from './lockfile.ts';
import { npmFailed, parsePackageJson, runNpm, type Npm } from './npm.ts';

/**
 * The registry of the lockfile that npm sees. Nothing listens there and npm is offline: it only has to
 * be the same host everywhere, so that `--allow-remote=none` can refuse any other.
 */
const REGISTRY = 'https://verified.invalid/';

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
   * those before are undone.
   *
   * @param files names and contents to replace in the project, besides node_modules
   */
  async commit(project: string, files: ReadonlyMap<string, string>): Promise<void> {
    const moves: Move[] = [];
    const modules = join(this.folder, 'node_modules');
    if (!(await exists(modules))) await mkdir(modules);
    moves.push({ from: modules, to: join(project, 'node_modules'), aside: this.#aside(0) });
    for (const [name, content] of files) {
      const from = join(this.folder, `new-${moves.length}`);
      await writeFile(from, content);
      moves.push({ from, to: join(project, name), aside: this.#aside(moves.length) });
    }
    const done: Move[] = [];
    try {
      for (const move of moves) {
        done.push(move);
        if (await exists(move.to)) await rename(move.to, move.aside);
        await rename(move.from, move.to);
      }
    } catch (error) {
      for (const move of done.reverse()) await undo(move);
      throw new CliError('BP9004', `${project}: ${systemCode(error) ?? String(error)}`, {
        cause: error,
      });
    }
  }

  #aside(at: number): string {
    return join(this.folder, `old-${at}`);
  }

  /** Removes the private folder with everything in it. */
  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

interface Move {
  readonly from: string;
  readonly to: string;
  readonly aside: string;
}

async function undo({ from, to, aside }: Move): Promise<void> {
  if (!(await exists(from)) && (await exists(to))) await rename(to, from);
  if (await exists(aside)) await rename(aside, to);
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
    const { integrity: _integrity, resolved: _resolved, ...rest } = packages[entry.key] as Table;
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
