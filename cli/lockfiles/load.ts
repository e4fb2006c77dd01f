// Finding and reading a lockfile, whichever package manager wrote it.
import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { tuneForLargeDocuments } from '../engine.ts';
import { CliError, systemCode } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { requireOwnAbove } from '../trust/owners.ts';
import { fileNameOf, LOCKFILE_BYTES_MAX, unreadable, type Lockfile } from './lockfile.ts';
import { requirePlainLockfile } from './lock-settings.ts';
import { parseNpmLock } from './npm-lock.ts';

/** In the order in which they are looked for; npm-shrinkwrap.json wins over package-lock.json, as in npm. */
export const LOCKFILE_NAMES = [
  'npm-shrinkwrap.json',
  'package-lock.json',
  'pnpm-lock.yaml',
  'yarn.lock',
  'bun.lock',
] as const;

/** bun's own format before version 1.2, which leaves bun.lock aside. */
const BUN_BINARY = 'bun.lockb';
const BUN_MARK = Buffer.from('#!/usr/bin/env bun\nbun-lockfile-format-');

/**
 * Of some thousand packages, evidence for which is larger than everything else together. Told to V8 before the
 * lockfile is read: what its young generation has grown to by then it never gives back.
 */
export const LARGE_LOCKFILE_BYTES = 400_000;

/** What marks the top of a repository: above it other people may be able to write. */
export const REPOSITORY_MARK = '.git';

/**
 * Reads the named lockfile, or the nearest one in the project's folder or above it.
 *
 * @throws {CliError} BP9004 when there is none, BP9005 for one that can't be checked, or that the project has its
 *   package manager not read
 */
export async function loadLockfile(project: string, named?: string): Promise<Lockfile> {
  const path = named ?? (await findLockfile(project));
  let bytes: Buffer;
  try {
    const facts = await stat(path);
    if (!facts.isFile()) throw unreadable(path, 'not a file');
    if (facts.size > LOCKFILE_BYTES_MAX) throw unreadable(path, 'too large');
    bytes = await readFile(path);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('BP9004', `${path}: ${systemReason(error, 'cannot be read')}`);
  }
  if (bytes.length > LARGE_LOCKFILE_BYTES) tuneForLargeDocuments();
  const lockfile = await parse(bytes, path);
  await requirePlainLockfile(lockfile.format, dirname(resolve(path)), resolve(project));
  return lockfile;
}

function binary(path: string): CliError {
  return new CliError('BP9005', `${path}: the binary format of bun is not read`, {
    hints: [
      `bun install --save-text-lockfile --frozen-lockfile --lockfile-only, then remove ${BUN_BINARY}`,
    ],
  });
}

// npm's is by far the most common one; the readers of the others are loaded when one is met.
async function parse(bytes: Buffer, path: string): Promise<Lockfile> {
  if (fileNameOf(path) === BUN_BINARY || bytes.subarray(0, BUN_MARK.length).equals(BUN_MARK)) {
    throw binary(path);
  }
  if (fileNameOf(path).endsWith('.json')) return parseNpmLock(bytes, path);
  const { parseLockfile } = await import('./parse.ts');
  return parseLockfile(bytes, path);
}

/**
 * The nearest lockfile: in the folder, or in one above it up to the root of the repository.
 *
 * Two lockfiles of different package managers in one folder are refused: whoever checks one of them
 * would say nothing about what the other installs.
 *
 * @throws {CliError} BP9004, BP9005
 */
export async function findLockfile(project: string): Promise<string> {
  for (let folder = project; ; folder = dirname(folder)) {
    const found: string[] = [];
    for (const name of LOCKFILE_NAMES) if (await isThere(join(folder, name))) found.push(name);
    // Counted although it can't be read: a bun that finds it may go by it.
    if (await isThere(join(folder, BUN_BINARY))) found.push(BUN_BINARY);
    const [first, second] = found;
    // npm itself has a rule for its own two.
    const isOne = second === undefined || (second === 'package-lock.json' && found.length === 2);
    if (first === BUN_BINARY) throw binary(join(folder, first));
    if (first !== undefined && isOne) {
      const path = join(folder, first);
      if (folder !== project) await requireOwnAbove(path, project, '--lockfile');
      return path;
    }
    if (first !== undefined) {
      throw new CliError('BP9005', `${folder}: several lockfiles: ${found.join(', ')}`, {
        hints: [
          'remove those that your package manager does not read',
          `or verify one of them: bftpkg verify --lockfile ${first}`,
        ],
      });
    }
    if (dirname(folder) === folder || (await isThere(join(folder, REPOSITORY_MARK)))) break;
  }
  throw new CliError('BP9004', `no lockfile in ${project} or above it`, {
    hints: [
      'bftpkg install makes one, of verified packages; npm install --package-lock-only any',
      'or name releases or a tarball: bftpkg verify name@version',
    ],
  });
}

/** Whether there is something at a path. */
export async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(error) ?? '')) return false;
    throw new CliError('BP9004', `${path}: ${systemReason(error, 'cannot be read')}`);
  }
}
