// The one step that changes the project: folders and files made elsewhere are put into place by renames.
// What is about to be done is written down first, so that a process that was killed between two renames
// is undone by the next run: a project is as before or as it was to be, never something in between.
import { lstat, mkdir, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { CliError, systemCode } from '../errors.ts';
import { isPlainPath } from '../lockfiles/classify.ts';
import { isThere } from '../lockfiles/load.ts';
import { createFile } from '../../verifier/node/durable-file.ts';

/** The plan and what it needs to be undone, in the private folder. */
const JOURNAL = 'journal.json';
/** Folders that were replaced, and files as they were, by position in the plan. */
const ASIDE = 'old';
/** Files as they are to be. */
const NEW = 'new';
/** Written when all is in place. */
const DONE = 'done';
const JOURNAL_BYTES_MAX = 4 * 1024 * 1024;
const FORMAT = 'bftpkg-swap/v1';
/** Private folders, as `mkdtemp` names them. */
const FOLDER_PATTERN = /^\.bftpkg-[A-Za-z0-9]{6}$/;
// A folder without a plan may belong to a run that goes on; no run lasts that long.
const STALE_AFTER_MS = 24 * 3600 * 1000;

/** What is to be in place afterwards. Paths are relative to the project, with `/`. */
export interface SwapPlan {
  /** Folders that come from the same place in the private folder; one that isn't there is removed. */
  readonly folders: readonly string[];
  /** Files to replace, by name. Permissions stay. */
  readonly files: ReadonlyMap<string, string>;
}

interface Journal {
  readonly format: typeof FORMAT;
  readonly pid: number;
  readonly folders: readonly { readonly path: string; readonly hadOne: boolean }[];
  readonly files: readonly {
    readonly path: string;
    readonly hadOne: boolean;
    readonly mode: number;
  }[];
}

/**
 * Puts a plan into effect; when a step fails, those before are undone.
 *
 * @param folder the private folder, in the project
 * @throws {CliError} BP9004
 */
export async function swapIn(project: string, folder: string, plan: SwapPlan): Promise<void> {
  try {
    const journal = await writeJournal(project, folder, plan);
    try {
      for (const [at, { path, hadOne }] of journal.folders.entries()) {
        if (hadOne) await rename(join(project, path), join(folder, ASIDE, `folder-${at}`));
        if (await isThere(join(folder, path)))
          await rename(join(folder, path), join(project, path));
      }
      for (const [at, { path }] of journal.files.entries()) {
        await rename(join(folder, NEW, `file-${at}`), join(project, path));
      }
      await createFile(join(folder, DONE), '', 0o600);
    } catch (error) {
      await undo(project, folder, journal);
      throw error;
    }
  } catch (error) {
    throw failure(project, error);
  }
}

function failure(project: string, error: unknown): CliError {
  if (error instanceof CliError) return error;
  return new CliError('BP9004', `${project}: ${systemCode(error) ?? String(error)}`, {
    cause: error,
  });
}

// Copies of the files and the plan are durable before the first rename.
async function writeJournal(project: string, folder: string, plan: SwapPlan): Promise<Journal> {
  await Promise.all([mkdir(join(folder, ASIDE)), mkdir(join(folder, NEW))]);
  const folders: { path: string; hadOne: boolean }[] = [];
  for (const path of plan.folders) {
    await requireInside(project, path);
    folders.push({ path, hadOne: await isThere(join(project, path)) });
  }
  const files: { path: string; hadOne: boolean; mode: number }[] = [];
  for (const [path, content] of plan.files) {
    const place = join(project, path);
    const hadOne = await isThere(place);
    const mode = hadOne ? (await stat(place)).mode & 0o777 : 0o644;
    if (hadOne) {
      await createFile(join(folder, ASIDE, `file-${files.length}`), await readFile(place), 0o600);
    }
    await createFile(join(folder, NEW, `file-${files.length}`), content, mode);
    files.push({ path, hadOne, mode });
  }
  const journal: Journal = { format: FORMAT, pid: process.pid, folders, files };
  await createFile(join(folder, JOURNAL), JSON.stringify(journal), 0o600);
  return journal;
}

// A link on the way would make the renames replace folders of somebody else.
async function requireInside(project: string, path: string): Promise<void> {
  const parent = dirname(path);
  const [root, real] = await Promise.all([realpath(project), realpath(join(project, parent))]);
  if (real === resolve(root, parent)) return;
  throw new CliError(
    'BP9005',
    `${path}: its folder is a link, so it may be outside of the project`,
    {
      hints: ['install it with npm, or make it a folder of the project'],
    },
  );
}

// Each step looks at what is there, so that it can be stopped at any point and begun again.
async function undo(project: string, folder: string, journal: Journal): Promise<void> {
  for (const [at, { path, hadOne, mode }] of journal.files.entries()) {
    const [place, before] = [join(project, path), join(folder, ASIDE, `file-${at}`)];
    if (!hadOne) await rm(place, { force: true });
    else if (await isFile(before)) {
      const copy = join(folder, NEW, `undo-${at}`);
      await rm(copy, { force: true });
      await createFile(copy, await readFile(before), mode);
      await rename(copy, place);
    }
  }
  for (const [at, { path, hadOne }] of journal.folders.entries()) {
    await requireInside(project, path);
    const [place, made] = [join(project, path), join(folder, path)];
    const aside = join(folder, ASIDE, `folder-${at}`);
    const isMoved = hadOne ? await isThere(aside) : !(await isThere(made));
    if (!isMoved) continue;
    if (await isThere(place)) await rename(place, made);
    if (hadOne) await rename(aside, place);
  }
}

async function isFile(path: string): Promise<boolean> {
  return (await isThere(path)) && (await lstat(path)).isFile();
}

/**
 * Undoes what runs that were killed have left half done in a project, and removes their folders. Those
 * of runs that still go on are left alone.
 *
 * @returns how many were undone
 * @throws {CliError} BP9004
 */
export async function recoverSwaps(project: string): Promise<number> {
  let undone = 0;
  try {
    for (const name of await namesIn(project)) {
      if (!FOLDER_PATTERN.test(name)) continue;
      const folder = join(project, name);
      const facts = await lstat(folder);
      // A repository may contain such a name: a link out of it is followed by nobody.
      if (!facts.isDirectory()) continue;
      const journal = await readJournal(folder);
      const isOld = Date.now() - facts.mtimeMs > STALE_AFTER_MS;
      if (journal === undefined) {
        if (isOld) await remove(folder);
        continue;
      }
      // The number of a process that is gone may have been given to another one since.
      if (isAlive(journal.pid) && !isOld) continue;
      if (!(await isThere(join(folder, DONE)))) {
        await undo(project, folder, journal);
        undone++;
      }
      await remove(folder);
    }
  } catch (error) {
    throw failure(project, error);
  }
  return undone;
}

async function namesIn(project: string): Promise<readonly string[]> {
  try {
    return await readdir(project);
  } catch (error) {
    // A project that isn't there yet has nothing to undo.
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

async function remove(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

// Somebody may have put a folder with such a name into a repository. A plan from there can't do more
// than its author could do by committing the result: places stay in the project, and in node_modules.
async function readJournal(folder: string): Promise<Journal | undefined> {
  const path = join(folder, JOURNAL);
  try {
    if ((await lstat(path)).size > JOURNAL_BYTES_MAX) return undefined;
    const journal = JSON.parse(await readFile(path, 'utf8')) as Journal;
    const isOurs =
      journal.format === FORMAT &&
      Number.isSafeInteger(journal.pid) &&
      journal.pid > 0 &&
      journal.folders.every(({ path: each }) => isModulesFolder(each)) &&
      journal.files.every(({ path: each }) => FILES.has(each));
    return isOurs ? journal : undefined;
  } catch {
    return undefined;
  }
}

const FILES: ReadonlySet<string> = new Set([
  'package.json',
  'package-lock.json',
  'pnpm-lock.yaml',
  'yarn.lock',
  'bun.lock',
]);

function isModulesFolder(path: unknown): path is string {
  return typeof path === 'string' && isPlainPath(path) && /^(?:.*\/)?node_modules$/.test(path);
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's process: it lives.
    return systemCode(error) === 'EPERM';
  }
}
