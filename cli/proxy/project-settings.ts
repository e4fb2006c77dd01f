// What a project's own files tell package managers to do: what would lead past the proxy is refused, what
// runs code of the project before anything else is named. These files are anybody's who can open a pull
// request; nobody reads them in review.
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { quote } from '../../verifier/errors.ts';
import { CliError, systemCode } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { isThere } from '../lockfiles/load.ts';
import { readProjectNpmrc } from '../npm/npmrc.ts';

/** No such file is longer than some kilobytes. */
const SETTINGS_BYTES_MAX = 256 * 1024;

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
// A line of Yarn Classic that begins so is an argument of its command line, and beats everything.
const CLASSIC_REFUSED =
  /^["']?(?:--|proxy\b|https-proxy\b|script-shell\b|strict-ssl\b|yarn-offline-mirror\b|cafile\b)/;
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
  for (let folder = project; ; folder = dirname(folder)) {
    notes.push(...(await checkYarn(folder, noteCode)));
    if (dirname(folder) === folder) break;
  }
  await checkPnpm(project, noteCode);
  await checkBun(project, noteCode);
  return { notes, scopes };
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
  for (const [at, line] of ((await readSettingsFile(classic)) ?? '').split(/\r?\n/).entries()) {
    const plain = line.trim();
    if (CLASSIC_REFUSED.test(plain)) throw refused(`${classic}:${at + 1}`, plain);
    if (/^["']?yarn-path\b/.test(plain)) notes.push(`${classic}: no effect here: yarn-path`);
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

/**
 * The keys of a YAML table in block style, with their lines. Only what stands at the left edge matters, and
 * of that whatever could be a key in disguise is refused.
 */
export async function topLevelKeys(path: string): Promise<ReadonlyMap<string, number>> {
  const keys = new Map<string, number>();
  const text = (await readSettingsFile(path)) ?? '';
  for (const [at, line] of text.split(/\r\n|\r|\n/).entries()) {
    if (/^(?:[ \t#]|---\s*$|-(?: |$)|$)/.test(line)) continue;
    const [, double, single, plain] =
      /^(?:"([^"\\]*)"|'([^']*)'|([A-Za-z_@][^:#"'{}[\]&*!|>%]*?))\s*:(?:\s|$)/.exec(line) ?? [];
    const key = double ?? single ?? plain;
    if (key === undefined) {
      const shown = quote(line);
      throw new CliError('BP6003', `${path}:${at + 1}: cannot tell what it sets: ${shown}`, {
        hints: ['write it as plain lines, key: value'],
      });
    }
    keys.set(key, at + 1);
  }
  return keys;
}

/** A settings file's text; `undefined` when there is none. @throws {CliError} BP9004 */
export async function readSettingsFile(path: string): Promise<string | undefined> {
  try {
    if ((await stat(path)).size > SETTINGS_BYTES_MAX)
      throw new CliError('BP9004', `${path}: too large`);
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof CliError) throw error;
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined;
    throw new CliError('BP9004', `${path}: ${systemReason(error, 'cannot be read')}`);
  }
}
