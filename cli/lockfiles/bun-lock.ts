// bun.lock, the text lockfile of bun: JSON with trailing commas. Each package is a list whose first item
// says what it is (`name@version`, `name@workspace:…`, `name@git+…`); keys are the folder paths of
// node_modules without that word, like `a/b` for a `b` that only `a` uses.
import type { ForeignJson } from '../../verifier/foreign-json.ts';
import type { JsonValue } from '../../verifier/json.ts';
import { asTable, classifyRegistry, isPlainPath, refuse, type Table } from './classify.ts';
import {
  bounded,
  fileNameOf,
  PATCHED_NOTE,
  unreadable,
  type LockEntry,
  type Lockfile,
  type LockGraph,
  type LockPlace,
} from './lockfile.ts';
import { readJson, statedEdges } from './npm-lock.ts';

/** @throws {CliError} BP9005 */
export function parseBunLock(source: Uint8Array, path: string): Lockfile {
  const text = Buffer.from(source).toString('utf8');
  const document = readJson(withoutTrailingCommas(text), path);
  const root = asTable(document.value);
  const version = root?.['lockfileVersion'];
  if (root === undefined || (version !== 0 && version !== 1 && version !== 2)) {
    throw unreadable(path, 'lockfileVersion is not 0, 1 or 2', 'bun install --lockfile-only');
  }
  const packages = asTable(root['packages']) ?? (root['packages'] === undefined ? {} : undefined);
  const workspaces = asTable(root['workspaces']);
  if (packages === undefined || workspaces === undefined) {
    throw unreadable(path, 'it has no packages and workspaces');
  }
  const scope: Scope = { packages, workspaces, document, path, patched: patchedNames(root) };
  return {
    path,
    file: fileNameOf(path),
    format: 'bun',
    version,
    label: `bun v${version}`,
    text,
    entries: Object.keys(packages).map((key) => classify(key, scope)),
    graph: graphOf(scope),
  };
}

interface Scope {
  readonly packages: Table;
  readonly workspaces: Table;
  readonly document: ForeignJson;
  readonly path: string;
  readonly patched: ReadonlySet<string>;
}

/**
 * Blanks the commas that bun writes before `}` and `]`, so that offsets and lines stay. Everything else
 * is left to the strict reader, comments included: bun writes none.
 */
export function withoutTrailingCommas(text: string): string {
  const parts: string[] = [];
  let kept = 0;
  let comma = -1;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      at = endOfString(text, at);
      comma = -1;
    } else if (character === ',') {
      // Of two commas in a row neither is one that bun writes.
      comma = comma < 0 ? at : -1;
    } else if (character === '}' || character === ']') {
      if (comma >= 0) {
        parts.push(text.slice(kept, comma), ' ');
        kept = comma + 1;
      }
      comma = -1;
    } else if (
      character !== ' ' &&
      character !== '\n' &&
      character !== '\r' &&
      character !== '\t'
    ) {
      comma = -1;
    }
  }
  return parts.join('') + text.slice(kept);
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at;
  }
  return text.length;
}

function patchedNames(root: Table): ReadonlySet<string> {
  return new Set(Object.keys(asTable(root['patchedDependencies']) ?? {}));
}

function classify(key: string, scope: Scope): LockEntry {
  const { packages, document, path } = scope;
  const value = packages[key];
  const items: readonly JsonValue[] = Array.isArray(value) ? (value as readonly JsonValue[]) : [];
  const [identity] = items;
  const line = document.lineOf(['packages', bounded(key, path)]) ?? null;
  const split = typeof identity === 'string' ? splitIdentity(bounded(identity, path)) : undefined;
  if (split === undefined) {
    const place = { key, name: lastName(key), version: null, line, notes: [] };
    return refuse(place, 'it does not say what it is');
  }
  const { name, reference } = split;
  const source = /^(workspace|root|link|file|git\+|github|https?|\.|\/)/.exec(reference)?.[1];
  const info = asTable(items[2]);
  const notes = notesOf(key, name, info, scope.patched.has(`${name}@${reference}`));
  const place: LockPlace = {
    key,
    name,
    version: source === undefined ? reference : null,
    line,
    notes,
  };
  if (names(key) === undefined) return refuse(place, 'its path leaves the project');
  switch (source) {
    case undefined:
      return classifyNpm(place, items, info, scope);
    case 'root':
      return { ...place, kind: 'local' };
    case 'workspace':
      return classifyWorkspace(place, reference.slice('workspace:'.length), scope);
    case 'link':
      return refuse(place, 'it links to a folder outside of the project', 'link');
    case 'git+':
    case 'github':
      return refuse(place, 'it comes from git, which no digest covers', 'git');
    case 'http':
    case 'https':
      return refuse(place, 'it comes from a URL that is not a registry’s', 'url');
    default:
      return refuse(place, 'it comes from a local file', 'file');
  }
}

function classifyNpm(
  place: LockPlace,
  items: readonly JsonValue[],
  info: Table | undefined,
  { packages, path }: Scope,
): LockEntry {
  const [, registry, , integrity] = items;
  if (items.length > 4 || info === undefined || typeof registry !== 'string') {
    return refuse(place, 'its list is not one of a registry package', 'registry');
  }
  if (info['bundled'] === true) {
    const parts = names(place.key) ?? [];
    for (let length = parts.length - 1; length > 0; length--) {
      const owner = parts.slice(0, length).join('/');
      if (Object.hasOwn(packages, owner) && !isBundled(packages[owner])) {
        return { ...place, kind: 'bundled', owner };
      }
    }
  }
  return classifyRegistry(place, {
    // The registry's base, or the tarball's own address. Never used; it only must not look like git.
    resolved: registry === '' ? undefined : registryAddress(bounded(registry, path)),
    integrity,
    optional: false,
    os: info['os'],
    cpu: info['cpu'],
  });
}

// A base address stands for its tarballs; a tarball elsewhere is judged as such.
function registryAddress(address: string): string {
  return /\.(?:tgz|tar\.gz)$/.test(address) || !/^https?:\/\//i.test(address)
    ? address
    : `${address.replace(/\/*$/, '')}/-/x.tgz`;
}

function classifyWorkspace(place: LockPlace, folder: string, { workspaces }: Scope): LockEntry {
  if (!isPlainPath(folder) || !Object.hasOwn(workspaces, folder)) {
    return refuse(place, 'it links to a folder that is not a workspace', 'link');
  }
  return { ...place, kind: 'local' };
}

function isBundled(value: JsonValue | undefined): boolean {
  const items = Array.isArray(value) ? (value as readonly JsonValue[]) : [];
  return asTable(items[2])?.['bundled'] === true;
}

function notesOf(key: string, name: string, info: Table | undefined, patched: boolean): string[] {
  const notes: string[] = [];
  if (lastName(key) !== name) notes.push(`alias ${lastName(key)}`);
  if (patched) notes.push(PATCHED_NOTE);
  if (info?.['bundled'] === true) notes.push('bundled');
  return notes;
}

/** `name@reference`, at the first `@` behind the scope: references have some of their own. */
function splitIdentity(text: string): { name: string; reference: string } | undefined {
  const at = text.indexOf('@', 1);
  if (at < 1) return undefined;
  return { name: text.slice(0, at), reference: text.slice(at + 1) };
}

/** The package names that a key consists of. */
function names(key: string): readonly string[] | undefined {
  if (!isPlainPath(key)) return undefined;
  const parts = key.split('/');
  const found: string[] = [];
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] ?? '';
    if (!part.startsWith('@')) found.push(part);
    else if (i + 1 < parts.length) found.push(`${part}/${parts[++i] ?? ''}`);
    else return undefined;
  }
  return found;
}

function lastName(key: string): string {
  return names(key)?.at(-1) ?? key;
}

// A node is a key of `packages`, or `workspace <folder>`, which no key can be: it has a space.
const PROJECT = 'workspace ';

function graphOf({ packages, workspaces }: Scope): LockGraph {
  return {
    projects: Object.keys(workspaces)
      .filter((folder) => folder === '' || isPlainPath(folder))
      .map((folder) => ({ node: `${PROJECT}${folder}`, folder })),
    stated: (node) => {
      if (node.startsWith(PROJECT)) {
        return statedEdges(asTable(workspaces[node.slice(PROJECT.length)]), true);
      }
      const value = packages[node];
      const items = Array.isArray(value) ? (value as readonly JsonValue[]) : [];
      const info = items.map((item) => asTable(item)).find((item) => item !== undefined);
      return statedEdges(info, false);
    },
    resolve: (node, { name }) => {
      const own = node.startsWith(PROJECT)
        ? asTable(workspaces[node.slice(PROJECT.length)])?.['name']
        : node;
      const path = typeof own === 'string' ? (names(own) ?? []) : [];
      for (let length = path.length; length >= 0; length--) {
        const candidate = [...path.slice(0, length), name].join('/');
        if (Object.hasOwn(packages, candidate)) return candidate;
      }
      return undefined;
    },
    entryOf: (node) => (node.startsWith(PROJECT) ? undefined : node),
  };
}
