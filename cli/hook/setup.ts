// Which files a project gets for its package managers, and whether they are as they should be.
import type { Stats } from 'node:fs';
import { lstat, mkdir, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { CliError, systemCode } from '../errors.ts';
import { readTextIfThere } from '../read-file.ts';
import { systemReason } from '../system-reasons.ts';
import { LOCKFILE_NAMES } from '../lockfiles/load.ts';
import { YARN_CLASSIC_MARK } from '../lockfiles/yarn-classic.ts';
import { replaceFile } from '../../verifier/node/durable-file.ts';
import {
  bunfigEdit,
  devEnginesEdit,
  HOOK_FOLDER,
  npmrcEdit,
  ownFile,
  PLUGIN_PATH,
  RUNNER_PATH,
  SCANNER_PATH,
  scriptEdit,
  yarnrcEdit,
  type Edit,
} from './edits.ts';
import { pluginText, runnerText, scannerText } from './texts.ts';
import type { Manager } from './timing.ts';

/** For everybody who works on the project, as git checks files out. */
const NEW_FILE_MODE = 0o644;

/** What a project is to be set up for. */
export interface HookPlan {
  readonly managers: readonly Manager[];
  /** Version of bftpkg that is written down as needed. */
  readonly version: string;
  /** Whether versions of npm that run the hook too late are to refuse by themselves. */
  readonly requireNpm12: boolean;
}

/** A file of the project, before and after. `undefined` is no file. */
export interface FileChange {
  readonly path: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

const EDITS: Readonly<Record<Manager, () => readonly Edit[]>> = {
  npm: () => [scriptEdit('preinstall'), npmrcEdit()],
  // Its own hook file would do as well, but changes a digest in the lockfile of pnpm 9 and 10.
  pnpm: () => [scriptEdit('pnpm:devPreinstall')],
  'yarn-classic': () => [scriptEdit('preinstall')],
  'yarn-berry': () => [ownFile(PLUGIN_PATH, pluginText()), yarnrcEdit()],
  bun: () => [ownFile(SCANNER_PATH, scannerText()), bunfigEdit()],
};

function editsOf({ managers, version, requireNpm12 }: HookPlan): readonly Edit[] {
  return [
    ownFile(RUNNER_PATH, runnerText(version)),
    ...managers.flatMap((manager) => EDITS[manager]()),
    ...(requireNpm12 ? [devEnginesEdit()] : []),
  ];
}

/** Everything that any plan writes, to be taken out. */
function allEdits(): readonly Edit[] {
  return [
    ...(['preinstall', 'pnpm:devPreinstall'] as const).map((name) => scriptEdit(name)),
    devEnginesEdit(),
    npmrcEdit(),
    yarnrcEdit(),
    bunfigEdit(),
    ...[PLUGIN_PATH, SCANNER_PATH, RUNNER_PATH].map((path) => ownFile(path, '')),
  ];
}

/** The package managers whose lockfiles lie in a folder. */
export async function managersOf(project: string): Promise<readonly Manager[]> {
  const found = new Set<Manager>();
  for (const name of LOCKFILE_NAMES) {
    const text = await readTextIfThere(join(project, name));
    if (text === undefined) continue;
    if (name === 'pnpm-lock.yaml') found.add('pnpm');
    else if (name === 'bun.lock') found.add('bun');
    else if (name !== 'yarn.lock') found.add('npm');
    else found.add(text.includes(YARN_CLASSIC_MARK) ? 'yarn-classic' : 'yarn-berry');
  }
  return [...found];
}

/**
 * What a plan would change; files that are as they should be are not among them.
 *
 * @throws {CliError} BP9004 for what cannot be read, and for links
 */
export async function plannedChanges(
  project: string,
  plan: HookPlan,
): Promise<readonly FileChange[]> {
  return await changesBy(project, editsOf(plan), (edit, text) => edit.apply(text));
}

/** What taking everything out would change. @throws {CliError} BP9004 as {@link plannedChanges} */
export async function removals(project: string): Promise<readonly FileChange[]> {
  return await changesBy(project, allEdits(), (edit, text) =>
    text === undefined ? undefined : edit.remove(text),
  );
}

// Several edits of one file come to one change.
async function changesBy(
  project: string,
  edits: readonly Edit[],
  change: (edit: Edit, text: string | undefined) => string | undefined,
): Promise<readonly FileChange[]> {
  const changes = new Map<string, FileChange>();
  for (const edit of edits) {
    const { path } = edit;
    const known = changes.get(path);
    const before = known === undefined ? await readOwn(project, path) : known.before;
    const now = known === undefined ? before : known.after;
    changes.set(path, { path, before, after: change(edit, now) });
  }
  return [...changes.values()].filter(({ before, after }) => before !== after);
}

/**
 * Writes changes. Each file is whole at any time; one that was there keeps its permissions.
 *
 * @throws {CliError} BP9004 for what cannot be written, and for links
 */
export async function writeChanges(project: string, changes: readonly FileChange[]): Promise<void> {
  for (const { path, after } of changes) {
    const place = join(project, path);
    const mode = await modeOf(project, path);
    try {
      if (after === undefined) await rm(place, { force: true });
      else {
        await mkdir(dirname(place), { recursive: true });
        await replaceFile(place, after, mode ?? NEW_FILE_MODE);
      }
    } catch (error) {
      throw new CliError('BP9004', `${place}: ${systemReason(error, 'cannot be written')}`);
    }
  }
  // Only when nothing of somebody else is in it.
  await rmdir(join(project, HOOK_FOLDER)).catch(() => undefined);
}

async function readOwn(project: string, path: string): Promise<string | undefined> {
  const mode = await modeOf(project, path);
  return mode === undefined ? undefined : await readTextIfThere(join(project, path));
}

// The project's own files, and none that a link in a cloned project leads to: `.bftpkg -> ../other` would
// have us write to, and delete from, a folder of the user's, and a file's link would be replaced by a copy of
// what lies behind it.
async function modeOf(project: string, path: string): Promise<number | undefined> {
  const folder = dirname(path);
  if (folder !== '.') {
    const above = await lookAt(join(project, folder));
    if (above === undefined) return undefined;
    if (!above.isDirectory()) throw notOwn(join(project, folder), 'folder');
  }
  const found = await lookAt(join(project, path));
  if (found === undefined) return undefined;
  if (!found.isFile()) throw notOwn(join(project, path), 'file');
  return found.mode & 0o777;
}

async function lookAt(place: string): Promise<Stats | undefined> {
  try {
    return await lstat(place);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new CliError('BP9004', `${place}: ${systemReason(error, 'cannot be read')}`);
  }
}

function notOwn(place: string, kind: 'file' | 'folder'): CliError {
  return new CliError('BP9004', `${place}: a link or something else, not a ${kind}`, {
    hints: [`look at where it leads; put a ${kind} in its place, or remove it`],
  });
}
