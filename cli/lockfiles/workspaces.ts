// The folders of workspaces by the patterns in package.json, for lockfiles that don't name them.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { systemCode } from '../errors.ts';
import { asStrings, asTable, isPlainPath, type Table } from './classify.ts';
import { globMatcher } from './glob.ts';

// Deeper than any monorepo is laid out; `**` would walk everything otherwise.
const DEPTH_MAX = 8;
const WORKSPACES_MAX = 10_000;

/** Folders that the `workspaces` of a package.json may mean, relative to it; not all have a package. */
export async function findWorkspaces(root: string, document: Table): Promise<readonly string[]> {
  const field = document['workspaces'];
  const patterns = asStrings(asTable(field)?.['packages'] ?? field);
  const found = new Set<string>();
  for (const pattern of patterns) {
    const plain = pattern.replace(/^\.\//, '').replace(/\/+$/, '');
    if (!isPlainPath(plain) || plain.startsWith('!')) continue;
    await expand(root, '', plain.split('/'), found, 0);
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
  for (const name of await foldersIn(join(root, folder))) {
    if (!matches(name)) continue;
    const inner = folder === '' ? name : `${folder}/${name}`;
    await expand(root, inner, part === '**' ? parts : rest, found, depth + 1);
  }
}

async function foldersIn(folder: string): Promise<readonly string[]> {
  try {
    const all = await readdir(folder, { withFileTypes: true });
    return all
      .filter((each) => each.isDirectory() && each.name !== 'node_modules' && each.name !== '.git')
      .map(({ name }) => name);
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return [];
    throw error;
  }
}
