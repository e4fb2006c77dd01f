// What the project itself asks for: the package.json of the root and of each workspace, as they lie beside
// the lockfile. They are the user's own words, which a lockfile must not exceed.
import { dirname, isAbsolute, join, posix } from 'node:path';

import { VerifyError } from '../../verifier/errors.ts';
import { parseForeignJson } from '../../verifier/foreign-json.ts';
import { PACKAGE_JSON_BYTES_MAX } from '../../verifier/npm/package-json.ts';
import { CliError } from '../errors.ts';
import { readIfThere } from '../read-file.ts';
import { asTable, asTexts, type Table } from './classify.ts';
import { LOCK_TEXT_LENGTH_MAX, type Edge, type Lockfile } from './lockfile.ts';
import { isThere } from './load.ts';
import { statedEdges } from './npm-lock.ts';
import { findWorkspaces } from './workspaces.ts';

/** The user's own wishes. */
export interface ProjectWishes {
  /** By node of the graph. Without a package.json beside the lockfile, what the lockfile says instead. */
  readonly edges: ReadonlyMap<string, readonly Edge[]>;
  /** What the root replaces: name of a package, and what it may be instead. */
  readonly overrides: ReadonlyMap<string, readonly string[]>;
  /** What the user's own packages are called, and where they are; by node of the graph. */
  readonly projects: ReadonlyMap<string, OwnPackage>;
  /**
   * Folders that npm's lockfile links to although neither `workspaces` nor a `file:` dependency means them. Any
   * folder of a repository, such as one with test data, could stand in for a package otherwise.
   */
  readonly strays: ReadonlySet<string>;
  /**
   * Folders of workspaces that the lockfile does not have. Package managers that may change the lockfile add them,
   * and choose versions of whatever they ask for.
   */
  readonly unlisted: ReadonlySet<string>;
  /** Whether some package.json was not there, so that the lockfile was asked instead. */
  readonly isIncomplete: boolean;
}

/** A package of the user's own: the root, or a workspace. */
export interface OwnPackage {
  /** `undefined` without a package.json that says so. */
  readonly name: string | undefined;
  /** As it stands in package.json: anything. */
  readonly version: string | undefined;
  /** Relative to the lockfile, with forward slashes; '' for the root. */
  readonly folder: string;
}

/**
 * Reads the package.json of every project of a lockfile. A lockfile without an absolute path has none
 * beside it: it was just made, and is taken at its word.
 *
 * @throws {CliError} BP9004 for one that is there and can't be read
 */
export async function readProjectWishes(lockfile: Lockfile): Promise<ProjectWishes> {
  const root = isAbsolute(lockfile.path) ? dirname(lockfile.path) : undefined;
  const edges = new Map<string, readonly Edge[]>();
  const projects = new Map<string, OwnPackage>();
  const overrides = new Map<string, string[]>();
  let isIncomplete = false;
  for (const { node, folder } of lockfile.graph.projects) {
    const document =
      root === undefined ? undefined : await readManifest(join(root, folder, 'package.json'));
    if (document === undefined) isIncomplete = true;
    edges.set(
      node,
      document === undefined ? lockfile.graph.stated(node) : statedEdges(document, true),
    );
    projects.set(node, ownPackage(document, folder === '.' ? '' : folder));
    if (root === undefined || document === undefined || folder !== '') continue;
    collectOverrides(document, overrides);
    if (lockfile.format !== 'yarn-classic') continue;
    // The only format that does not name the workspaces.
    for (const workspace of await findWorkspaces(root, document)) {
      const manifest = await readManifest(join(root, workspace, 'package.json'));
      if (manifest === undefined) continue;
      edges.set(`workspace ${workspace}`, statedEdges(manifest, true));
      projects.set(`workspace ${workspace}`, ownPackage(manifest, workspace));
    }
  }
  if (lockfile.format === 'pnpm' && root !== undefined) await readPnpmWorkspace(root, overrides);
  // pnpm has its own list of them, and Yarn Classic's lockfile none.
  const meant =
    root === undefined || lockfile.format === 'pnpm' || lockfile.format === 'yarn-classic'
      ? undefined
      : await meantWorkspaces(root);
  const strays =
    lockfile.format === 'npm' && root !== undefined && meant !== undefined
      ? await findStrays(root, meant, edges, overrides, projects)
      : new Set<string>();
  const unlisted =
    root === undefined ? new Set<string>() : await findUnlisted(root, meant ?? [], projects);
  return { edges, overrides, projects, strays, unlisted, isIncomplete };
}

/** Folders that the `workspaces` of package.json mean; `undefined` without one. */
async function meantWorkspaces(root: string): Promise<readonly string[] | undefined> {
  const document = await readManifest(join(root, 'package.json'));
  return document === undefined ? undefined : await findWorkspaces(root, document);
}

async function findUnlisted(
  root: string,
  meant: readonly string[],
  projects: ReadonlyMap<string, OwnPackage>,
): Promise<ReadonlySet<string>> {
  const listed = new Set([...projects.values()].map(({ folder }) => folder));
  const unlisted = new Set<string>();
  for (const folder of meant) {
    if (!listed.has(folder) && (await isThere(join(root, folder, 'package.json')))) {
      unlisted.add(folder);
    }
  }
  return unlisted;
}

async function findStrays(
  root: string,
  workspaces: readonly string[],
  edges: ReadonlyMap<string, readonly Edge[]>,
  overrides: ReadonlyMap<string, readonly string[]>,
  projects: ReadonlyMap<string, OwnPackage>,
): Promise<ReadonlySet<string>> {
  const meant = new Set(['', ...workspaces]);
  for (const range of [...overrides.values()].flat()) addFolder(meant, '', range);
  const byFolder = new Map([...projects].map(([node, { folder }]) => [folder, node]));
  // The set grows while it is walked: a folder that is meant may mean others, if the lockfile has it.
  for (const folder of meant) {
    const node = byFolder.get(folder);
    if (node === undefined) continue;
    for (const { range } of edges.get(node) ?? []) addFolder(meant, folder, range);
  }
  const strays = new Set<string>();
  for (const { folder } of projects.values()) {
    // What is not there brings nothing in.
    if (!meant.has(folder) && (await isThere(join(root, folder)))) strays.add(folder);
  }
  return strays;
}

// `file:../b`, `link:b`, `./b`: what npm links to.
function addFolder(meant: Set<string>, from: string, range: string | null): void {
  const path = /^(?:(?:file|link):(?:\/\/)?)?(\.{0,2}[^:]*)$/.exec(range ?? '')?.[1];
  if (path === undefined || !/^(?:file:|link:|\.)/.test(range ?? '')) return;
  meant.add(posix.join(from, path).replace(/\/+$/, ''));
}

function ownPackage(document: Table | undefined, folder: string): OwnPackage {
  const text = (field: string): string | undefined => {
    const value = document?.[field];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  return { name: text('name'), version: text('version'), folder };
}

/** A package.json as a table; `undefined` when there is none. @throws {CliError} BP9004 */
export async function readManifest(path: string): Promise<Table | undefined> {
  const bytes = await readIfThere(path, PACKAGE_JSON_BYTES_MAX);
  if (bytes === undefined) return undefined;
  try {
    return asTable(parseForeignJson(bytes, { lengthMax: PACKAGE_JSON_BYTES_MAX }).value) ?? {};
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw new CliError('BP9004', `${path}: ${error.message}`);
  }
}

// pnpm's settings moved there in version 10.
async function readPnpmWorkspace(root: string, overrides: Map<string, string[]>): Promise<void> {
  const path = join(root, 'pnpm-workspace.yaml');
  const bytes = await readIfThere(path, PACKAGE_JSON_BYTES_MAX);
  if (bytes === undefined) return;
  const { parsePlainYaml } = await import('./plain-yaml.ts');
  const document = asTable(parsePlainYaml(bytes, path).value);
  for (const [selector, value] of asTexts(document?.['overrides'])) {
    addOverride(overrides, selector, value);
  }
}

function collectOverrides(document: Table, overrides: Map<string, string[]>): void {
  collectTree(document['overrides'], document, overrides);
  const tables = [document['resolutions'], asTable(document['pnpm'])?.['overrides']];
  for (const table of tables) {
    for (const [selector, value] of asTexts(table)) addOverride(overrides, selector, value);
  }
}

// npm nests: `{a: {b: '1.0.0', '.': '2.0.0'}}` replaces b below a, and a itself.
function collectTree(
  value: Table[string] | undefined,
  document: Table,
  overrides: Map<string, string[]>,
  around: string = '',
): void {
  for (const [selector, inner] of Object.entries(asTable(value) ?? {})) {
    const key = selector === '.' ? around : selector;
    if (typeof inner !== 'string') collectTree(inner, document, overrides, key);
    else if (inner.startsWith('$')) {
      const name = inner.slice(1);
      const own = statedEdges(document, true).find((edge) => edge.name === name)?.range;
      addOverride(overrides, key, own ?? '*');
    } else addOverride(overrides, key, inner);
  }
}

/** `a`, `a@^1`, `**\/a`, `b/a`, `b>a`, `b@1>a@2`: the last name is the one that is replaced. */
function addOverride(overrides: Map<string, string[]>, selector: string, value: string): void {
  if (selector.length > LOCK_TEXT_LENGTH_MAX) return;
  const last = selector.split('>').at(-1) ?? selector;
  const name = /((?:@[^/@\s]+\/)?[^/@\s]+)(?:@.*)?$/.exec(last.trim())?.[1];
  if (name === undefined) return;
  const known = overrides.get(name);
  if (known === undefined) overrides.set(name, [value]);
  else known.push(value);
}
