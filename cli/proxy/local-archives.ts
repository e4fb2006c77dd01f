// Archives in the project: package managers unpack them, and run what is in them, without asking any registry,
// so the proxy would never see them (tried: `bun add file:evil.tgz` inside of it installed, and ran, whatever
// was in the file). They are looked for before the manager is started: in what is typed, in what the project
// asks for, and in its lockfiles, which a manager follows even where nothing asks for an entry.
import { basename, dirname, join, resolve } from 'node:path';

import { quote } from '../../verifier/errors.ts';
import type { JsonValue } from '../../verifier/json.ts';
import { PACKAGE_JSON_BYTES_MAX } from '../../verifier/npm/package-json.ts';
import { CliError } from '../errors.ts';
import { asStrings, asTable, type Table } from '../lockfiles/classify.ts';
import { isThere, LOCKFILE_NAMES } from '../lockfiles/load.ts';
import { LOCKFILE_BYTES_MAX } from '../lockfiles/lockfile.ts';
import { workspacesAbove } from '../lockfiles/workspace-above.ts';
import { findWorkspaces, requirePlainWorkspaces } from '../lockfiles/workspaces.ts';
import { readPnpmPackages } from '../managers/settings.ts';
import { parsePackageJson } from '../npm/npm.ts';
import { diagnostic, type SubjectReport } from '../output/report.ts';
import { readIfThere } from '../read-file.ts';
import { blankSubject } from '../session/report-subject.ts';

/** An archive that would be unpacked unseen. */
export interface LocalArchive {
  /** Of the dependency; the text itself where no name is said. */
  readonly name: string;
  readonly text: string;
  /** File, or what is typed. */
  readonly place: string;
}

/**
 * By what all of them tell an archive from a folder. Addresses have to pass the proxy; `file://` is none, and Yarn
 * takes `::` and what follows off, others what looks like a fragment or a query.
 */
const ARCHIVE =
  /^(?!(?:https?|ssh|git(?:\+(?:https?|ssh))?):\/\/).*\.(?:tgz|tar|tar\.gz)\s*(?:(?:::|[#?]).*)?$/is;

/** Whether a range is an archive on this machine. */
export function isArchive(range: string): boolean {
  return ARCHIVE.test(range);
}

// A path in a lockfile, wherever it stands: behind it come quotes, a hash, or what Yarn notes of it.
const ARCHIVE_IN_LOCK =
  /(?:^|[\s"'`,{}[\]()])([^\s"'`,{}[\]()]*?\.(?:tgz|tar\.gz|tar))(?=[\s"'`,{}[\]()#?:]|$)/gim;
/** Elsewhere. npm takes a name in front of an address for a folder of the path. */
const ADDRESS = /^(?:https?|ssh|git(?:\+(?:https?|ssh))?):\/\//i;
/** The same as pnpm, Yarn and bun write it behind a name; Yarn 2 and later also as a part of one of npm's. */
const NAMED_ADDRESS =
  /^(?:@[^@/]+\/)?[^@/:]+@(?:(?:https?|ssh|git(?:\+(?:https?|ssh))?):\/\/|npm:[^:]+::__archiveUrl=https?%3a%2f%2f)/i;
const NPM_LOCK = /\.json$/;
/**
 * Escapes (JSON, YAML, JavaScript) that could spell a part of a path, or a line that goes on in the next one. No
 * package manager writes them.
 */
const HIDING = /(?<!\\)(?:\\\\)*\\(?:u(?:0000)?00[2-7]|u\{|x[2-7]|[0-7agz.]|\r?$)/im;

/** Read as text. pnpm takes the last two for a package.json. */
const TEXT_FILES = [
  ...LOCKFILE_NAMES,
  'pnpm-workspace.yaml',
  '.yarnrc.yml',
  'package.yaml',
  'package.json5',
];

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
  'packageExtensions',
  // bun's catalogs are in there.
  'workspaces',
] as const;
/** More than the workspaces of the largest monorepos. */
const FOLDERS_MAX = 20_000;
/** As deep as workspaces are looked for. */
const PATTERN_PARTS_MAX = 8;
/** What may be a folder of the user's own; the path itself. */
const FOLDER = /^(?:(?:file|link|portal|workspace):(?:\/\/)?|(?=\.|.*[\\/]))([^*^~].*)$/is;
/** A name that is typed in front of what it is for. */
const TYPED_NAME = /^(?:@[^@/]+\/)?[^@/:]+@(?=.)/;

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
  const wanted = isManager
    ? words.map((word) => [word, word.replace(TYPED_NAME, '')] as const)
    : [];
  const typed = wanted.filter(([, range]) => isArchive(range)).map(([word]) => word);
  const { found: asked, folders } = await inManifests(
    project,
    wanted.map(([, range]) => range),
  );
  const names = new Map(asked.map(({ name, text }) => [basename(text), name]));
  // Some lockfiles have the path alone: what asks for it has the name.
  const locked = (await inTexts(project, folders)).map((each) =>
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

/**
 * Looks through every package.json that a manager follows from the project: the workspace around it, all workspaces
 * in that, and folders that any of them asks for, wherever they lie; each may ask for the next.
 */
async function inManifests(
  project: string,
  typed: readonly string[],
): Promise<{ readonly found: readonly LocalArchive[]; readonly folders: readonly string[] }> {
  const start = await nearestPackage(project);
  const tops = new Set([project, start, ...(await workspacesAbove(start))]);
  const folders = new Set(tops);
  const found: LocalArchive[] = [];
  const follow = (range: string, from: string): void => {
    const [, path] = FOLDER.exec(range) ?? [];
    if (path === undefined || path.includes('\0') || isArchive(range)) return;
    // Overrides, catalogs and Yarn 1 mean the folder of the root.
    for (const base of [from, ...tops]) folders.add(resolve(base, path));
  };
  for (const range of typed) follow(range, project);
  // What is added meanwhile has its turn, too.
  for (const folder of folders) {
    if (folders.size > FOLDERS_MAX) {
      throw new CliError('BP9004', `${project}: asks for more than ${FOLDERS_MAX} folders`);
    }
    const path = join(folder, 'package.json');
    const table = await readManifest(path);
    for (const member of await members(folder, table)) folders.add(join(folder, member));
    if (table === undefined) continue;
    const take = (name: string, text: string): void => {
      if (isArchive(text)) found.push({ name, text, place: path });
      else follow(text, folder);
    };
    for (const each of [table, asTable(table['pnpm']) ?? {}]) {
      for (const field of DEPENDENCY_FIELDS) collect(each[field], field, take);
    }
  }
  return { found, folders: [...folders] };
}

// Package managers that are started below a package work on that.
async function nearestPackage(project: string): Promise<string> {
  for (const folder of foldersAround(project)) {
    for (const name of ['package.json', 'package.yaml', 'package.json5']) {
      if (await isThere(join(folder, name))) return folder;
    }
  }
  return project;
}

async function members(folder: string, table: Table | undefined): Promise<readonly string[]> {
  const found: string[] = [];
  for (const [file, field] of [
    ['package.json', table?.['workspaces']],
    ['pnpm-workspace.yaml', await readPnpmPackages(folder)],
  ] as const) {
    const path = join(folder, file);
    requirePlainWorkspaces(field, path);
    const patterns = asStrings(asTable(field)?.['packages'] ?? field).map(widened);
    if (patterns.some((pattern) => pattern.split('/').length > PATTERN_PARTS_MAX)) {
      throw new CliError('BP9005', `${path}: workspaces lie too deep`);
    }
    found.push(...(await findWorkspaces(folder, { workspaces: patterns })));
  }
  return found;
}

/** A pattern that has what it may mean at least: alternatives are more than is understood here. */
function widened(pattern: string): string {
  const parts = pattern.replace(/^(?:\.\/)+/, '').split('/');
  return parts.map((part) => (/[({?]/.test(part) ? '*' : part)).join('/');
}

// As deep as overrides nest, which the reader of JSON bounds.
function collect(
  value: JsonValue | undefined,
  name: string,
  take: (name: string, text: string) => void,
): void {
  if (typeof value === 'string') return take(name, value);
  for (const [key, each] of Object.entries(asTable(value) ?? {})) {
    collect(each, key, take);
  }
}

async function readManifest(path: string): Promise<Table | undefined> {
  const bytes = await readIfThere(path, PACKAGE_JSON_BYTES_MAX);
  // One that can't be read stops the manager as well.
  return bytes === undefined ? undefined : asTable(parsePackageJson(bytes).value);
}

// As text, in every form at once: what is no lockfile to our readers may be one to a manager.
async function inTexts(
  project: string,
  folders: readonly string[],
): Promise<readonly LocalArchive[]> {
  const found: LocalArchive[] = [];
  const paths = new Set(folders.flatMap((folder) => TEXT_FILES.map((file) => join(folder, file))));
  // Yarn joins those of all folders above.
  for (const folder of foldersAround(project)) paths.add(join(folder, '.yarnrc.yml'));
  for (const path of paths) {
    const text = (await readIfThere(path, LOCKFILE_BYTES_MAX))?.toString('utf8');
    if (text === undefined) continue;
    const [hiding] = HIDING.exec(text) ?? [];
    if (hiding !== undefined) {
      throw new CliError('BP9005', `${path}: ${quote(hiding)} could hide an archive`, {
        hints: ['write plain characters, without escapes'],
      });
    }
    for (const [, archive = ''] of text.matchAll(ARCHIVE_IN_LOCK)) {
      if (ADDRESS.test(archive)) continue;
      if (!NPM_LOCK.test(path) && NAMED_ADDRESS.test(archive)) continue;
      found.push({ name: nameIn(archive), text: archive, place: path });
    }
  }
  return found;
}

/** A folder and those above it. */
function foldersAround(folder: string): readonly string[] {
  const above = dirname(folder);
  return above === folder ? [folder] : [folder, ...foldersAround(above)];
}

/** The name in `name@file:…`; all of it where there is none. */
function nameIn(text: string): string {
  return /^((?:@[^@/\s]+\/)?[^@/\s:]+)@(?:file:)?[^@]+$/.exec(text)?.[1] ?? text;
}
