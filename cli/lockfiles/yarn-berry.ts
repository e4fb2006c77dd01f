// yarn.lock of Yarn 2 and later ("berry"). Its checksum is of a zip file that Yarn makes from the tarball,
// so nothing in it can be compared with the log's digest, and on the first install Yarn doesn't compare
// the tarball with anything at all (tried). A release can be looked up by name and version, no more: such
// entries are `unbound`, which is never reported as verified.
import { asTable, asTexts, isPlainPath, refuse, unloggableReason, type Table } from './classify.ts';
import {
  bounded,
  fileNameOf,
  PATCHED_NOTE,
  unreadable,
  type Edge,
  type EdgeKind,
  type EntrySource,
  type LockEntry,
  type Lockfile,
  type LockGraph,
  type LockPlace,
} from './lockfile.ts';
import { parsePlainYaml, type PlainYaml } from './plain-yaml.ts';

const METADATA = '__metadata';
// Of Yarn 2, 3 and 4.
const VERSIONS: readonly string[] = ['4', '5', '6', '7', '8', '9', '10'];

/** @throws {CliError} BP9005 */
export function parseYarnBerry(source: Uint8Array, path: string): Lockfile {
  const document = parsePlainYaml(source, path);
  const root = asTable(document.value) ?? {};
  const version = asTable(root[METADATA])?.['version'];
  if (typeof version !== 'string' || !VERSIONS.includes(version)) {
    throw unreadable(path, 'neither “# yarn lockfile v1” nor a known __metadata version');
  }
  const keys = Object.keys(root).filter((key) => key !== METADATA);
  const scope: Scope = { root, document, path };
  return {
    path,
    file: fileNameOf(path),
    format: 'yarn-berry',
    version: Number(version),
    label: `yarn berry v${version}`,
    text: Buffer.from(source).toString('utf8'),
    entries: keys.map((key) => classify(key, scope)),
    graph: graphOf(keys, scope),
  };
}

interface Scope {
  readonly root: Table;
  readonly document: PlainYaml;
  readonly path: string;
}

/** `name@protocol:selector` of a descriptor or a resolution. */
function parseLocator(text: string): { name: string; protocol: string; rest: string } | undefined {
  const at = text.indexOf('@', 1);
  if (at < 1) return undefined;
  const reference = text.slice(at + 1);
  const colon = reference.indexOf(':');
  const [protocol, rest] =
    colon < 0 ? ['npm', reference] : [reference.slice(0, colon), reference.slice(colon + 1)];
  return { name: text.slice(0, at), protocol, rest };
}

function descriptorsOf(key: string): readonly string[] {
  return key.split(', ');
}

function classify(key: string, { root, document, path }: Scope): LockEntry {
  const entry = asTable(root[key]);
  const descriptors = descriptorsOf(key).map((each) => bounded(each, path));
  const [first = ''] = descriptors;
  const resolution = entry?.['resolution'];
  const locator =
    typeof resolution === 'string' ? parseLocator(bounded(resolution, path)) : undefined;
  const version = entry?.['version'];
  const line = document.lineOf(root, key) ?? null;
  const asked = new Set(descriptors.map((each) => parseLocator(each)?.name ?? each));
  const name = locator?.name ?? [...asked][0] ?? first;
  const aliases = [...asked].filter((each) => each !== name);
  const place: LockPlace = {
    key: first,
    name,
    version: typeof version === 'string' ? bounded(version, path) : null,
    line,
    notes: aliases.map((alias) => `alias ${alias}`),
  };
  if (entry === undefined || locator === undefined) {
    return refuse(place, 'it does not say what it is');
  }
  const isAlias = descriptors.every((each) => saysName(each, name));
  if (!isAlias) return refuse(place, 'it resolves to a package that nobody asked for');
  switch (locator.protocol) {
    case 'npm':
      return classifyNpm(place, locator.rest, entry);
    case 'workspace': {
      const isInside = locator.rest === '.' || isPlainPath(locator.rest);
      return isInside
        ? { ...place, kind: 'local' }
        : refuse(place, 'it links to a folder outside of the project', 'link');
    }
    case 'patch':
      return classifyPatch(place, locator.rest);
    default: {
      const [source, reason] = sourceOfProtocol(locator.protocol, locator.rest);
      return refuse(place, reason, source);
    }
  }
}

// `a@npm:^1` must be resolved to `a`, `x@npm:a@^1` too; everything else would be another package.
function saysName(descriptor: string, name: string): boolean {
  const locator = parseLocator(descriptor);
  if (locator === undefined) return false;
  const alias = /^(@?[^@]+)@/.exec(locator.rest)?.[1];
  return locator.protocol === 'npm' && alias !== undefined ? alias === name : locator.name === name;
}

function classifyNpm(place: LockPlace, rest: string, entry: Table): LockEntry {
  const [version = '', binding] = rest.split('::');
  if (version !== place.version) return refuse(place, 'it states two versions', 'registry');
  const archive = /(?:^|&)__archiveUrl=/.test(binding ?? '');
  const noted: LockPlace = archive
    ? { ...place, notes: [...place.notes, 'fetched from an address of its own'] }
    : place;
  const unloggable = unloggableReason(noted);
  if (unloggable !== undefined) return refuse(noted, unloggable, 'registry', true);
  const { checksum } = entry;
  const reason =
    typeof checksum === 'string'
      ? 'its checksum is of Yarn’s own zip, not of the tarball'
      : 'it has no checksum';
  return { ...noted, kind: 'unbound', version, reason };
}

// A patch is the user's own (or built into Yarn), made from a package that has an entry of its own.
function classifyPatch(place: LockPlace, rest: string): LockEntry {
  const isOwn =
    /#(?:~builtin<|optional!builtin<|~\/|\.\/|optional!~\/|[^/:]*\.yarn\/patches\/)/.test(rest);
  if (!isOwn) return refuse(place, 'its patch comes from outside of the project', 'file');
  return { ...place, notes: [...place.notes, PATCHED_NOTE], kind: 'local' };
}

function sourceOfProtocol(protocol: string, rest: string): readonly [EntrySource, string] {
  const isGit = /^(?:git|ssh|github|gitlab|bitbucket)/i.test(protocol) || /#commit=/.test(rest);
  if (isGit || /\.git(?:#|$)/.test(rest))
    return ['git', 'it comes from git, which no digest covers'];
  if (/^https?$/i.test(protocol)) return ['url', 'it comes from a URL that is not a registry’s'];
  if (protocol === 'file') return ['file', 'it comes from a local file'];
  if (protocol === 'link' || protocol === 'portal') {
    return ['link', 'it links to a folder that is not a workspace'];
  }
  return ['unknown', 'its kind of source is unknown'];
}

const FIELDS: readonly (readonly [string, EdgeKind])[] = [
  ['peerDependencies', 'peer'],
  ['dependencies', 'required'],
];

// A node is the first descriptor of an entry.
function graphOf(keys: readonly string[], { root }: Scope): LockGraph {
  const byDescriptor = new Map<string, string>();
  const tables = new Map<string, Table>();
  const projects = new Map<string, string>();
  for (const key of keys) {
    const descriptors = descriptorsOf(key);
    const [node = ''] = descriptors;
    const entry = asTable(root[key]) ?? {};
    tables.set(node, entry);
    for (const descriptor of descriptors) byDescriptor.set(descriptor, node);
    const { resolution } = entry;
    const locator = typeof resolution === 'string' ? parseLocator(resolution) : undefined;
    if (locator?.protocol !== 'workspace') continue;
    if (locator.rest === '.' || isPlainPath(locator.rest)) {
      projects.set(node, locator.rest === '.' ? '' : locator.rest);
    }
  }
  return {
    projects: [...projects].map(([node, folder]) => ({ node, folder })),
    stated: (node) => {
      const edges = new Map<string, Edge>();
      const table = tables.get(node);
      const meta = asTable(table?.['dependenciesMeta']);
      for (const [field, kind] of FIELDS) {
        for (const [name, range] of asTexts(table?.[field])) {
          const optional = asTable(meta?.[name])?.['optional'] === 'true';
          edges.set(name, {
            name,
            range: withoutProtocol(range),
            kind: optional ? 'optional' : kind,
          });
        }
      }
      const base = patchBase(table);
      return base === undefined ? [...edges.values()] : [base, ...edges.values()];
    },
    resolve: (_node, { name, range }) => {
      const wanted = range ?? '';
      return [`${name}@${wanted}`, `${name}@npm:${wanted}`]
        .map((descriptor) => byDescriptor.get(descriptor))
        .find((node) => node !== undefined);
    },
    entryOf: (node) => (projects.has(node) ? undefined : node),
  };
}

/** The package that a patched copy is made from: `a@patch:a@npm%3A1.0.0#…` needs `a@npm:1.0.0`. */
function patchBase(table: Table | undefined): Edge | undefined {
  const resolution = table?.['resolution'];
  const locator = typeof resolution === 'string' ? parseLocator(resolution) : undefined;
  if (locator?.protocol !== 'patch') return undefined;
  let base: ReturnType<typeof parseLocator>;
  try {
    base = parseLocator(decodeURIComponent(locator.rest.split('#')[0] ?? ''));
  } catch {
    // Not an encoding of anything, so of no package either.
    return undefined;
  }
  return base === undefined ? undefined : { name: base.name, range: base.rest, kind: 'required' };
}

/** A manifest says `^1`, berry's copy of it `npm:^1`; an alias stays one. */
function withoutProtocol(range: string): string {
  const plain = /^npm:([^@]*)$/.exec(range)?.[1];
  return plain ?? range;
}
