// Archives in the project: package managers unpack them, and run what is in them, without asking any registry,
// so the proxy would never see them (tried: `bun add file:evil.tgz` inside of it installed, and ran, whatever
// was in the file). They are looked for before the manager is started: in what is typed, in what the project
// asks for, and in its lockfiles, which a manager follows even where nothing asks for an entry.
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { quote } from '../../verifier/errors.ts';
import type { JsonValue } from '../../verifier/json.ts';
import { CliError } from '../errors.ts';
import { asTable, type Table } from '../lockfiles/classify.ts';
import { isThere, LOCKFILE_NAMES } from '../lockfiles/load.ts';
import { LOCKFILE_BYTES_MAX } from '../lockfiles/lockfile.ts';
import { findWorkspaces } from '../lockfiles/workspaces.ts';
import { parsePackageJson } from '../npm/npm.ts';
import { diagnostic, type SubjectReport } from '../output/report.ts';
import { blankSubject } from '../session/report-subject.ts';

/** An archive that would be unpacked unseen. */
export interface LocalArchive {
  /** Of the dependency; the text itself where no name is said. */
  readonly name: string;
  readonly text: string;
  /** File, or what is typed. */
  readonly place: string;
}

/** By what all of them tell an archive from a folder. Addresses have to pass the proxy. */
const ARCHIVE = /^(?!.*:\/\/).*\.(?:tgz|tar|tar\.gz)$/is;

/** Whether a range is an archive on this machine. */
export function isArchive(range: string): boolean {
  return ARCHIVE.test(range);
}

// A path in a lockfile, wherever it stands: behind it come quotes, a hash, or what Yarn notes of it.
const ARCHIVE_IN_LOCK =
  /(?:^|[\s"'[(])([^\s"'`,{}[\]()]+?\.(?:tgz|tar\.gz|tar))(?=[\s"'`,{}[\]()#?:]|$)/gim;
/** Elsewhere: an address, also as Yarn 2 and later write one. */
const ADDRESS = /:\/\/|%3a%2f%2f/i;

const MANAGERS = new Set([
  'npm',
  'npx',
  'pnpm',
  'pnpx',
  'yarn',
  'yarnpkg',
  'bun',
  'bunx',
  'corepack',
]);

const DEPENDENCY_FIELDS = [
  'dependencies',
  'devDependencies',
  'optionalDependencies',
  'peerDependencies',
  'overrides',
  'resolutions',
  'catalog',
  'catalogs',
] as const;
/** Overrides nest; nobody's go deeper. */
const DEPTH_MAX = 32;

/**
 * Finds them.
 *
 * @param command what is run inside of the proxy; empty when the proxy serves whoever comes
 * @throws {CliError} BP9004 for a file that can't be read
 */
export async function findLocalArchives(
  project: string,
  command: readonly string[],
): Promise<readonly LocalArchive[]> {
  const [program = '', ...words] = command;
  const isManager = MANAGERS.has(basename(program).replace(/\.(?:cmd|exe|[cm]?js)$/i, ''));
  const typed = isManager ? words.filter((word) => isArchive(word)) : [];
  const asked = await inManifests(project);
  const names = new Map(asked.map(({ name, text }) => [basename(text), name]));
  // Some lockfiles have the path alone: what asks for it has the name.
  const locked = (await inLockfiles(project)).map((each) =>
    each.name === each.text ? { ...each, name: names.get(basename(each.text)) ?? each.name } : each,
  );
  return [
    ...typed.map((text) => ({ name: nameIn(text), text, place: 'what is typed' })),
    ...asked,
    ...locked,
  ];
}

/** Each as a row of a report, refused; a policy may then have its word. */
export function reportArchives(found: readonly LocalArchive[]): readonly SubjectReport[] {
  const rows = new Map<string, SubjectReport>();
  for (const { name, text, place } of found) {
    const message = `${name}: ${quote(text)} is an archive in the project, which no log has`;
    const problem = diagnostic('BP6006', message, { details: [['in', place]] });
    rows.set(`${name} ${text}`, {
      ...blankSubject(name, null, null),
      verdict: 'rejected',
      diagnostics: [problem],
    });
  }
  return [...rows.values()];
}

async function inManifests(project: string): Promise<readonly LocalArchive[]> {
  const root = await readManifest(join(project, 'package.json'));
  const folders = root === undefined ? [] : await findWorkspaces(project, root);
  const found: LocalArchive[] = [];
  for (const folder of ['', ...folders]) {
    const path = join(project, folder, 'package.json');
    const table = folder === '' ? root : await readManifest(path);
    if (table === undefined) continue;
    const own = [table, asTable(table['pnpm']) ?? {}];
    for (const each of own) {
      for (const field of DEPENDENCY_FIELDS) collect(each[field], field, path, found, 0);
    }
  }
  return found;
}

function collect(
  value: JsonValue | undefined,
  name: string,
  place: string,
  found: LocalArchive[],
  depth: number,
): void {
  if (typeof value === 'string') {
    if (isArchive(value)) found.push({ name, text: value, place });
    return;
  }
  if (depth > DEPTH_MAX) return;
  for (const [key, each] of Object.entries(asTable(value) ?? {})) {
    collect(each, key, place, found, depth + 1);
  }
}

async function readManifest(path: string): Promise<Table | undefined> {
  if (!(await isThere(path))) return undefined;
  // One that can't be read stops the manager as well.
  return asTable(parsePackageJson(await readFile(path)).value);
}

// As text, in every form at once: what is no lockfile to our readers may be one to a manager.
async function inLockfiles(project: string): Promise<readonly LocalArchive[]> {
  const found: LocalArchive[] = [];
  for (const file of [...LOCKFILE_NAMES, 'pnpm-workspace.yaml']) {
    const path = join(project, file);
    if (!(await isThere(path))) continue;
    const bytes = await readFile(path);
    if (bytes.length > LOCKFILE_BYTES_MAX) throw new CliError('BP9004', `${path}: too large`);
    for (const [, text = ''] of bytes.toString('utf8').matchAll(ARCHIVE_IN_LOCK)) {
      if (!ADDRESS.test(text)) found.push({ name: nameIn(text), text, place: path });
    }
  }
  return found;
}

/** The name in `name@file:…`; all of it where there is none. */
function nameIn(text: string): string {
  return /^((?:@[^@/\s]+\/)?[^@/\s:]+)@(?:file:)?[^@]+$/.exec(text)?.[1] ?? text;
}
