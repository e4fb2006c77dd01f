// `bftpkg hook install|check|remove`: lets a project's own package manager ask bftpkg before it installs.
// A convenience for people who type `npm ci` by habit; it can be switched off by a flag, so build servers
// run `bftpkg ci`.
import { dirname, join } from 'node:path';

import type { Invocation } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { RUNNER_PATH } from '../hook/edits.ts';
import {
  managersOf,
  plannedChanges,
  removals,
  writeChanges,
  type FileChange,
  type HookPlan,
} from '../hook/setup.ts';
import { MANAGERS, type Manager } from '../hook/timing.ts';
import { findLockfile } from '../lockfiles/load.ts';
import { requirePlainLockfile } from '../lockfiles/lock-settings.ts';
import { runChild } from '../npm/child.ts';
import { findNpm } from '../npm/npm.ts';
import { diagnostic, doneReport, type Diagnostic, type Report } from '../output/report.ts';
import { diffLines, shorten } from '../policy/edit.ts';

/** Flags of `hook install` and `hook check`. */
export interface HookOptions {
  /** Package managers to set up for; those of the lockfiles when it is empty. */
  readonly manager?: readonly string[];
  /** Whether npm before version 12 is to refuse by itself. */
  readonly requireNpm12?: boolean;
  readonly dryRun?: boolean;
}

// What everybody has to know about the hook of their package manager.
const NOTES: Readonly<Record<Manager, readonly string[]>> = {
  npm: [
    'npm 12 and later asks before `npm ci` and `npm install`; not before `npm install <name>`: bftpkg install <name>',
    'npm 11 and earlier runs the hook last, and it then fails: bftpkg ci   (--require-npm-12 makes npm 10.9 and later refuse first)',
  ],
  pnpm: [
    'pnpm asks before every install; `pnpm add` is refused: bftpkg install --with pnpm <name>',
  ],
  'yarn-classic': [
    'yarn asks before every install; `yarn add` is refused: bftpkg install --with yarn <name>',
  ],
  'yarn-berry': [
    'yarn.lock of Yarn 2 and later has no digest of any tarball, so the hook refuses plain `yarn install`: bftpkg install --with yarn',
  ],
  bun: ['bun asks before every install; what is not in bun.lock is refused'],
};
const FLAG_NOTE =
  'every package manager has a flag that skips hooks (--ignore-scripts and the like): build servers run ';

// `ci` is npm's; what others do on a build server is told where they are.
function flagNote(managers: readonly Manager[]): string {
  const isNpm = managers.includes('npm');
  return `${FLAG_NOTE}${isNpm ? 'bftpkg ci' : 'the manager in bftpkg proxy -- …'}`;
}

/** `hook install`. */
export async function hookInstall(
  { globals }: Invocation,
  options: HookOptions,
  version: string,
): Promise<Report> {
  const plan = await planOf(globals.project, options, version);
  const changes = await plannedChanges(globals.project, plan);
  if (options.dryRun !== true) await writeChanges(globals.project, changes);
  const notes = [...plan.managers.flatMap((manager) => NOTES[manager]), flagNote(plan.managers)];
  const lines = [
    ...changes.flatMap((change) => diffOf(change, options.dryRun === true)),
    ...(changes.length === 0 ? ['everything is in place'] : []),
    ...notes,
    `each machine needs bftpkg itself, outside of the project: npm install --global --ignore-scripts --omit=optional bftpkg@${version}`,
    ...(options.dryRun === true ? ['nothing was written'] : ['next: bftpkg hook check']),
  ];
  const data = {
    managers: plan.managers,
    files: changes.map(({ path }) => path),
    written: options.dryRun !== true,
    notes,
  };
  return doneReport('hook install', { data, lines });
}

/** `hook remove`. */
export async function hookRemove(
  { globals }: Invocation,
  options: Pick<HookOptions, 'dryRun'>,
): Promise<Report> {
  const changes = await removals(globals.project);
  if (options.dryRun !== true) await writeChanges(globals.project, changes);
  const lines = [
    ...changes.flatMap((change) => diffOf(change, options.dryRun === true)),
    changes.length === 0
      ? 'there is no hook'
      : options.dryRun === true
        ? 'nothing was written'
        : `${changes.length} files changed`,
  ];
  const data = { files: changes.map(({ path }) => path), written: options.dryRun !== true };
  return doneReport('hook remove', { data, lines });
}

/**
 * `hook check`: whether the files are those that this version writes, whether they find bftpkg, and whether the
 * lockfile that they verify is the one that is read.
 *
 * @throws {CliError} BP9004 for what is missing or was changed, BP9005 for settings that have another file read
 */
export async function hookCheck(
  { context, globals }: Invocation,
  options: HookOptions,
  version: string,
): Promise<Report> {
  const { project } = globals;
  const plan = await planOf(project, options, version);
  const changes = await plannedChanges(project, plan);
  // Where there is nothing to take out, nobody has changed anything.
  if (changes.length > 0 && (await removals(project)).length === 0) {
    throw new CliError('BP9004', 'this project has no hook', { hints: ['bftpkg hook install'] });
  }
  if (changes.length > 0) {
    throw new CliError('BP9004', 'the hook is not in place, or was changed', {
      details: changes.map(({ path, before }) => [
        before === undefined ? 'missing' : 'differs',
        path,
      ]),
      hints: ['look at who changed it; then bftpkg hook install'],
    });
  }
  for (const manager of plan.managers) await requirePlainLockfile(manager, project);
  // The file of the project itself is asked, in the way in which a package manager would run it.
  const runner = join(project, RUNNER_PATH);
  const env =
    context.env['BFTPKG_BIN'] === undefined ? {} : { BFTPKG_BIN: context.env['BFTPKG_BIN'] };
  const found = await runChild(process.execPath, [runner, '--where'], {
    cwd: project,
    context,
    env,
  });
  const program = found.stdout.trim();
  if (found.code !== 0 || program === '') {
    throw new CliError('BP9004', 'the hook finds no bftpkg outside of this project', {
      hints: [`npm install --global --ignore-scripts --omit=optional bftpkg@${version}`],
    });
  }
  const warnings = plan.managers.includes('npm') ? await lateNpm({ context }) : [];
  const data = { managers: plan.managers, program };
  const lines = [`in place for ${plan.managers.join(', ')}`, `the hook would run ${program}`];
  return doneReport('hook check', { data, lines }, warnings);
}

async function lateNpm({ context }: Pick<Invocation, 'context'>): Promise<readonly Diagnostic[]> {
  const npm = await findNpm(context);
  if (Number(npm.version.split('.')[0]) >= 12) return [];
  const message = `npm ${npm.version} of this machine runs the hook after all install scripts, and it will fail`;
  return [diagnostic('BP6013', message, { severity: 'warning', hints: ['bftpkg ci'] })];
}

async function planOf(project: string, options: HookOptions, version: string): Promise<HookPlan> {
  const named = (options.manager ?? []).map(readManager);
  const managers = named.length > 0 ? [...new Set(named)] : await managersOf(project);
  if (managers.length === 0) throw await nobodySays(project);
  return { managers, version, requireNpm12: options.requireNpm12 === true };
}

/** In a workspace's own folder the lockfile is that of the whole project, and so is the hook. */
async function nobodySays(project: string): Promise<CliError> {
  const above = await findLockfile(project).then(dirname, () => undefined);
  const hints =
    above === undefined
      ? [`bftpkg hook install --manager ${MANAGERS.join('|')}`]
      : [`the lockfile is in ${above}: bftpkg hook install -C ${above}`];
  const message = `${project}: no lockfile says which package manager it is for`;
  return new CliError('BP9004', message, { hints });
}

function readManager(text: string): Manager {
  const manager = MANAGERS.find((each) => each === text);
  if (manager !== undefined) return manager;
  throw usageError(`--manager takes ${MANAGERS.join(', ')}, not ${text}`);
}

// The hook itself has 160 lines, which are in the file by then: what changes in package.json is not to scroll away.
const WRITTEN_LINES_MAX = 20;

function diffOf({ path, before, after }: FileChange, isDryRun: boolean): readonly string[] {
  if (after === undefined) return [`--- ${path} (removed)`];
  const lines = diffLines(path, before, after);
  return isDryRun ? lines : shorten(lines, WRITTEN_LINES_MAX);
}
