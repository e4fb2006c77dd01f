// The one step that changes the project: folders and files made elsewhere are put into place by renames.
// What is about to be done is written down first, so that a process that was killed between two renames
// is undone by the next run: a project is as before or as it was to be, never something in between.
// A repository can contain a private folder with a plan in it. So a plan counts only when the user's own
// state folder has a record of exactly its bytes in exactly that place.
import { createHash, randomUUID } from 'node:crypto';
import type { Stats } from 'node:fs';
import { lstat, mkdir, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { CliError, systemCode } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { isPlainPath } from '../lockfiles/classify.ts';
import { isThere } from '../lockfiles/load.ts';
import {
  createFile,
  createWholeFile,
  makePrivateFolder,
  syncFolder,
} from '../../verifier/node/durable-file.ts';

/** The plan and what it needs to be undone, in the private folder. */
const JOURNAL = 'journal.json';
/** Folders that were replaced, and files as they were, by position in the plan. */
const ASIDE = 'old';
/** Files as they are to be. */
const NEW = 'new';
/** Written when all is in place. */
const DONE = 'done';
const JOURNAL_BYTES_MAX = 4 * 1024 * 1024;
const FORMAT = 'bftpkg-swap/v2';
/** Records of plans that are under way, in the user's state folder. */
const RECORDS = 'swaps';
// In a container every run may have the same number.
const THIS_RUN = randomUUID();
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

interface JournalFile {
  readonly path: string;
  /** SHA-256 of the file as it was; `null` when there was none. */
  readonly before: string | null;
  /** SHA-256 of the file as it is to be. */
  readonly after: string;
  readonly mode: number;
}

interface Journal {
  readonly format: typeof FORMAT;
  readonly pid: number;
  /** Random for each start of a process: nobody can know the record's name in advance, either. */
  readonly run: string;
  readonly folders: readonly { readonly path: string; readonly hadOne: boolean }[];
  readonly files: readonly JournalFile[];
}

/**
 * Puts a plan into effect; when a step fails, those before are undone.
 *
 * @param folder the private folder, in the project
 * @param state the user's state folder
 * @throws {CliError} BP9004
 */
export async function swapIn(
  project: string,
  folder: string,
  plan: SwapPlan,
  state: string,
): Promise<void> {
  try {
    const { journal, record } = await writeJournal(project, folder, plan, state);
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
      await forget(folder, record).catch(() => undefined);
      throw error;
    }
    // What can't be removed now is removed by the next run.
    await forget(folder, record).catch(() => undefined);
  } catch (error) {
    throw failure(project, error);
  }
}

function failure(project: string, error: unknown): CliError {
  if (error instanceof CliError) return error;
  return new CliError('BP9004', `${project}: ${systemReason(error)}`, {
    cause: error,
  });
}

// Copies of the files and the plan are durable before the first rename.
async function writeJournal(
  project: string,
  folder: string,
  plan: SwapPlan,
  state: string,
): Promise<{ readonly journal: Journal; readonly record: string }> {
  await Promise.all([mkdir(join(folder, ASIDE)), mkdir(join(folder, NEW))]);
  const folders: { path: string; hadOne: boolean }[] = [];
  for (const path of plan.folders) {
    await requireInside(project, path);
    folders.push({ path, hadOne: await isThere(join(project, path)) });
  }
  const files: JournalFile[] = [];
  for (const [path, content] of plan.files) {
    const place = join(project, path);
    const hadOne = await isThere(place);
    const mode = hadOne ? (await stat(place)).mode & 0o777 : 0o644;
    const old = hadOne ? await readFile(place) : undefined;
    if (old !== undefined) {
      await createFile(join(folder, ASIDE, `file-${files.length}`), old, 0o600);
    }
    await createFile(join(folder, NEW, `file-${files.length}`), content, mode);
    const before = old === undefined ? null : digest(old);
    files.push({ path, before, after: digest(content), mode });
  }
  const journal: Journal = { format: FORMAT, pid: process.pid, run: THIS_RUN, folders, files };
  const text = JSON.stringify(journal);
  const record = await recordPath(state, folder, text);
  await makePrivateFolder(dirname(record));
  await syncFolder(state);
  await createWholeFile(record, '', 0o600);
  await createWholeFile(join(folder, JOURNAL), text, 0o600);
  return { journal, record };
}

/**
 * Where the user's state folder says that this machine made a plan. The name binds its bytes and its place:
 * a plan that was committed and cloned elsewhere has no record there.
 *
 * @param text the plan's file
 */
export async function recordPath(state: string, folder: string, text: string): Promise<string> {
  return join(state, RECORDS, digest(JSON.stringify([await realpath(folder), text])));
}

function digest(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

// The plan goes first, and all at once: a folder that is removed file by file is no plan any more.
async function forget(folder: string, record: string): Promise<void> {
  await rm(join(folder, JOURNAL), { force: true });
  await syncFolder(folder);
  await rm(record, { force: true });
}

/** Whether a private folder still has what is needed to undo a plan, so that it must not be removed. */
export async function isUnderWay(folder: string): Promise<boolean> {
  return await isThere(join(folder, JOURNAL));
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
  await requireRealFolders(folder, ASIDE);
  await requireRealFolders(folder, NEW);
  for (const { path } of journal.folders) {
    await requireInside(project, path);
    await requireRealFolders(folder, dirname(path));
  }
  // All are looked at before the first is touched.
  const changed: number[] = [];
  for (const [at, file] of journal.files.entries()) {
    if (await isToUndo(project, folder, file, at)) changed.push(at);
  }
  for (const at of changed) await undoFile(project, folder, journal.files[at], at);
  for (const [at, { path, hadOne }] of journal.folders.entries()) {
    const [place, made] = [join(project, path), join(folder, path)];
    const aside = join(folder, ASIDE, `folder-${at}`);
    const isMoved = hadOne ? await isThere(aside) : !(await isThere(made));
    if (!isMoved) continue;
    if (await isThere(place)) await rename(place, made);
    if (hadOne) await rename(aside, place);
  }
}

// Whoever has changed a file since the run that was killed would lose that work.
async function isToUndo(
  project: string,
  folder: string,
  { path, before, after }: JournalFile,
  at: number,
): Promise<boolean> {
  const place = join(project, path);
  if (!(await isThere(place))) return before !== null;
  const now = digest(await readFile(place));
  if (now === before) return false;
  if (now === after) return true;
  const old = before === null ? 'there was none before' : `as it was: ${asideFile(folder, at)}`;
  throw new CliError('BP9004', `${place}: changed since an install that was interrupted; ${old}`, {
    hints: [`to keep it as it is now, remove ${folder} and install again`],
  });
}

async function undoFile(
  project: string,
  folder: string,
  file: JournalFile | undefined,
  at: number,
): Promise<void> {
  if (file === undefined) return;
  const place = join(project, file.path);
  if (file.before === null) return await rm(place, { force: true });
  const kept = asideFile(folder, at);
  const facts = await lstat(kept);
  const content = facts.isFile() && facts.nlink === 1 ? await readFile(kept) : '';
  if (digest(content) !== file.before) {
    throw new CliError('BP9004', `${kept}: not what was put there before an install`);
  }
  const copy = join(folder, NEW, `undo-${at}`);
  await rm(copy, { force: true });
  await createFile(copy, content, file.mode);
  await rename(copy, place);
}

function asideFile(folder: string, at: number): string {
  return join(folder, ASIDE, `file-${at}`);
}

// A link in the private folder would have things moved, or written, where it leads.
async function requireRealFolders(folder: string, path: string): Promise<void> {
  let place = folder;
  for (const part of ['.', ...path.split('/')]) {
    place = join(place, part);
    try {
      if ((await lstat(place)).isDirectory()) continue;
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return;
      throw error;
    }
    throw new CliError('BP9004', `${place}: not a folder, and an install was interrupted`);
  }
}

/**
 * Undoes what runs that were killed have left half done in a project, and removes their folders. Those
 * of runs that still go on are left alone, and so are plans of which the state folder has no record.
 *
 * @param state the user's state folder
 * @returns how many were undone, and the folders of those without a record
 * @throws {CliError} BP9004
 */
export async function recoverSwaps(
  project: string,
  state: string,
): Promise<{ readonly undone: number; readonly strange: readonly string[] }> {
  let undone = 0;
  const strange: string[] = [];
  try {
    for (const name of await namesIn(project)) {
      if (!FOLDER_PATTERN.test(name)) continue;
      const folder = join(project, name);
      const facts = await lstat(folder);
      // A repository may contain such a name: a link out of it is followed by nobody.
      if (!facts.isDirectory()) continue;
      const isOld = isStale(facts);
      if (!(await namesIn(folder)).includes(JOURNAL)) {
        if (isOld) await remove(folder);
        continue;
      }
      const found = await readJournal(folder, state);
      if (found === undefined) {
        strange.push(folder);
        continue;
      }
      const { journal, record } = found;
      // The number of a process that is gone may have been given to another one since.
      if (isAlive(journal) && !isOld) continue;
      if (!(await isThere(join(folder, DONE)))) {
        await undo(project, folder, journal);
        undone++;
      }
      await forget(folder, record);
      await remove(folder);
    }
  } catch (error) {
    throw failure(project, error);
  }
  return { undone, strange };
}

function isStale({ mtimeMs }: Stats): boolean {
  return Date.now() - mtimeMs > STALE_AFTER_MS;
}

/**
 * Removes what runs that were killed have left of unpacking beside a place: folders of this user, older than any run
 * lasts, without a plan (those are undone where they were made). What can't be removed stays: it is in nobody's way.
 *
 * @param parent any folder, which others may be able to write to
 */
export async function removeStaleFolders(parent: string): Promise<void> {
  const names = await namesIn(parent).catch(() => []);
  for (const name of names.filter((each) => FOLDER_PATTERN.test(each))) {
    const folder = join(parent, name);
    try {
      const facts = await lstat(folder);
      const isOurs = process.getuid === undefined || facts.uid === process.getuid();
      if (!facts.isDirectory() || !isOurs || !isStale(facts)) continue;
      if (!(await isUnderWay(folder))) await remove(folder);
    } catch {
      continue;
    }
  }
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

// A repository may contain a folder with such a name, with links in it and a plan that uses them. Without a
// record in the state folder nothing of it is followed.
async function readJournal(
  folder: string,
  state: string,
): Promise<{ readonly journal: Journal; readonly record: string } | undefined> {
  const path = join(folder, JOURNAL);
  try {
    const facts = await lstat(path);
    if (!facts.isFile() || facts.size > JOURNAL_BYTES_MAX) return undefined;
    const text = await readFile(path, 'utf8');
    const record = await recordPath(state, folder, text);
    if (!(await lstat(record)).isFile()) return undefined;
    const journal = JSON.parse(text) as Journal;
    return isSound(journal) ? { journal, record } : undefined;
  } catch {
    return undefined;
  }
}

const DIGEST_PATTERN = /^[0-9a-f]{64}$/;

function isSound({ format, pid, run, folders, files }: Journal): boolean {
  return (
    format === FORMAT &&
    Number.isSafeInteger(pid) &&
    pid > 0 &&
    typeof run === 'string' &&
    folders.every(({ path, hadOne }) => isModulesFolder(path) && typeof hadOne === 'boolean') &&
    files.every(
      ({ path, before, after, mode }) =>
        FILES.has(path) &&
        (before === null || DIGEST_PATTERN.test(before)) &&
        DIGEST_PATTERN.test(after) &&
        Number.isSafeInteger(mode) &&
        mode >= 0 &&
        mode <= 0o777,
    )
  );
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

function isAlive({ pid, run }: Journal): boolean {
  if (pid === process.pid) return run === THIS_RUN;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's process: it lives.
    return systemCode(error) === 'EPERM';
  }
}
