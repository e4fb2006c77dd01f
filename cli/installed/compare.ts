// One installed package against its verified tarball, file by file, byte by byte. The differences that
// installers make on purpose are known and named; every other one is a finding.
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { ArchiveListing } from '../../verifier/archive/tarball.ts';
import { equalBytes } from '../../verifier/bytes.ts';
import { CliError } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';

/** Most files looked at in one package: as many as a tarball may have, and what scripts add to them. */
const FILES_MAX = 400_000;
/** Deeper than a tarball's paths may be. */
const DEPTH_MAX = 128;

// Where packages of the tree are, each compared by itself: below the package, and below those that it bundles.
// A node_modules anywhere else is no package manager's, and Node reads it all the same.
const MODULES = /^(?:node_modules\/(?:@[^/]+\/)?[^/]+\/)*node_modules(?:\/@[^/]+)?$/;

/** A difference between the disk and the tarball. */
export interface FileDifference {
  readonly kind: 'changed' | 'missing' | 'extra';
  /** In the package, with slashes. */
  readonly path: string;
}

/** How an installed package compares with its tarball. */
export interface PackageComparison {
  readonly differences: readonly FileDifference[];
  /** Folders below its node_modules that came with the tarball, relative to it. */
  readonly bundled: ReadonlySet<string>;
}

/**
 * Compares.
 *
 * @param folder absolute
 * @throws {CliError} BP9004 for what can't be read
 */
export async function comparePackage(
  folder: string,
  tarball: ArchiveListing,
): Promise<PackageComparison> {
  const expected = new Map(tarball.files.map((file) => [file.path, file]));
  const folders = foldersOf(expected.keys());
  const onDisk = await listFiles(folder, (path) => folders.has(path) || expected.has(path));
  const programs = programFiles(tarball);
  const differences: FileDifference[] = [];
  for (const [path, file] of expected) {
    const at = onDisk.has(path) ? path : renamed(path, expected, onDisk);
    const content = tarball.archive.subarray(file.offset, file.offset + file.size);
    if (at === undefined) differences.push({ kind: 'missing', path });
    else if (
      onDisk.get(at) !== 'file' ||
      !(await isSame(join(folder, at), content, programs.has(path)))
    ) {
      differences.push({ kind: 'changed', path: at });
    }
    if (at !== undefined) onDisk.delete(at);
  }
  for (const path of onDisk.keys()) differences.push({ kind: 'extra', path });
  const bundled = [...folders].filter((path) =>
    /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/@][^/]*$/.test(path),
  );
  return { differences, bundled: new Set(bundled) };
}

/** Every folder that a list of files implies. */
function foldersOf(paths: Iterable<string>): ReadonlySet<string> {
  const folders = new Set<string>();
  for (const path of paths) {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const folder = path.slice(0, at);
      if (folders.has(folder)) break;
      folders.add(folder);
    }
  }
  return folders;
}

/** All files of a package; of the packages in its node_modules only those that came with it. */
async function listFiles(
  root: string,
  isBundled: (path: string) => boolean,
): Promise<Map<string, 'file' | 'other'>> {
  const found = new Map<string, 'file' | 'other'>();
  const walk = async (path: string, depth: number): Promise<void> => {
    if (depth > DEPTH_MAX) throw new CliError('BP9004', `${root}: folders nested too deeply`);
    const isModules = MODULES.test(path);
    for (const each of await readdir(join(root, path), { withFileTypes: true })) {
      const inner = path === '' ? each.name : `${path}/${each.name}`;
      if (isModules && !isBundled(inner)) continue;
      if (each.isDirectory()) await walk(inner, depth + 1);
      else found.set(inner, each.isFile() ? 'file' : 'other');
      if (found.size > FILES_MAX) throw new CliError('BP9004', `${root}: too many files`);
    }
  };
  try {
    await walk('', 0);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('BP9004', `${root}: ${systemReason(error, 'cannot be read')}`);
  }
  return found;
}

// npm unpacks `.gitignore` as `.npmignore`, unless there is one.
function renamed(
  path: string,
  expected: ReadonlyMap<string, unknown>,
  onDisk: ReadonlyMap<string, unknown>,
): string | undefined {
  const other = path.replace(/(^|\/)\.gitignore$/, '$1.npmignore');
  return other !== path && !expected.has(other) && onDisk.has(other) ? other : undefined;
}

function programFiles({ manifest }: ArchiveListing): ReadonlySet<string> {
  const { bin } = manifest;
  const targets =
    bin === undefined || bin === null || typeof bin !== 'object' ? [] : Object.values(bin);
  return new Set(targets.filter((target) => typeof target === 'string'));
}

async function isSame(path: string, content: Uint8Array, isProgram: boolean): Promise<boolean> {
  const fixed = isProgram ? withUnixFirstLine(content) : content;
  try {
    const { size } = await lstat(path);
    // Sizes first: nothing larger than what is expected is ever read.
    if (size !== content.length && size !== fixed.length) return false;
    const bytes = new Uint8Array(await readFile(path));
    return equalBytes(bytes, content) || equalBytes(bytes, fixed);
  } catch (error) {
    throw new CliError('BP9004', `${path}: ${systemReason(error, 'cannot be read')}`);
  }
}

// npm drops the carriage return of `#!…` in programs, with which no Unix would start them.
function withUnixFirstLine(content: Uint8Array): Uint8Array {
  const newline = content.indexOf(0x0a);
  if (content[0] !== 0x23 || content[1] !== 0x21 || newline < 1 || content[newline - 1] !== 0x0d) {
    return content;
  }
  const fixed = new Uint8Array(content.length - 1);
  fixed.set(content.subarray(0, newline - 1));
  fixed.set(content.subarray(newline), newline - 1);
  return fixed;
}
