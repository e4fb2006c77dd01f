// A project's .npmrc can make npm run programs of its choice or fetch from elsewhere, whatever the
// lockfile says. Our npm never reads it: what is harmless is passed on as flags, what is dangerous is
// refused, because the next plain `npm` in this folder would obey it.
import { join } from 'node:path';

import { quote } from '../../verifier/errors.ts';
import { CliError } from '../errors.ts';
import { readNpmrcLines } from '../lockfiles/npmrc-lines.ts';
import { readTextIfThere } from '../read-file.ts';

const NPMRC_LENGTH_MAX = 64 * 1024;

// Programs that npm starts, code that Node loads, and ways round scripts being switched off.
const DANGEROUS = new Set([
  'git',
  'script-shell',
  'shell',
  'node-options',
  'node-gyp',
  'npm-gyp',
  'editor',
  'viewer',
  'globalconfig',
  'userconfig',
  'prefix',
  'dangerously-allow-all-scripts',
  'strict-ssl',
  'noproxy',
  'proxy',
  'https-proxy',
  'http-proxy',
  'replace-registry-host',
]);
const HARMLESS_ONLY_AS = new Map([
  ['ignore-scripts', 'true'],
  ['allow-git', 'none'],
  ['allow-file', 'none'],
  ['allow-remote', 'none'],
]);

// Settings about what the tree looks like. Only these reach our npm.
const PASSED_ON = new Set([
  'legacy-peer-deps',
  'strict-peer-deps',
  'omit',
  'include',
  'install-strategy',
  'engine-strict',
  'save-exact',
  'save-prefix',
  'prefer-dedupe',
]);
const PLAIN_VALUE = /^[A-Za-z0-9^~._-]{0,64}$/;

/** What of a project's .npmrc is used. */
export interface NpmrcResult {
  /** Flags for npm. */
  readonly flags: readonly string[];
  /** Keys that have no effect here. */
  readonly ignored: readonly string[];
}

/**
 * Reads the project's .npmrc.
 *
 * @throws {CliError} BP6003 for a dangerous setting, BP9004 for a file that can't be read
 */
export async function readProjectNpmrc(project: string): Promise<NpmrcResult> {
  const path = join(project, '.npmrc');
  const text = await readTextIfThere(path, NPMRC_LENGTH_MAX);
  if (text === undefined) return { flags: [], ignored: [] };
  return parseNpmrc(text, path);
}

/** As {@link readProjectNpmrc}, on the text. */
export function parseNpmrc(text: string, path: string): NpmrcResult {
  const flags: string[] = [];
  const ignored: string[] = [];
  for (const { line, key, value } of readNpmrcLines(text)) {
    // npm puts environment variables into keys too; whatever comes out is not for a project to choose.
    const isDangerous = DANGEROUS.has(key) || key.includes('${') || isSwitchedOn(key, value);
    if (isDangerous) {
      throw new CliError('BP6003', `${path}:${line}: sets ${quote(key)}`, {
        hints: ['remove the line, or move it into your own ~/.npmrc'],
      });
    }
    if (PASSED_ON.has(key) && PLAIN_VALUE.test(value)) flags.push(`--${key}=${value}`);
    // Those of none are so here anyway, and the hook writes one of them.
    else if (!key.startsWith('allow-')) ignored.push(key);
  }
  return { flags, ignored };
}

// Anything but the one harmless value: npm reads `0`, `false` and what variables give alike.
function isSwitchedOn(key: string, value: string): boolean {
  const harmless = HARMLESS_ONLY_AS.get(key);
  return harmless !== undefined && value !== harmless;
}
