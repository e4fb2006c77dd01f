// package-lock.json and npm-shrinkwrap.json, versions 2 and 3. `resolved` is never trusted: the log
// binds name, version and digest.
import { VerifyError } from '../../verifier/errors.ts';
import { parseForeignJson, type ForeignJson } from '../../verifier/foreign-json.ts';
import {
  asStrings,
  asTable,
  asTexts,
  classifyRegistry,
  isPlainPath,
  refuse,
  type Table,
} from './classify.ts';
import {
  bounded,
  fileNameOf,
  LOCKFILE_BYTES_MAX,
  unreadable,
  type Edge,
  type EdgeKind,
  type LockEntry,
  type Lockfile,
  type LockGraph,
  type LockPlace,
} from './lockfile.ts';
import { lookUp, MODULES } from './look-up.ts';
import { requireOneStory } from './npm-legacy.ts';

/**
 * Classifies the content of a package-lock.json.
 *
 * @param path for messages
 * @throws {CliError} BP9005 for a version or shape that can't be checked
 */
export function parseNpmLock(source: Uint8Array, path: string): Lockfile {
  const document = readJson(source, path);
  const root = asTable(document.value);
  const version = root?.['lockfileVersion'];
  if (root === undefined || (version !== 2 && version !== 3)) {
    throw unreadable(
      path,
      'lockfileVersion is not 2 or 3',
      'npm install --package-lock-only --lockfile-version 3',
    );
  }
  const packages = asTable(root['packages']);
  if (packages === undefined) throw unreadable(path, 'it has no packages');
  requireOneStory(root, packages, path);
  const scope: Scope = { packages, targets: linkTargets(packages), document, path };
  const keys = Object.keys(packages).filter((key) => key !== '');
  return {
    path,
    file: fileNameOf(path),
    format: 'npm',
    version,
    label: `npm v${version}`,
    text: Buffer.from(source).toString('utf8'),
    entries: keys.map((key) => classify(key, scope)),
    graph: graphOf(scope),
  };
}

/** @throws {CliError} BP9005 */
export function readJson(source: Uint8Array | string, path: string): ForeignJson {
  try {
    return parseForeignJson(source, { lengthMax: LOCKFILE_BYTES_MAX });
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw unreadable(path, error.message);
  }
}

interface Scope {
  readonly packages: Table;
  /** Folders that a link leads to: the workspaces. */
  readonly targets: ReadonlySet<string>;
  readonly document: ForeignJson;
  readonly path: string;
}

function linkTargets(packages: Table): ReadonlySet<string> {
  const targets = new Set<string>();
  for (const value of Object.values(packages)) {
    const entry = asTable(value);
    const target = entry?.['link'] === true ? entry['resolved'] : undefined;
    if (typeof target === 'string') targets.add(target);
  }
  return targets;
}

/** Name of the folder that an entry is installed into: the last `node_modules/…` of its key. */
function folderName(key: string): string | undefined {
  const at = key.lastIndexOf(MODULES);
  if (at < 0 || (at > 0 && key[at - 1] !== '/')) return undefined;
  return key.slice(at + MODULES.length);
}

function classify(key: string, scope: Scope): LockEntry {
  const { packages, targets, document, path } = scope;
  const entry = asTable(packages[key]);
  const folder = folderName(bounded(key, path));
  const stated = entry?.['name'];
  const version = entry?.['version'];
  // Under an alias the folder has another name; the entry then says the real one.
  const name = typeof stated === 'string' ? bounded(stated, path) : (folder ?? key);
  const place: LockPlace = {
    key,
    name,
    version: typeof version === 'string' ? bounded(version, path) : null,
    line: document.lineOf(['packages', key]) ?? null,
    notes: notesOf(entry, name, folder),
  };

  if (entry === undefined) return refuse(place, 'the entry is not an object');
  if (!isPlainPath(key)) return refuse(place, 'its path leaves the project');
  if (entry['link'] === true) return classifyLink(place, entry, packages);
  if (folder === undefined) {
    // The folder of a workspace. Its dependencies have entries of their own.
    return targets.has(key) ? { ...place, kind: 'local' } : refuse(place, 'nothing links to it');
  }
  if (entry['link'] !== undefined && entry['link'] !== false) {
    return refuse(place, 'link is not true');
  }
  if (entry['inBundle'] === true) return classifyBundled(place, entry, packages);
  return classifyFetched(place, entry);
}

const FLAGS = ['dev', 'optional', 'devOptional', 'peer', 'hasInstallScript', 'extraneous'] as const;

function notesOf(entry: Table | undefined, name: string, folder: string | undefined): string[] {
  const notes: string[] = FLAGS.filter((flag) => entry?.[flag] === true);
  if (folder !== undefined && folder !== name) notes.push(`alias ${folder}`);
  return notes;
}

function classifyLink(place: LockPlace, entry: Table, packages: Table): LockEntry {
  const target = entry['resolved'];
  if (typeof target !== 'string' || !isPlainPath(target) || folderName(target) !== undefined) {
    return refuse(place, 'it links to a folder outside of the project', 'link');
  }
  if (!Object.hasOwn(packages, target)) {
    return refuse(place, 'it links to a folder that has no entry', 'link');
  }
  return { ...place, kind: 'local' };
}

function classifyBundled(place: LockPlace, entry: Table, packages: Table): LockEntry {
  // npm writes neither for what is bundled, and fetches from there when it finds nothing in the tarball.
  if (entry['resolved'] !== undefined || entry['integrity'] !== undefined) {
    return classifyFetched(place, entry);
  }
  // The owner is the nearest package around it that is not bundled itself.
  let at = place.key.lastIndexOf(`/${MODULES}`);
  while (at > 0) {
    const owner = place.key.slice(0, at);
    const candidate = asTable(packages[owner]);
    if (candidate !== undefined && candidate['inBundle'] !== true) {
      // Bundled in the user's own root or workspace, it would come from nowhere.
      if (folderName(owner) === undefined || candidate['link'] === true) break;
      return { ...place, kind: 'bundled', owner };
    }
    at = owner.lastIndexOf(`/${MODULES}`);
  }
  // npm marks what the project itself bundles as well; that is fetched like anything else.
  return classifyFetched(place, entry);
}

function classifyFetched(place: LockPlace, entry: Table): LockEntry {
  return classifyRegistry(place, {
    resolved: entry['resolved'],
    integrity: entry['integrity'],
    optional: entry['optional'] === true || entry['devOptional'] === true,
    os: entry['os'],
    cpu: entry['cpu'],
  });
}

// A node is a key of `packages`; '' is the project.
function graphOf({ packages, targets }: Scope): LockGraph {
  const folders = ['', ...[...targets].filter((key) => isPlainPath(key) && key in packages)];
  const projects = new Set(folders);
  return {
    projects: folders.map((folder) => ({ node: folder, folder })),
    stated: (node) => statedEdges(asTable(packages[node]), projects.has(node)),
    resolve: (node, { name }) => lookUp(node, name, (key) => Object.hasOwn(packages, key)),
    entryOf: (node) => (projects.has(node) ? undefined : node),
    obeysShrinkwrap: (node) => asTable(packages[node])?.['hasShrinkwrap'] === true,
    bundles: (node) => asStrings(asTable(packages[node])?.['bundleDependencies']),
  };
}

const EDGE_FIELDS: readonly (readonly [string, EdgeKind])[] = [
  ['peerDependencies', 'peer'],
  ['dependencies', 'required'],
  ['optionalDependencies', 'optional'],
];

/** The edges in the fields of a package.json or of something like it. */
export function statedEdges(entry: Table | undefined, withDev: boolean): readonly Edge[] {
  const edges = new Map<string, Edge>();
  // Later fields win: a name in two tables counts as optional, as in npm.
  for (const [field, kind] of EDGE_FIELDS) {
    for (const [name, range] of asTexts(entry?.[field])) edges.set(name, { name, range, kind });
  }
  if (withDev) {
    for (const [name, range] of asTexts(entry?.['devDependencies'])) {
      if (!edges.has(name) || edges.get(name)?.kind === 'peer') {
        edges.set(name, { name, range, kind: 'dev' });
      }
    }
  }
  for (const name of Object.keys(asTable(entry?.['peerDependenciesMeta']) ?? {})) {
    if (!edges.has(name)) edges.set(name, { name, range: '*', kind: 'peer' });
  }
  // Further ranges that a package says it can do with.
  for (const [name, range] of asTexts(entry?.['acceptDependencies'])) {
    const edge = edges.get(name);
    if (edge !== undefined) edges.set(name, { ...edge, range: `${edge.range ?? '*'} || ${range}` });
  }
  return [...edges.values()];
}
