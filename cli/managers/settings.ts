// The project's settings that decide what the tree looks like: only these go into the private folder. All
// others (programs, plugins, hooks, proxies, caches) are not there, and so have no effect.
import { join } from 'node:path';

import type { JsonValue } from '../../verifier/json.ts';
import { CliError } from '../errors.ts';
import { asTable } from '../lockfiles/classify.ts';
import { parsePlainYaml } from '../lockfiles/plain-yaml.ts';
import { readSettingsFile, topLevelKeys } from '../lockfiles/settings-file.ts';
import { requirePlainWorkspaces } from '../lockfiles/workspaces.ts';
import { readNpmrcLines } from '../lockfiles/npmrc-lines.ts';
import { unguessableRcName, type Manager } from './manager.ts';

const PNPM_WORKSPACE = 'pnpm-workspace.yaml';

// pnpm 9 takes no workspace without packages.
const ALONE = "packages:\n  - '.'\n";

/** Settings of pnpm that decide what the tree looks like, as pnpm-workspace.yaml has them. */
export const PNPM_KEPT: ReadonlySet<string> = new Set([
  'packages',
  'catalog',
  'catalogs',
  'overrides',
  'packageExtensions',
  'peerDependencyRules',
  'allowedDeprecatedVersions',
  'ignoredOptionalDependencies',
  'supportedArchitectures',
  'autoInstallPeers',
  'strictPeerDependencies',
  'dedupePeerDependents',
  'dedupeDirectDeps',
  'excludeLinksFromLockfile',
  'injectWorkspacePackages',
  'linkWorkspacePackages',
  'preferWorkspacePackages',
  'nodeLinker',
  'hoist',
  'hoistPattern',
  'hoistWorkspacePackages',
  'publicHoistPattern',
  'shamefullyHoist',
  'resolutionMode',
  'savePrefix',
  'saveWorkspaceProtocol',
  'sharedWorkspaceLockfile',
  'minimumReleaseAge',
  'minimumReleaseAgeExclude',
  'blockExoticSubdeps',
]);

const BERRY_KEPT: ReadonlySet<string> = new Set([
  'nodeLinker',
  'nmHoistingLimits',
  'nmSelfReferences',
  'defaultSemverRangePrefix',
  'packageExtensions',
  'supportedArchitectures',
  'catalog',
  'catalogs',
  'npmMinimalAgeGate',
  'npmPreapprovedPackages',
]);

const PLAIN_VALUE = /^[A-Za-z0-9^~._*@!/, -]{0,256}$/;

/** What a private folder gets of the project's settings. */
export interface StagedSettings {
  /** Files, by name. */
  readonly files: ReadonlyMap<string, string>;
  /** For Yarn Berry: what its settings file is called in this run. */
  readonly rcName: string;
}

/**
 * The settings for a private folder, with a name for Yarn Berry's that no other run has.
 *
 * @throws {CliError} BP9005 for settings that can't be followed in a private folder
 */
export async function stagedSettings({ kind }: Manager, project: string): Promise<StagedSettings> {
  const rcName = unguessableRcName();
  switch (kind) {
    case 'pnpm':
      return { files: await pnpmSettings(project), rcName };
    case 'yarn-berry':
      return { files: await berrySettings(project, rcName), rcName };
    case 'yarn-classic':
    case 'bun':
      return { files: new Map(), rcName };
  }
}

// A workspace file is written in any case: pnpm would look for one in the folders above.
async function pnpmSettings(project: string): Promise<ReadonlyMap<string, string>> {
  const path = join(project, PNPM_WORKSPACE);
  const workspace = await keptBlocks(path, PNPM_KEPT);
  // Of all that is kept, not of the line that looks like the key: only so it is what pnpm reads.
  const { value } = parsePlainYaml(withoutRemarks(workspace), path);
  requirePlainWorkspaces(asTable(value)?.['packages'], path);
  const npmrc = readNpmrcLines((await readSettingsFile(join(project, '.npmrc'))) ?? '');
  const kept = npmrc.filter(({ key, value }) => {
    return PNPM_KEPT.has(camelCase(key)) && PLAIN_VALUE.test(value.trim());
  });
  return new Map([
    [PNPM_WORKSPACE, /^["']?packages\b/m.test(workspace) ? workspace : `${workspace}${ALONE}`],
    ['.npmrc', kept.map(({ key, value }) => `${key}=${value.trim()}\n`).join('')],
  ]);
}

/**
 * The folders that a pnpm-workspace.yaml names, `undefined` without one; as patterns, not looked at yet.
 *
 * @throws {CliError} BP6003, BP9004 or BP9005 for one that can't be read
 */
export async function readPnpmPackages(project: string): Promise<JsonValue | undefined> {
  const path = join(project, PNPM_WORKSPACE);
  const text = await keptBlocks(path, new Set(['packages']));
  return asTable(parsePlainYaml(withoutRemarks(text), path).value)?.['packages'];
}

async function berrySettings(
  project: string,
  rcName: string,
): Promise<ReadonlyMap<string, string>> {
  const path = join(project, '.yarnrc.yml');
  const text = await keptBlocks(path, BERRY_KEPT);
  const [, linker] = /^nodeLinker:\s*["']?([a-z-]+)["']?\s*$/m.exec(text) ?? [];
  // Plug'n'Play is a program that Yarn writes, with paths into a cache: nothing that could be moved.
  if (linker !== 'node-modules') {
    throw new CliError('BP9005', `${path}: only nodeLinker: node-modules can be installed here`, {
      hints: ['bftpkg proxy -- yarn install'],
    });
  }
  return new Map([[rcName, `${text}enableScripts: false\n`]]);
}

// A line up to a remark behind a value. Were one cut within quotes, their end would be missing, which the
// reader refuses.
const BEFORE_REMARK = /^((?:[^'"#]|'[^']*'|"[^"\\]*"|(?<=[^ \t])#)*?)[ \t]#.*$/;

// The reader takes no remarks behind values; pnpm does.
function withoutRemarks(text: string): string {
  return text
    .split('\n')
    .map((line) => line.replace(BEFORE_REMARK, '$1'))
    .join('\n');
}

/** The blocks of a YAML file whose keys are kept, as they are written. */
async function keptBlocks(path: string, kept: ReadonlySet<string>): Promise<string> {
  const lines = ((await readSettingsFile(path)) ?? '').split(/\r\n|\r|\n/);
  const starts = [...(await topLevelKeys(path))].toSorted(([, a], [, b]) => a - b);
  const blocks = starts.flatMap(([key, line], i) => {
    if (!kept.has(key)) return [];
    const end = (starts[i + 1]?.[1] ?? lines.length + 1) - 1;
    return lines.slice(line - 1, end).filter((each) => !each.startsWith('---'));
  });
  return blocks.length === 0 ? '' : `${blocks.join('\n').trimEnd()}\n`;
}

function camelCase(key: string): string {
  return key.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
