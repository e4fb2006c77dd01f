// Whether a lockfile is read where it lies, or that of a workspace around it: a package manager that is started in
// a member's folder installs by the lockfile of the root, and does not look at one of the member's own. Whoever can
// add files could have one lockfile verified there and another one installed.
import { dirname, join, relative, sep } from 'node:path';

import { VerifyError, quote } from '../../verifier/errors.ts';
import type { JsonValue } from '../../verifier/json.ts';
import { CliError } from '../errors.ts';
import { readIfThere } from '../read-file.ts';
import { asTable, isPlainPath } from './classify.ts';
import { parseForeignJson } from '../../verifier/foreign-json.ts';
import { globMatcher } from './glob.ts';
import type { LockFormat } from './lockfile.ts';

const PNPM_WORKSPACE = 'pnpm-workspace.yaml';

/** A package.json that any package manager reads is smaller. */
const PACKAGE_JSON_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Refuses a lockfile of a folder that is a member of a workspace above it.
 *
 * @param folder that has the lockfile, absolute
 * @throws {CliError} BP9005 naming the workspace
 */
export async function requireNoWorkspaceAbove(format: LockFormat, folder: string): Promise<void> {
  // Yarn from version 2 on takes the nearest yarn.lock for the root.
  if (format === 'yarn-berry') return;
  const isPnpm = format === 'pnpm';
  const file = isPnpm ? PNPM_WORKSPACE : 'package.json';
  const [above] = isPnpm ? await pnpmAbove(folder) : await packagesAbove(folder);
  if (above === undefined) return;
  const inner = relative(above, folder);
  throw new CliError('BP9005', `${join(above, file)}: ${quote(inner)} is in a workspace`, {
    hints: [
      `its own lockfile is not read: verify in ${above}`,
      isPnpm ? `or give ${inner} a pnpm-workspace.yaml of its own` : 'or take it out there',
    ],
  });
}

/**
 * The folders whose workspace a folder may be in, for any package manager.
 *
 * @param folder absolute
 * @throws {CliError} BP9004 for a file that can't be read
 */
export async function workspacesAbove(folder: string): Promise<readonly string[]> {
  return [...(await pnpmAbove(folder)), ...(await packagesAbove(folder))];
}

// pnpm takes the nearest such file, whether or not it names the folder (versions 9 and 10).
async function pnpmAbove(folder: string): Promise<readonly string[]> {
  for (let at = folder; ; at = dirname(at)) {
    if ((await read(join(at, PNPM_WORKSPACE))) !== undefined) return at === folder ? [] : [at];
    if (dirname(at) === at) return [];
  }
}

async function packagesAbove(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (let at = folder; dirname(at) !== at;) {
    at = dirname(at);
    const bytes = await read(join(at, 'package.json'));
    if (bytes !== undefined && names(bytes, relative(at, folder).split(sep))) found.push(at);
  }
  return found;
}

async function read(path: string): Promise<Uint8Array | undefined> {
  return await readIfThere(path, PACKAGE_JSON_BYTES_MAX);
}

function names(bytes: Uint8Array, folder: readonly string[]): boolean {
  let document: JsonValue;
  try {
    document = parseForeignJson(bytes, { lengthMax: PACKAGE_JSON_BYTES_MAX }).value;
  } catch (error) {
    // Above the project lies what others wrote; what can't be read names nobody.
    if (error instanceof VerifyError) return false;
    throw error;
  }
  const field = asTable(document)?.['workspaces'];
  const table = asTable(field);
  const patterns = (table === undefined ? field : table['packages']) ?? [];
  const all = Array.isArray(patterns) ? (patterns as readonly JsonValue[]) : [patterns];
  return all.some((pattern) => typeof pattern === 'string' && mayMean(pattern, folder));
}

/** Whether a pattern may mean a folder. One that leaves folders out is passed over: what is refused is refused. */
function mayMean(pattern: string, folder: readonly string[]): boolean {
  if (pattern.startsWith('!')) return false;
  const plain = pattern.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '');
  // Alternatives, sets, and whatever else package managers read in different ways.
  if (!isPlainPath(plain) || /[[\]{}()|?]/.test(plain)) return true;
  // Whether the parts so far can end behind each part of the path.
  let ends = [true, ...folder.map(() => false)];
  for (const part of plain.split('/')) {
    const matches = globMatcher(part);
    const next: boolean[] = [];
    for (const [at, isEnd] of ends.entries()) {
      const name = folder[at - 1] ?? '';
      if (part === '**') next.push(isEnd || next[at - 1] === true);
      else next.push(at > 0 && ends[at - 1] === true && matches(name));
    }
    ends = next;
  }
  return ends.at(-1) === true;
}
