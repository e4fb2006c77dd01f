// pnpm-lock.yaml, versions 6 and 9. Version 6 has packages and their edges in one table; version 9 keeps
// `packages` (what is fetched) and `snapshots` (one for each choice of peers, with the edges) apart.
import type { JsonValue } from '../../verifier/json.ts';
import {
  asStrings,
  asTable,
  classifyRegistry,
  isPlainPath,
  refuse,
  type Table,
} from './classify.ts';
import {
  bounded,
  fileNameOf,
  PATCHED_NOTE,
  unreadable,
  type Edge,
  type EdgeKind,
  type LockEntry,
  type Lockfile,
  type LockGraph,
  type LockPlace,
} from './lockfile.ts';
import { parsePlainYaml, type PlainYaml } from './plain-yaml.ts';

const VERSION_HINT = 'pnpm install --lockfile-only, with pnpm 8 or later';

/** @throws {CliError} BP9005 */
export function parsePnpmLock(source: Uint8Array, path: string): Lockfile {
  const document = parsePlainYaml(source, path);
  const root = asTable(document.value) ?? {};
  const stated = root['lockfileVersion'];
  const version = stated === '9.0' ? 9 : stated === '6.0' || stated === '6.1' ? 6 : undefined;
  if (version === undefined) {
    throw unreadable(path, 'lockfileVersion is not 6.0, 6.1 or 9.0', VERSION_HINT);
  }
  const table = (field: string): Table => {
    const value = root[field];
    const found = value === undefined || value === '' ? {} : asTable(value);
    if (found === undefined) throw unreadable(path, `${field} is not a table`);
    return found;
  };
  const packages = table('packages');
  const snapshots = version === 9 ? table('snapshots') : packages;
  // A project without workspaces has its dependencies at the top, in version 6.
  const importers: Table = root['importers'] === undefined ? { '.': root } : table('importers');
  const patched = new Set(Object.keys(table('patchedDependencies')));
  const scope: Scope = { version, packages, snapshots, importers, patched, document, path };
  requireEntries(scope);
  return {
    path,
    file: fileNameOf(path),
    format: 'pnpm',
    version,
    label: `pnpm v${version}`,
    text: Buffer.from(source).toString('utf8'),
    entries: [
      ...Object.keys(packages).map((key) => classify(key, scope)),
      ...workspaces(scope),
      ...links(scope),
    ],
    graph: graphOf(scope),
  };
}

interface Scope {
  readonly version: 6 | 9;
  readonly packages: Table;
  readonly snapshots: Table;
  readonly importers: Table;
  /** `name@version`, or `name` for all versions. */
  readonly patched: ReadonlySet<string>;
  readonly document: PlainYaml;
  readonly path: string;
}

// pnpm installs snapshots. One without an entry would be fetched without a digest.
function requireEntries({ packages, snapshots, path }: Scope): void {
  for (const key of Object.keys(snapshots)) {
    if (Object.hasOwn(packages, bare(bounded(key, path))) || Object.hasOwn(packages, key)) continue;
    throw unreadable(path, `snapshots has ${key}, packages has not`);
  }
}

/** A key without its choice of peers and patches: `a@1.0.0(b@2.0.0)` is `a@1.0.0`. */
function bare(key: string): string {
  const at = key.indexOf('(');
  return at < 0 ? key : key.slice(0, at);
}

function classify(key: string, scope: Scope): LockEntry {
  const { packages, snapshots, patched, document, path, version } = scope;
  const entry = asTable(packages[bounded(key, path)]);
  const plain = version === 6 ? bare(key).replace(/^\//, '') : bare(key);
  const at = plain.lastIndexOf('@');
  // Where the version is an address, it may have an @ of its own.
  const split = plain.indexOf('@', 1);
  const reference = split < 1 ? '' : plain.slice(split + 1);
  const isAddress = !/^\d/.test(reference);
  const stated = [entry?.['name'], entry?.['version']];
  const [name, found] = isAddress
    ? [textOr(stated[0], split < 1 ? plain : plain.slice(0, split)), textOr(stated[1], null)]
    : [plain.slice(0, at), plain.slice(at + 1)];
  const snapshot = asTable(snapshots[key]);
  const optional = (snapshot?.['optional'] ?? entry?.['optional']) === 'true';
  const place: LockPlace = {
    key,
    name: bounded(name ?? plain, path),
    version: found === null || found === undefined ? null : bounded(found, path),
    line: document.lineOf(packages, key) ?? null,
    notes: notesOf(entry, optional, patched.has(plain) || patched.has(name ?? '')),
  };
  const resolution = asTable(entry?.['resolution']);
  if (entry === undefined || resolution === undefined) {
    return refuse(place, 'it does not say where it comes from');
  }
  const type = resolution['type'];
  if (type === 'directory') return classifyFolder(place, resolution);
  if (type === 'git' || resolution['gitHosted'] === 'true' || resolution['commit'] !== undefined) {
    return refuse(place, 'it comes from git, which no digest covers', 'git');
  }
  if (type !== undefined) return refuse(place, 'its kind of source is unknown');
  const { tarball, integrity } = resolution;
  if (isAddress) {
    const isFile = typeof tarball === 'string' && tarball.startsWith('file:');
    return isFile || reference.startsWith('file:')
      ? refuse(place, 'it comes from a local file', 'file')
      : refuse(place, 'it comes from a URL that is not a registry’s', 'url');
  }
  return classifyRegistry(place, {
    resolved: tarball,
    integrity,
    optional,
    os: entry['os'],
    cpu: entry['cpu'],
  });
}

function textOr<T>(value: JsonValue | undefined, otherwise: T): string | T {
  return typeof value === 'string' ? value : otherwise;
}

function notesOf(entry: Table | undefined, optional: boolean, isPatched: boolean): string[] {
  const notes: string[] = [];
  if (entry?.['dev'] === 'true') notes.push('dev');
  if (optional) notes.push('optional');
  if (entry?.['requiresBuild'] === 'true') notes.push('hasInstallScript');
  if (asStrings(entry?.['bundledDependencies']).length > 0) notes.push('bundles others');
  if (isPatched) notes.push(PATCHED_NOTE);
  return notes;
}

function classifyFolder(place: LockPlace, { directory }: Table): LockEntry {
  return typeof directory === 'string' && isPlainPath(directory)
    ? { ...place, kind: 'local' }
    : refuse(place, 'it links to a folder outside of the project', 'link');
}

/** A row for each of the user's own packages but the root. */
function workspaces({ importers, document, path }: Scope): LockEntry[] {
  return Object.keys(importers)
    .filter((folder) => folder !== '.')
    .map((folder): LockEntry => {
      const line = document.lineOf(importers, folder) ?? null;
      const key = `importers ${bounded(folder, path)}`;
      const place: LockPlace = { key, name: folder, version: null, line, notes: ['workspace'] };
      return isPlainPath(folder)
        ? { ...place, kind: 'local' }
        : refuse(place, 'it links to a folder outside of the project', 'link');
    });
}

/** Links have no entry of their own: those to what is not a workspace get a row here. */
function links({ importers, document, path }: Scope): LockEntry[] {
  const found: LockEntry[] = [];
  for (const [folder, value] of Object.entries(importers)) {
    for (const [field] of FIELDS) {
      const table = asTable(asTable(value)?.[field]) ?? {};
      for (const name of Object.keys(table)) {
        const target = versionOf(table[name]);
        if (!target.startsWith('link:')) continue;
        if (linkedWorkspace(folder, target, importers) !== undefined) continue;
        const line = document.lineOf(table, name) ?? null;
        const key = `${folder} ${field} ${bounded(name, path)}`;
        const place: LockPlace = { key, name, version: null, line, notes: [] };
        found.push(refuse(place, 'it links to a folder that is not a workspace', 'link'));
      }
    }
  }
  return found;
}

/** The importer that a `link:` of another one leads to; `undefined` when it leads elsewhere. */
function linkedWorkspace(folder: string, target: string, importers: Table): string | undefined {
  const parts = folder === '.' ? [] : folder.split('/');
  for (const part of target.slice('link:'.length).split('/')) {
    if (part === '..' && parts.length > 0) parts.pop();
    else if (part === '..') return undefined;
    else if (part !== '.' && part !== '') parts.push(part);
  }
  const found = parts.length === 0 ? '.' : parts.join('/');
  return Object.hasOwn(importers, found) ? found : undefined;
}

// An importer's dependency is `{specifier, version}`, everywhere else it is the version alone.
function versionOf(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value;
  return textOr(asTable(value)?.['version'], '');
}

const FIELDS: readonly (readonly [string, EdgeKind])[] = [
  ['dependencies', 'required'],
  ['devDependencies', 'dev'],
  ['optionalDependencies', 'optional'],
];

// A node is a key of `snapshots`, or `importer <folder>`, which no key can be: it has a space.
const PROJECT = 'importer ';

function graphOf({ version, snapshots, importers, packages }: Scope): LockGraph {
  const tableOf = (node: string): Table | undefined =>
    asTable(node.startsWith(PROJECT) ? importers[node.slice(PROJECT.length)] : snapshots[node]);
  const reference = (node: string, name: string): string | undefined => {
    for (const [field] of FIELDS) {
      const table = asTable(tableOf(node)?.[field]);
      if (table !== undefined && Object.hasOwn(table, name)) return versionOf(table[name]);
    }
    return undefined;
  };
  return {
    projects: Object.keys(importers)
      .filter((folder) => folder === '.' || isPlainPath(folder))
      .map((folder) => ({ node: `${PROJECT}${folder}`, folder: folder === '.' ? '' : folder })),
    stated: (node) => statedEdges(tableOf(node), node.startsWith(PROJECT)),
    resolve: (node, { name }) => {
      const found = reference(node, name);
      if (found === undefined) return undefined;
      if (node.startsWith(PROJECT) && found.startsWith('link:')) {
        const folder = linkedWorkspace(node.slice(PROJECT.length), found, importers);
        return folder === undefined ? undefined : `${PROJECT}${folder}`;
      }
      const own = version === 6 ? `/${name}@${found}` : `${name}@${found}`;
      return [own, found].find((key) => Object.hasOwn(snapshots, key));
    },
    entryOf: (node) => {
      if (node.startsWith(PROJECT)) return undefined;
      return Object.hasOwn(packages, node) ? node : bare(node);
    },
  };
}

function statedEdges(table: Table | undefined, isProject: boolean): readonly Edge[] {
  const edges = new Map<string, Edge>();
  for (const [field, kind] of FIELDS) {
    for (const name of Object.keys(asTable(table?.[field]) ?? {})) {
      const entry = asTable(table?.[field])?.[name];
      const specifier = isProject ? asTable(entry)?.['specifier'] : undefined;
      edges.set(name, { name, range: textOr(specifier, null), kind });
    }
  }
  return [...edges.values()];
}
