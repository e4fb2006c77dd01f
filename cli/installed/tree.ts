// What lies in node_modules: every package folder, link and program, at any depth, in the layouts of npm,
// Yarn, bun (nested folders), pnpm and bun (real folders in a store, links above). Names on disk are
// strangers' text.
import { lstat, readdir, readlink, realpath } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';

import { CliError, systemCode } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';

/** The folders of a large monorepo, ten times. */
const FOLDERS_MAX = 500_000;
/** node_modules in node_modules: deeper than any file system admits in practice. */
const NESTING_MAX = 64;

/** Something in a node_modules folder. Paths are relative to the project, with slashes. */
export type InstalledThing =
  | { readonly kind: 'package'; readonly path: string; readonly folder: string }
  /** `target` is where it really leads, relative to the project; `undefined` when that is nowhere. */
  | {
      readonly kind: 'link';
      readonly path: string;
      readonly folder: string;
      readonly target: string | undefined;
    }
  | {
      readonly kind: 'program';
      readonly path: string;
      readonly name: string;
      /** As for links; `null` for a file, as pnpm and Windows have them (`shim.ts`). */
      readonly target: string | undefined | null;
    }
  /** A file or folder that belongs to no package. */
  | { readonly kind: 'stray'; readonly path: string; readonly isKnown: boolean };

// What package managers and tools keep there. Not packages: nothing loads them by name.
const OWN_FILES: ReadonlySet<string> = new Set([
  '.package-lock.json',
  '.modules.yaml',
  '.pnpm-workspace-state.json',
  '.pnpm-workspace-state-v1.json',
  '.yarn-integrity',
  '.yarn-state.yml',
  '.bun-tag',
  '.package-map.json',
  '.cache',
  '.vite',
  '.vite-temp',
  '.vitest',
]);

/** Where pnpm and bun keep the real folders, when they link to them. */
const STORES: ReadonlySet<string> = new Set(['.pnpm', '.bun']);

/**
 * Lists what is installed in a project.
 *
 * @param project real path
 * @param folders folders of the project that may have a node_modules: `''` and its workspaces
 * @throws {CliError} BP9004 for what can't be read, or is too much
 */
export async function scanInstalled(
  project: string,
  folders: readonly string[],
): Promise<readonly InstalledThing[]> {
  const scan = new Scan(project);
  for (const folder of folders)
    await scan.modules(folder === '' ? 'node_modules' : `${folder}/node_modules`, 0);
  return scan.found;
}

class Scan {
  readonly found: InstalledThing[] = [];
  readonly #project: string;
  #folders = 0;

  constructor(project: string) {
    this.#project = project;
  }

  /** A node_modules folder. */
  async modules(path: string, nesting: number): Promise<void> {
    if (nesting > NESTING_MAX) throw new CliError('BP9004', `${path}: nested too deeply`);
    for (const name of await this.#list(path)) {
      const inner = `${path}/${name}`;
      if (name === '.bin') await this.#programs(inner);
      else if (STORES.has(name)) await this.#store(inner, nesting);
      else if (name.startsWith('.')) {
        this.found.push({ kind: 'stray', path: inner, isKnown: OWN_FILES.has(name) });
      } else if (name.startsWith('@') && (await this.#isFolder(inner))) {
        for (const scoped of await this.#list(inner)) {
          await this.#package(`${inner}/${scoped}`, `${name}/${scoped}`, nesting);
        }
      } else await this.#package(inner, name, nesting);
    }
  }

  async #package(path: string, folder: string, nesting: number): Promise<void> {
    const facts = await lstat(this.#absolute(path));
    if (facts.isSymbolicLink()) {
      this.found.push({ kind: 'link', path, folder, target: await this.#target(path) });
    } else if (facts.isDirectory()) {
      this.found.push({ kind: 'package', path, folder });
      await this.modules(`${path}/node_modules`, nesting + 1);
    } else this.found.push({ kind: 'stray', path, isKnown: false });
  }

  // A store: `<name>@<version>…/node_modules/<name>`, and links to all of them in one place.
  async #store(path: string, nesting: number): Promise<void> {
    for (const name of await this.#list(path)) {
      const inner = `${path}/${name}`;
      if (name === 'lock.yaml') this.found.push({ kind: 'stray', path: inner, isKnown: true });
      else if (name === 'node_modules') await this.modules(inner, nesting + 1);
      else if (await this.#isFolder(inner))
        await this.modules(`${inner}/node_modules`, nesting + 1);
      else this.found.push({ kind: 'stray', path: inner, isKnown: false });
    }
  }

  async #programs(path: string): Promise<void> {
    for (const name of await this.#list(path)) {
      const inner = `${path}/${name}`;
      const isLink = (await lstat(this.#absolute(inner))).isSymbolicLink();
      const target = isLink ? await this.#target(inner) : null;
      this.found.push({ kind: 'program', path: inner, name, target });
    }
  }

  async #list(path: string): Promise<readonly string[]> {
    if (++this.#folders > FOLDERS_MAX) {
      throw new CliError('BP9004', `${this.#project}: more than ${FOLDERS_MAX} folders`);
    }
    try {
      // A node_modules that is a link itself would be a tree that is shared with somebody else.
      const facts = await lstat(this.#absolute(path));
      if (!facts.isDirectory()) {
        this.found.push({ kind: 'stray', path, isKnown: false });
        return [];
      }
      return (await readdir(this.#absolute(path))).toSorted();
    } catch (error) {
      if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return [];
      throw new CliError('BP9004', `${path}: ${systemReason(error, 'cannot be read')}`);
    }
  }

  async #isFolder(path: string): Promise<boolean> {
    return (await lstat(this.#absolute(path))).isDirectory();
  }

  async #target(path: string): Promise<string | undefined> {
    try {
      const real = relative(this.#project, await realpath(this.#absolute(path)));
      return real.split(sep).join('/');
    } catch {
      // Broken, or a circle. Where it was meant to lead is of no use.
      await readlink(this.#absolute(path));
      return undefined;
    }
  }

  #absolute(path: string): string {
    return join(this.#project, path);
  }
}

/** Whether a path relative to the project stays in it. */
export function isInside(target: string): boolean {
  return (
    target !== '..' &&
    !target.startsWith('../') &&
    !target.startsWith('/') &&
    !/^[a-z]:/i.test(target)
  );
}
