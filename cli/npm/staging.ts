// Installing without trusting what is about to be installed. A private folder inside of the project
// (same file system, so that moving is renaming) gets package.json, a lockfile *made from the verified
// values*, and a private npm cache with the verified bytes and nothing else. npm then runs offline in
// it. Only when that has succeeded is anything of the project touched, by renames. A failure at any
// point before leaves the project exactly as it was.
import { chmod, mkdir, mkdtemp, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { VerifyError } from '../../verifier/errors.ts';
import type { JsonObject, JsonValue } from '../../verifier/json.ts';
import { PACKAGE_JSON_BYTES_MAX } from '../../verifier/npm/package-json.ts';
import { linkedPrograms } from '../../verifier/npm/programs.ts';
import type { Context } from '../context.ts';
import { CliError } from '../errors.ts';
import { readTextIfThere } from '../read-file.ts';
import { systemReason } from '../system-reasons.ts';
import { asTable } from '../lockfiles/classify.ts';
import { contentPath } from './artifact-store.ts';
import { exists, type Lockfile } from './lockfile.ts';
import { npmFailed, parsePackageJson, runNpm, type Npm } from './npm.ts';
import { stagedLock, STAGED_REGISTRY, type ProvenEntries } from './staged-lock.ts';
import { isUnderWay, swapIn } from './swap.ts';

const MODULES = 'node_modules';

/** Where package managers work, within the private folder. */
const WORK = '.work';

// bun, Yarn Classic and npm look upwards for a package.json whose workspaces mean the folder that they are in, and
// install there instead, with its settings: bun ran the project's code (`workspaces: [".b*"]` in any folder
// above). The first one that has workspaces ends the search, so one that has none stands in between.
const FENCE = JSON.stringify({ private: true, workspaces: [] });

/** A prepared installation. */
export class Staging {
  /** Where package managers work. */
  readonly folder: string;
  readonly #private: string;
  readonly #cache: string;
  /** Folders of the user's own packages, and the programs in them. */
  #locals: readonly string[] = [];
  readonly #programs: string[] = [];

  private constructor(place: string) {
    this.#private = place;
    this.folder = join(place, WORK);
    this.#cache = join(this.folder, '.cache');
  }

  /** Makes the private folder. */
  static async create(project: string): Promise<Staging> {
    try {
      const staging = new Staging(await mkdtemp(join(project, '.bftpkg-')));
      await writeFile(join(staging.#private, 'package.json'), FENCE);
      await mkdir(staging.folder);
      return staging;
    } catch (error) {
      throw new CliError('BP9004', `${project}: ${systemReason(error, 'cannot be written')}`);
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
    proven: ProvenEntries,
    npm: Npm,
    options: {
      readonly context: Context;
      readonly flags: readonly string[];
      readonly through?: readonly string[];
    },
  ): Promise<void> {
    await mkdir(this.#cache, { recursive: true });
    await writeFile(join(this.folder, 'package.json'), withoutScripts(packageJson));
    await writeFile(join(this.folder, 'package-lock.json'), stagedLock(lockfile, proven));
    const result = await runNpm({
      cwd: this.folder,
      context: options.context,
      cache: this.#cache,
      args: [
        'ci',
        '--offline',
        `--registry=${STAGED_REGISTRY}`,
        ...npm.containment,
        ...options.flags,
      ],
      scripts: false,
      ...(options.through === undefined ? {} : { through: options.through }),
    });
    if (result.code !== 0) throw npmFailed('npm ci', result);
    // npm's memory of where it installed from. It would carry our made-up registry into the project's
    // lockfile with the next plain `npm install`; without it npm looks at the tree itself.
    await rm(join(this.folder, MODULES, '.package-lock.json'), { force: true });
  }

  /**
   * Makes the project's own packages visible to npm: their package.json without scripts, and an empty
   * file for each program, so that npm links it. Links are relative, so they lead to the real folders
   * once node_modules has been moved.
   *
   * @throws {CliError} BP9005 for a folder outside of the project, BP9004 for one that can't be read
   */
  async mirrorLocals(project: string, folders: readonly string[]): Promise<void> {
    for (const folder of folders) {
      await requireRealFolder(project, folder);
      const place = join(this.folder, folder);
      await mkdir(place, { recursive: true });
      const path = join(project, folder, 'package.json');
      const text = await readTextIfThere(path, PACKAGE_JSON_BYTES_MAX);
      if (text === undefined) continue;
      await writeFile(join(place, 'package.json'), withoutScripts(text));
      for (const program of await programFiles(join(project, folder), text)) {
        await mkdir(dirname(join(place, program)), { recursive: true });
        await writeFile(join(place, program), '');
        this.#programs.push(join(project, folder, program));
      }
    }
    this.#locals = folders;
  }

  /**
   * Moves the result into the project: the only step that changes it.
   *
   * @param files names and contents to replace in the project, besides node_modules
   * @param state the user's state folder
   * @throws {CliError} BP9004; the project is then as before
   */
  async commit(project: string, files: ReadonlyMap<string, string>, state: string): Promise<void> {
    if (!(await exists(join(this.folder, MODULES)))) await mkdir(join(this.folder, MODULES));
    const folders = [MODULES, ...this.#locals.map((folder) => `${folder}/${MODULES}`)];
    // In this order: the user may have a folder called as ours.
    for (const folder of folders) {
      if (!(await exists(join(this.folder, folder)))) continue;
      await mkdir(join(this.#private, dirname(folder)), { recursive: true });
      await rename(join(this.folder, folder), join(this.#private, folder));
    }
    await swapIn(project, this.#private, { folders, files }, state);
    // npm does so for every program that it links; the real file was not there when it did.
    for (const path of this.#programs) {
      await chmod(path, (await stat(path)).mode | 0o111).catch(() => undefined);
    }
  }

  /** Removes the private folder with everything in it, unless the project's old files are still there. */
  async remove(): Promise<void> {
    if (await isUnderWay(this.#private)) return;
    await rm(this.#private, { recursive: true, force: true, maxRetries: 3 });
  }
}

// A link on the way could lead anywhere, and node_modules in it would be replaced.
async function requireRealFolder(project: string, folder: string): Promise<void> {
  let real: string;
  try {
    real = await realpath(join(project, folder));
  } catch (error) {
    throw new CliError('BP9004', `${folder}: ${systemReason(error, 'cannot be read')}`, {
      hints: ['the lockfile has this folder of yours; make the lockfile again without it'],
    });
  }
  if (real === resolve(await realpath(project), folder)) return;
  throw new CliError('BP9005', `${folder}: a link on its way may lead out of the project`, {
    hints: ['make it a folder of the project, or install with npm after bftpkg verify'],
  });
}

/** The programs of a package of the user's own that are there already. */
async function programFiles(folder: string, text: string): Promise<readonly string[]> {
  let programs: JsonObject;
  try {
    programs = linkedPrograms(asTable(parsePackageJson(text).value) ?? {});
  } catch (error) {
    if (error instanceof VerifyError) return [];
    throw error;
  }
  const found: string[] = [];
  for (const path of Object.values(programs)) {
    if (typeof path !== 'string' || !(await exists(join(folder, path)))) continue;
    if ((await realpath(join(folder, path))) === join(await realpath(folder), path)) {
      found.push(path);
    }
  }
  return found;
}

type Table = { [key: string]: JsonValue };

/**
 * package.json without scripts: npm runs the root's own on `ci` unless told otherwise; it is told, and they
 * are gone too. What the project says about the version of npm is for people who run npm themselves.
 */
export function withoutScripts(packageJson: string): string {
  const {
    scripts: _scripts,
    devEngines: _devEngines,
    packageManager: _packageManager,
    ...rest
  } = parsePackageJson(packageJson).value as Table;
  return JSON.stringify(rest);
}
