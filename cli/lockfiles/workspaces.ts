// The folders of workspaces by the patterns in package.json, for lockfiles that don't name them.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { quote } from '../../verifier/errors.ts';
import type { JsonValue } from '../../verifier/json.ts';
import { CliError, systemCode } from '../errors.ts';
import { asStrings, asTable, isPlainPath, type Table } from './classify.ts';
import { globMatcher } from './glob.ts';

// Deeper than any monorepo is laid out; `**` would walk everything otherwise.
const DEPTH_MAX = 8;
const WORKSPACES_MAX = 10_000;

// Alternatives of plain names. Others could spell `..` or the root: `{.,}./`, `{,a}/etc`.
const ALTERNATIVES = /\{[\w@*-]+(?:,[\w@*-]+)*\}|[!@+?*]?\([\w@*-]+(?:\|[\w@*-]+)*\)/g;

/**
 * Refuses patterns of workspaces that could mean a folder outside of the project. Package managers follow
 * `../../*` to wherever it leads, and write there: a repository must not name its neighbours.
 *
 * @param field `workspaces` of a package.json, or `packages` of a pnpm-workspace.yaml
 * @param path for messages
 * @throws {CliError} BP9005
 */
export function requirePlainWorkspaces(field: JsonValue | undefined, path: string): void {
  const table = asTable(field);
  const patterns = (table === undefined ? field : table['packages']) ?? [];
  for (const pattern of Array.isArray(patterns) ? (patterns as readonly JsonValue[]) : [patterns]) {
    if (typeof pattern === 'string' && staysInside(pattern)) continue;
    const shown = quote(typeof pattern === 'string' ? pattern : JSON.stringify(pattern));
    throw new CliError('BP9005', `${path}: workspaces may lie outside of the project: ${shown}`, {
      hints: ['name folders of the project, such as packages/*'],
    });
  }
}

function staysInside(pattern: string): boolean {
  const plain = pattern.replace(/^(?:!|\.\/)+/, '').replaceAll(ALTERNATIVES, 'x');
  if (/^\.?\/?$/.test(plain)) return pattern.startsWith('.');
  const isLiteral = !/[[\]{}()|]|\.\./.test(plain);
  return isLiteral && isPlainPath(plain.replace(/\/+$/, ''));
}

/** Folders that the `workspaces` of a package.json may mean, relative to it; not all have a package. */
export async function findWorkspaces(root: string, document: Table): Promise<readonly string[]> {
  const field = document['workspaces'];
  const patterns = asStrings(asTable(field)?.['packages'] ?? field);
  const found = new Set<string>();
  for (const pattern of patterns) {
    const isExcluding = pattern.startsWith('!');
    const plain = pattern.replace(/^!/, '').replace(/^\.\//, '').replace(/\/+$/, '');
    if (!isPlainPath(plain)) continue;
    if (!isExcluding) await expand(root, '', plain.split('/'), found, 0);
    else {
      // Of what stands before it: npm takes them in their order.
      const matches = globMatcher(plain);
      for (const folder of found) if (matches(folder)) found.delete(folder);
    }
  }
  return [...found].toSorted();
}

async function expand(
  root: string,
  folder: string,
  parts: readonly string[],
  found: Set<string>,
  depth: number,
): Promise<void> {
  const [part, ...rest] = parts;
  if (found.size >= WORKSPACES_MAX || depth > DEPTH_MAX) return;
  if (part === undefined) return void (folder !== '' && found.add(folder));
  // `**` stands for no folder as well.
  if (part === '**') await expand(root, folder, rest, found, depth + 1);
  const matches = globMatcher(part);
  for (const name of await foldersIn(join(root, folder), part !== '**')) {
    if (!matches(name)) continue;
    const inner = folder === '' ? name : `${folder}/${name}`;
    await expand(root, inner, part === '**' ? parts : rest, found, depth + 1);
  }
}

// Package managers follow links as well. Below `**` they could lead in circles.
async function foldersIn(folder: string, isWithLinks: boolean): Promise<readonly string[]> {
  try {
    const all = await readdir(folder, { withFileTypes: true });
    return all
      .filter((each) => each.isDirectory() || (isWithLinks && each.isSymbolicLink()))
      .map(({ name }) => name)
      .filter((name) => name !== 'node_modules' && name !== '.git');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(error) ?? '')) return [];
    throw error;
  }
}
