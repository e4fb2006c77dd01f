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
  const file = isPnpm ? 'pnpm-workspace.yaml' : 'package.json';
  // pnpm takes the nearest such file, whether or not it names the folder (versions 9 and 10).
  if (isPnpm && (await read(join(folder, file))) !== undefined) return;
  for (let above = dirname(folder); ; above = dirname(above)) {
    const path = join(above, file);
    const bytes = above === folder ? undefined : await read(path);
    if (bytes !== undefined && (isPnpm || names(bytes, relative(above, folder).split(sep)))) {
      const inner = relative(above, folder);
      throw new CliError('BP9005', `${path}: ${quote(inner)} is in a workspace`, {
        hints: [
          `its own lockfile is not read: verify in ${above}`,
          isPnpm ? `or give ${inner} a pnpm-workspace.yaml of its own` : 'or take it out there',
        ],
      });
    }
    if (dirname(above) === above) return;
  }
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
