// What a project's own files tell package managers to do: what would lead past the proxy is refused, what
// runs code of the project before anything else is named. These files are anybody's who can open a pull
// request; nobody reads them in review.
import { dirname, join } from 'node:path';

import { quote } from '../../verifier/errors.ts';
import { CliError } from '../errors.ts';
import { isThere } from '../lockfiles/load.ts';
import { readClassicLines, readSettingsFile, topLevelKeys } from '../lockfiles/settings-file.ts';
import { PNPM_KEPT } from '../managers/settings.ts';
import { readNpmrcLines } from '../lockfiles/npmrc-lines.ts';
import { readProjectNpmrc } from '../npm/npmrc.ts';
import { leadsPnpmAstray, PNPM_HARMLESS } from './pnpm-settings.ts';

// Proxies, and exceptions from them; certificates; programs.
const BERRY_REFUSED = [
  'networkSettings',
  'httpProxy',
  'httpsProxy',
  'httpsCaFilePath',
  'caFilePath',
  'enableStrictSsl',
  'unsafeHttpWhitelist',
];
const PNPM_REFUSED = [
  'proxy',
  'httpProxy',
  'httpsProxy',
  'noProxy',
  'noproxy',
  'http-proxy',
  'https-proxy',
  'no-proxy',
  'registries',
  'scriptShell',
  'script-shell',
  'nodeOptions',
  'node-options',
  'strictSsl',
  'strict-ssl',
];
// A name of Yarn Classic that begins with `--` is an argument of its command line, and beats everything.
const CLASSIC_REFUSED =
  /^(?:--|(?:proxy|https-proxy|script-shell|strict-ssl|yarn-offline-mirror|cafile)$)/;
const BUN_CACHE = /^\s*(?:\[\s*["']?install["']?\s*\.\s*["']?cache|["']?cache["']?\s*[=.])/m;

/** What the project's files say. */
export interface ProjectSettings {
  /** Lines for the user: what runs, and what has no effect. */
  readonly notes: readonly string[];
  /** Scopes (`@acme`) for which a registry is named. */
  readonly scopes: readonly string[];
}

/**
 * Reads the settings of all package managers that a project has.
 *
 * @param project absolute; Yarn reads the folders above it as well
 * @param code    what happens to code of the project that a manager would run: it runs, or the manager does
 *                not see it
 * @throws {CliError} BP6003 for a setting that leads past the proxy, BP9004 for a file that can't be read
 */
export async function checkProjectSettings(
  project: string,
  code: 'runs' | 'left out' = 'runs',
): Promise<ProjectSettings> {
  const notes: string[] = [];
  const noteCode = (what: string): void => {
    notes.push(code === 'runs' ? `${what} runs code of the project` : `${what}: left out here`);
  };
  const { ignored } = await readProjectNpmrc(project);
  const scopes = ignored.flatMap((key) => {
    const [, scope] = /^(@[a-z0-9._~-]+):registry$/.exec(key) ?? [];
    return scope === undefined ? [] : [scope];
  });
  for (const scope of scopes) notes.push(`.npmrc: no effect here: ${scope}:registry`);
  const around = foldersAround(project);
  for (const folder of around) notes.push(...(await checkYarn(folder, noteCode)));
  await checkPnpm(project, noteCode);
  if (code === 'runs') {
    for (const folder of around) await checkMirror(folder);
    await checkPnpmStores(around);
  }
  await checkBun(project, noteCode);
  return { notes, scopes };
}

/** A folder and those above it. */
function foldersAround(folder: string): readonly string[] {
  const above = dirname(folder);
  return above === folder ? [folder] : [folder, ...foldersAround(above)];
}

// Yarn Classic reads the .npmrc of every folder above, and takes a mirror from there, too.
async function checkMirror(folder: string): Promise<void> {
  const path = join(folder, '.npmrc');
  for (const { line, key } of readNpmrcLines((await readSettingsFile(path)) ?? '')) {
    if (key === 'yarn-offline-mirror') throw refused(`${path}:${line}`, key);
  }
}

// Tarballs that lie in a store or a mirror are taken without asking anybody, and so past the proxy. pnpm reads the
// .npmrc of the folder that it works in and that of its workspace, and the nearest pnpm-workspace.yaml.
async function checkPnpmStores(around: readonly string[]): Promise<void> {
  let root: string | undefined;
  for (const folder of around) {
    if (!(await isThere(join(folder, 'pnpm-workspace.yaml')))) continue;
    root = folder;
    break;
  }
  for (const folder of new Set([around[0], root])) {
    if (folder === undefined) continue;
    const path = join(folder, '.npmrc');
    for (const { line, key, value } of readNpmrcLines((await readSettingsFile(path)) ?? '')) {
      if (leadsPnpmAstray(key, value)) throw refused(`${path}:${line}`, key);
    }
  }
  if (root === undefined) return;
  const path = join(root, 'pnpm-workspace.yaml');
  for (const [key, line] of await topLevelKeys(path)) {
    if (!PNPM_KEPT.has(key) && !PNPM_HARMLESS.has(key)) throw refused(`${path}:${line}`, key);
  }
}

type NoteCode = (what: string) => void;

async function checkYarn(folder: string, noteCode: NoteCode): Promise<readonly string[]> {
  const notes: string[] = [];
  const berry = join(folder, '.yarnrc.yml');
  const keys = await topLevelKeys(berry);
  refuseAny(berry, keys, BERRY_REFUSED);
  if (keys.has('plugins')) noteCode(`${berry}: plugins`);
  if (keys.has('yarnPath')) notes.push(`${berry}: no effect here: yarnPath`);
  const classic = join(folder, '.yarnrc');
  for (const { line, names } of readClassicLines((await readSettingsFile(classic)) ?? '')) {
    const name = names.find((each) => CLASSIC_REFUSED.test(each));
    if (name !== undefined) throw refused(`${classic}:${line}`, name);
    if (names.includes('yarn-path')) notes.push(`${classic}: no effect here: yarn-path`);
  }
  return notes;
}

async function checkPnpm(project: string, noteCode: NoteCode): Promise<void> {
  const workspace = join(project, 'pnpm-workspace.yaml');
  const keys = await topLevelKeys(workspace);
  refuseAny(workspace, keys, PNPM_REFUSED);
  for (const name of ['.pnpmfile.cjs', '.pnpmfile.mjs', 'pnpmfile.js']) {
    if (await isThere(join(project, name))) noteCode(name);
  }
  for (const key of ['pnpmfile', 'configDependencies', 'globalPnpmfile']) {
    if (keys.has(key)) noteCode(`pnpm-workspace.yaml: ${key}`);
  }
}

async function checkBun(project: string, noteCode: NoteCode): Promise<void> {
  const path = join(project, 'bunfig.toml');
  const text = await readSettingsFile(path);
  if (text === undefined) return;
  // A cache of the project's choice is used without asking anybody.
  if (BUN_CACHE.test(text)) throw refused(path, 'install.cache');
  if (/scanner|preload/.test(text)) noteCode('bunfig.toml');
}

function refuseAny(
  path: string,
  keys: ReadonlyMap<string, number>,
  names: readonly string[],
): void {
  const name = names.find((each) => keys.has(each));
  if (name !== undefined) throw refused(`${path}:${keys.get(name) ?? 0}`, name);
}

function refused(place: string, setting: string): CliError {
  return new CliError('BP6003', `${place}: sets ${quote(setting)}`, {
    hints: ['remove the line, or move it into your own settings'],
  });
}
