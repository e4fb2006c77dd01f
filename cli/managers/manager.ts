// The package managers other than npm that bftpkg can drive: which of them is there, and with which words it
// installs without running anything. All words were tried; what a manager does by itself is in NPM.md.
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Context } from '../context.ts';
import { CliError } from '../errors.ts';
import { runChild, type ChildResult } from '../npm/child.ts';
import { inPrivateFolder } from '../npm/private-folder.ts';

/** What a user names. */
export const MANAGER_NAMES = ['pnpm', 'yarn', 'bun'] as const;
export type ManagerName = (typeof MANAGER_NAMES)[number];

export type ManagerKind = 'pnpm' | 'yarn-classic' | 'yarn-berry' | 'bun';

/** A manager that was found. */
export interface Manager {
  readonly kind: ManagerKind;
  /** Program to start. */
  readonly name: ManagerName;
  readonly version: string;
  /** Name of its lockfile. */
  readonly lockfile: string;
}

/** What it is to do. */
export type ManagerTask =
  /** Exactly the lockfile. */
  | { readonly kind: 'frozen' }
  /** What package.json asks for. */
  | { readonly kind: 'resolve' }
  /** Names with ranges to add, each checked. */
  | { readonly kind: 'add'; readonly specs: readonly string[] };

/** Oldest versions that were tried. */
const VERSIONS_MIN: Readonly<Record<ManagerKind, readonly [number, number]>> = {
  pnpm: [9, 0],
  'yarn-classic': [1, 22],
  'yarn-berry': [4, 0],
  // Before 1.2 bun's lockfile is binary.
  bun: [1, 2],
};

const LOCKFILES: Readonly<Record<ManagerName, string>> = {
  pnpm: 'pnpm-lock.yaml',
  yarn: 'yarn.lock',
  bun: 'bun.lock',
};

const RC_NAME_BYTES = 16;

/**
 * A name for Yarn Berry's settings file, made for one run. Berry reads the file of that name in its folder and
 * in every folder above, and loads the plugins that each of them names. The private folder lies in the project:
 * a repository that knew the name could bring a file that runs code.
 */
export function unguessableRcName(): string {
  return `.${randomBytes(RC_NAME_BYTES).toString('hex')}.yml`;
}

/**
 * Finds a manager.
 *
 * @throws {CliError} BP9004 when there is none, or one that is too old
 */
export async function findManager(context: Context, name: ManagerName): Promise<Manager> {
  const { code, stdout } = await askVersion(context, name);
  const version = stdout.trim();
  const [, major = '0', minor = '0'] = /^([0-9]{1,4})\.([0-9]{1,4})\./.exec(version) ?? [];
  const isClassic = major === '0' || major === '1';
  const kind = name === 'yarn' ? (isClassic ? 'yarn-classic' : 'yarn-berry') : name;
  const [majorMin, minorMin] = VERSIONS_MIN[kind];
  const isOldMinor = Number(major) === majorMin && Number(minor) < minorMin;
  if (code !== 0 || Number(major) < majorMin || isOldMinor) {
    const found = version === '' || code !== 0 ? 'does not start' : version;
    throw new CliError('BP9004', `${name} ${found}: ${majorMin}.${minorMin} or later is needed`);
  }
  return { kind, name, version, lockfile: LOCKFILES[name] };
}

// The folder is its home as well. Package managers look in the folders above, too: hence a name that nobody else
// knows, and files at which they stop.
async function askVersion(context: Context, name: ManagerName): Promise<ChildResult> {
  return await inPrivateFolder(async (cwd) => {
    await writeFile(join(cwd, 'pnpm-workspace.yaml'), "packages:\n  - '.'\n");
    // Neither what a folder above names as its own Yarn, nor one that would be downloaded for it.
    const env = {
      HOME: cwd,
      YARN_IGNORE_PATH: '1',
      YARN_RC_FILENAME: unguessableRcName(),
      COREPACK_ENABLE_NETWORK: '0',
    };
    return await runChild(name, ['--version'], { cwd, context, env });
  });
}

/** The words for a task. */
export function wordsFor({ kind }: Manager, task: ManagerTask): readonly string[] {
  const specs = task.kind === 'add' ? task.specs : [];
  const verb = task.kind === 'add' ? 'add' : 'install';
  const isFrozen = task.kind === 'frozen';
  switch (kind) {
    case 'pnpm': {
      const lock = isFrozen ? ['--frozen-lockfile'] : ['--no-frozen-lockfile'];
      return [
        verb,
        ...specs,
        ...(task.kind === 'add' ? ['--ignore-workspace-root-check'] : lock),
        '--ignore-scripts',
        '--ignore-pnpmfile',
        '--reporter=append-only',
        // Programs would get the private folder's path otherwise.
        '--config.extend-node-path=false',
        '--config.enable-global-virtual-store=false',
        '--config.confirm-modules-purge=false',
      ];
    }
    case 'yarn-classic':
      return [
        verb,
        ...specs,
        ...(isFrozen ? ['--frozen-lockfile'] : []),
        ...(task.kind === 'add' ? ['--ignore-workspace-root-check'] : []),
        '--ignore-scripts',
        '--non-interactive',
        '--no-progress',
        // It looks for .yarnrc and .npmrc in every folder above.
        '--no-default-rc',
      ];
    case 'yarn-berry':
      return [
        verb,
        ...specs,
        ...(isFrozen ? ['--immutable'] : task.kind === 'resolve' ? ['--no-immutable'] : []),
        '--mode=skip-build',
      ];
    case 'bun':
      return [
        verb,
        ...specs,
        ...(isFrozen ? ['--frozen-lockfile'] : []),
        '--ignore-scripts',
        '--no-progress',
      ];
  }
}
