// Whether the package manager reads the lockfile that lies there. Settings of a project make it read another file,
// or none: what was verified would say nothing about what is installed, and the settings are as easily changed by
// a pull request as the lockfile is.
import { dirname, join, relative, sep } from 'node:path';

import { quote } from '../../verifier/errors.ts';
import { CliError } from '../errors.ts';
import { readNpmrcLines } from './npmrc-lines.ts';
import type { LockFormat } from './lockfile.ts';
import { readClassicLines, readSettingsFile, topLevelSettings } from './settings-file.ts';
import { requireNoWorkspaceAbove } from './workspace-above.ts';

/** Names without `-` and `_`, in lower case, with the one value that changes nothing; `null` for none. */
type Settings = ReadonlyMap<string, string | null>;

const NPM: Settings = new Map([
  ['packagelock', 'true'],
  ['shrinkwrap', 'true'],
]);

// All spellings that versions 9 to 12 or their manuals know; tried in both files.
const PNPM: Settings = new Map([
  ...NPM,
  ['lockfile', 'true'],
  ['uselockfile', 'true'],
  ['sharedworkspacelockfile', 'true'],
  ['sharedworkspaceshrinkwrap', 'true'],
  // `pnpm-lock.<branch>.yaml` is read instead.
  ['gitbranchlockfile', 'false'],
  ['mergegitbranchlockfiles', 'false'],
  ['mergegitbranchlockfilesbranchpattern', null],
  ['lockfiledir', null],
  ['lockfiledirectory', null],
  ['shrinkwrapdirectory', null],
  // Another folder's lockfile.
  ['workspacedir', null],
  ['dir', null],
]);

// Of a folder below: its own lockfile is read, not that of the workspace around it.
const PNPM_BELOW: Settings = new Map([...PNPM, ['ignoreworkspace', 'false']]);

const BERRY: Settings = new Map([['lockfilefilename', 'yarn.lock']]);

// Arguments of Yarn Classic's command line that a `.yarnrc` may have: they change neither which lockfile is read
// nor what is compared with it.
const CLASSIC_HARMLESS: ReadonlySet<string> = new Set([
  'check-files',
  'emoji',
  'exact',
  'frozen-lockfile',
  'ignore-engines',
  'ignore-optional',
  'ignore-platform',
  'ignore-scripts',
  'mutex',
  'network-concurrency',
  'network-timeout',
  'no-emoji',
  'no-progress',
  'non-interactive',
  'silent',
  'verbose',
]);

/**
 * Refuses settings of a project that make its package manager read another lockfile, or none.
 *
 * @param format of the lockfile
 * @param folder that has it, absolute
 * @param project where the package manager is started, absolute: settings on the way to `folder` count as well
 * @throws {CliError} BP9005 naming file, line and setting; BP6003 for a line that could set anything, BP9004 for a
 *   file that can't be read
 */
export async function requirePlainLockfile(
  format: LockFormat,
  folder: string,
  project: string = folder,
): Promise<void> {
  await requireNoWorkspaceAbove(format, folder);
  switch (format) {
    case 'npm':
      return await checkNpmrc(folder, NPM);
    case 'pnpm':
      for (const place of foldersBetween(project, folder)) {
        await checkNpmrc(place, project === folder ? PNPM : PNPM_BELOW);
      }
      return await checkYaml(join(folder, 'pnpm-workspace.yaml'), PNPM);
    case 'yarn-berry':
      return await checkYaml(join(folder, '.yarnrc.yml'), BERRY);
    case 'yarn-classic':
      // It reads those of all folders above.
      for (const place of foldersBetween(project, undefined)) await checkClassic(place);
      return;
    case 'bun':
      return;
  }
}

/** From `inner` up to `outer`, or the root; `outer` alone when the other does not lie in it. */
function foldersBetween(inner: string, outer: string | undefined): readonly string[] {
  if (outer !== undefined) {
    const [first] = relative(outer, inner).split(sep);
    if (first === '..' || first === undefined) return [outer];
  }
  const found: string[] = [];
  for (let at = inner; ; at = dirname(at)) {
    found.push(at);
    if (at === outer || dirname(at) === at) return found;
  }
}

async function checkNpmrc(folder: string, settings: Settings): Promise<void> {
  const path = join(folder, '.npmrc');
  for (const { line, key, value } of readNpmrcLines((await readSettingsFile(path)) ?? '')) {
    // A variable in a key may become any of them.
    const isHidden = key.includes('${');
    if (isHidden || isOther(settings, key, value)) throw refused(`${path}:${line}`, key);
  }
}

async function checkYaml(path: string, settings: Settings): Promise<void> {
  for (const { key, line, text } of await topLevelSettings(path)) {
    if (isOther(settings, key, text)) throw refused(`${path}:${line}`, key);
  }
}

function isOther(settings: Settings, key: string, value: string): boolean {
  const harmless = settings.get(key.replaceAll(/[-_]/g, '').toLowerCase());
  return harmless !== undefined && value !== harmless;
}

async function checkClassic(folder: string): Promise<void> {
  const path = join(folder, '.yarnrc');
  for (const { line, names } of readClassicLines((await readSettingsFile(path)) ?? '')) {
    const name = names.find((each) => {
      // `--<command>.<flag>` is for one command.
      const flag = /^--(?:[a-z-]+\.)?(.*)$/.exec(each)?.[1];
      return flag !== undefined && !CLASSIC_HARMLESS.has(flag);
    });
    if (name !== undefined) throw refused(`${path}:${line}`, name);
  }
}

function refused(place: string, setting: string): CliError {
  const message = `${place}: sets ${quote(setting)}: may have another lockfile read, or none`;
  return new CliError('BP9005', message, {
    hints: ['remove the line, or move it into your own settings'],
  });
}
