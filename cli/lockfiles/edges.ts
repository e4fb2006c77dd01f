// Is everything in the lockfile there because somebody asked for it? The digest check proves that each
// package is genuine; it says nothing about a genuine package that an attacker added, put in another's
// place, or held back at an old version. npm, pnpm, Yarn and bun install what the lockfile says (tried).
// So the tree is walked again from the user's own package.json along the *signed* manifests, and what
// this walk doesn't reach, or reaches under a name or version that was not asked for, is refused.
import { quote } from '../../verifier/errors.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { asStrings } from './classify.ts';
import type { Edge, EdgeKind, LockEntry, Lockfile } from './lockfile.ts';
import { MODULES } from './look-up.ts';
import { statedEdges } from './npm-lock.ts';
import type { ProjectWishes } from './project.ts';
import { isAddress, parseRange } from './range.ts';
import type { Askers } from './ways.ts';

/** What the walk found. */
export interface EdgeCheck {
  /** Why an entry should not be where it is; by key of the entry, one reason each. */
  readonly problems: ReadonlyMap<string, string>;
  /** Keys of entries that are not what the project's own files ask for. */
  readonly ownProblems: ReadonlySet<string>;
  /** Keys of entries that were reached. */
  readonly reached: ReadonlySet<string>;
  /** Keys of entries that are what the project's overrides say, not what a manifest asks for. */
  readonly overridden: ReadonlySet<string>;
  /** The names under which an entry is asked for, by key. */
  readonly folders: ReadonlyMap<string, ReadonlySet<string>>;
  /** Who asked first: nearest to a project first. */
  readonly walked: Askers;
}

/** Edges that are followed: all but those of these kinds. */
export type OmittedKinds = ReadonlySet<EdgeKind>;

/**
 * Walks the lockfile's graph from the projects.
 *
 * @param manifests the signed manifest of an entry. For an entry without one (it was refused, or nothing
 *                  was asked yet) the lockfile's own word is taken: whatever it leads to is judged by itself
 * @param starts    nodes of projects to walk from; all of them when absent
 */
export function walkEdges(
  lockfile: Lockfile,
  wishes: ProjectWishes,
  manifests: (key: string) => JsonObject | undefined,
  omitted: OmittedKinds = new Set(),
  starts: Iterable<string> = wishes.edges.keys(),
): EdgeCheck {
  const { graph } = lockfile;
  const entries = new Map(lockfile.entries.map((entry) => [entry.key, entry]));
  const problems = new Map<string, string>();
  const ownProblems = new Set<string>();
  const reached = new Set<string>();
  const overridden = new Set<string>();
  const folders = new Map<string, Set<string>>();

  const elsewhere = new Set(
    lockfile.entries.flatMap(({ kind, name, key }) =>
      // Under the name of its folder as well, which an alias is.
      kind === 'local' || kind === 'refused' ? [name, key.split(MODULES).at(-1) ?? name] : [],
    ),
  );

  const askers = new Map<string, string>();
  const nodes = new Map<string, string>();
  const queue = [...starts];
  const seen = new Set(queue);
  const meet = (project: string, asker: string): void => {
    if (seen.has(project)) return;
    seen.add(project);
    queue.push(project);
    askers.set(project, asker);
  };
  // Breadth first: the first way to each entry is a shortest one. The queue grows while it is walked.
  for (const node of queue) {
    const own = wishes.edges.get(node);
    const from = own === undefined ? graph.entryOf(node) : undefined;
    const manifest = from === undefined ? undefined : manifests(from);
    const stated =
      own ?? (manifest === undefined ? graph.stated(node) : signedEdges(lockfile, manifest));
    const isBundled = from !== undefined && entries.get(from)?.kind === 'bundled';
    for (const edge of stated) {
      if (omitted.has(edge.kind)) continue;
      const target = resolveEdge(lockfile, wishes, node, edge);
      const key = target === undefined ? undefined : graph.entryOf(target);
      const entry = key === undefined ? undefined : entries.get(key);
      if (target === undefined || entry === undefined) {
        // Lockfiles of pnpm and Yarn Classic have no entry for a workspace that another one uses.
        for (const project of projectsCalled(edge.name, target, wishes)) meet(project, node);
        continue;
      }
      // What a bundled package asks for is known from the lockfile alone, so it justifies only what lies
      // in the same signed tarball.
      if (isBundled && entry.kind !== 'bundled') continue;
      for (const project of projectsBehind(edge, entry, target, wishes)) meet(project, node);
      const verdict = judge(edge, entry, wishes, elsewhere);
      if (verdict.kind === 'overridden') overridden.add(entry.key);
      if (verdict.kind === 'wrong' && (own !== undefined || verdict.isOwn === true)) {
        ownProblems.add(entry.key);
      }
      if (verdict.kind === 'wrong' && !problems.has(entry.key)) {
        problems.set(entry.key, `${askedBy(from, entries)} ${verdict.reason}`);
      }
      reached.add(entry.key);
      const names = folders.get(entry.key) ?? new Set<string>();
      folders.set(entry.key, names.add(edge.name));
      if (!seen.has(target)) {
        seen.add(target);
        queue.push(target);
        askers.set(target, node);
        if (!nodes.has(entry.key)) nodes.set(entry.key, target);
      }
    }
  }
  for (const folder of wishes.strays) {
    problems.set(folder, 'neither workspaces nor a file: dependency of yours means this folder');
  }
  judgeBundled(lockfile, manifests, problems);
  judgeUnreached(lockfile, reached, problems);
  return { problems, ownProblems, reached, overridden, folders, walked: { askers, nodes } };
}

// A workspace that another one uses is an entry that says so and little more; what it asks for is in its own
// package.json. Which one it is, the one that asks says: by the lockfile's word for it, another could be
// followed in its place. One that can't be told stands for all: nothing may be left out by mistake.
function projectsBehind(
  { name: asked }: Edge,
  entry: LockEntry,
  target: string,
  { edges, projects }: ProjectWishes,
): readonly string[] {
  if (edges.has(target)) return [target];
  if (entry.kind !== 'local') return [];
  const named = [...projects].filter(([, { name }]) => name === asked);
  return named.length > 0 ? named.map(([node]) => node) : [...edges.keys()];
}

// The project that an edge leads to, and those of the name that is asked for: the lockfile's word is one of the two.
function projectsCalled(
  asked: string,
  target: string | undefined,
  { edges, projects }: ProjectWishes,
): readonly string[] {
  const named = [...projects].filter(([, { name }]) => name === asked).map(([node]) => node);
  return target !== undefined && edges.has(target) ? [target, ...named] : named;
}

// What a signed manifest asks for, and what the package manager adds to it for everybody.
function signedEdges({ format }: Lockfile, manifest: JsonObject): readonly Edge[] {
  const edges = statedEdges(manifest, false);
  // Yarn berry gives every package with an install script a node-gyp that the script may call.
  const isBuilt = format === 'yarn-berry' && manifest['hasInstallScript'] === true;
  if (!isBuilt || edges.some(({ name }) => name === 'node-gyp')) return edges;
  return [...edges, { name: 'node-gyp', range: 'latest', kind: 'required' }];
}

/** The node that an edge leads to, also where the project's overrides replace what it asks for. */
export function resolveEdge(
  { graph }: Lockfile,
  { overrides }: ProjectWishes,
  node: string,
  edge: Edge,
): string | undefined {
  const direct = graph.resolve(node, edge);
  if (direct !== undefined) return direct;
  // Where the lockfile finds packages by range, a replaced one is found by its replacement.
  for (const range of overrides.get(edge.name) ?? []) {
    const found = graph.resolve(node, { ...edge, range });
    if (found !== undefined) return found;
  }
  return undefined;
}

function judgeUnreached(
  { entries }: Lockfile,
  reached: ReadonlySet<string>,
  problems: Map<string, string>,
): void {
  for (const { key, kind } of entries) {
    if (kind === 'local' || kind === 'refused' || kind === 'bundled') continue;
    if (reached.has(key) || problems.has(key)) continue;
    problems.set(key, 'neither the project nor a verified package asks for it');
  }
}

// An entry that says "bundled" is never checked against the log, and npm fetches it all the same, without
// a digest, when the tarball lacks it or the lockfile's list of the owner does (both tried). So the owner's
// signed manifest has to bundle it as well as that list, or something that is bundled has to ask for it.
function judgeBundled(
  { entries, graph }: Lockfile,
  manifests: (key: string) => JsonObject | undefined,
  problems: Map<string, string>,
): void {
  const owners = new Map<string, string>();
  for (const entry of entries) if (entry.kind === 'bundled') owners.set(entry.key, entry.owner);
  const justified = new Set<string>();
  const queue: string[] = [];
  const follow = (node: string, names: Iterable<string>, owner: string): void => {
    for (const name of names) {
      const target = graph.resolve(node, { name, range: null, kind: 'required' });
      const key = target === undefined ? undefined : graph.entryOf(target);
      if (key === undefined || owners.get(key) !== owner || justified.has(key)) continue;
      justified.add(key);
      queue.push(key);
    }
  };
  // What an owner asks for besides what it bundles is not in its tarball, whoever else asks for it too.
  const outside = new Map<string, ReadonlySet<string>>();
  for (const owner of new Set(owners.values())) {
    const manifest = manifests(owner);
    const listed = graph.bundles?.(owner) ?? namesOf(graph.stated(owner));
    // Of an owner that isn't verified, its own row says so; nothing below it may be fetched either.
    const names = manifest === undefined ? listed : asStrings(manifest['bundleDependencies']);
    const both = names.filter((name) => graph.bundles === undefined || listed.includes(name));
    const asked = namesOf(
      manifest === undefined ? graph.stated(owner) : statedEdges(manifest, false),
    );
    outside.set(owner, new Set(asked.filter((name) => !both.includes(name))));
    follow(owner, both, owner);
  }
  for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
    const owner = owners.get(key) ?? '';
    const names = namesOf(graph.stated(key));
    const besides = outside.get(owner);
    follow(key, besides === undefined ? names : names.filter((name) => !besides.has(name)), owner);
  }
  for (const [key, owner] of owners) {
    if (problems.has(key) || justified.has(key) || isBelow(key, justified)) continue;
    problems.set(key, `${quote(owner)} does not bundle it, by its signed manifest or the lockfile`);
  }
}

function namesOf(edges: readonly Edge[]): readonly string[] {
  return edges.map(({ name }) => name);
}

// In the folder of something bundled: package managers leave that alone.
function isBelow(key: string, keys: ReadonlySet<string>): boolean {
  for (let at = key.lastIndexOf('/'); at > 0; at = key.lastIndexOf('/', at - 1)) {
    if (keys.has(key.slice(0, at))) return true;
  }
  return false;
}

type Judgement =
  | { readonly kind: 'asked' }
  | { readonly kind: 'overridden' }
  /** `isOwn`: whoever asks, it is the project's own word that is not kept. */
  | { readonly kind: 'wrong'; readonly reason: string; readonly isOwn?: boolean };

function judge(
  edge: Edge,
  entry: LockEntry,
  { overrides }: ProjectWishes,
  elsewhere: ReadonlySet<string>,
): Judgement {
  if (entry.kind === 'local' || entry.kind === 'refused') return { kind: 'asked' };
  const replacements = overrides.get(edge.name) ?? [];
  // Whether it is meant for this place is not told here: but the lockfile has it nowhere, so it will be fetched.
  const address = elsewhere.has(edge.name) ? undefined : replacements.find(isAddress);
  if (address !== undefined && entry.kind !== 'bundled') {
    const reason = `asks for ${quote(edge.name)}, which the project replaces by ${quote(address)}: that is not in the lockfile`;
    return { kind: 'wrong', reason, isOwn: true };
  }
  const problem = mismatch(edge, entry);
  if (problem === undefined) return { kind: 'asked' };
  const isReplaced = replacements.some(
    (range) => mismatch({ ...edge, kind: 'required', range }, entry) === undefined,
  );
  return isReplaced ? { kind: 'overridden' } : { kind: 'wrong', reason: problem };
}

/** Why an entry is not what an edge asks for. */
function mismatch({ name, range, kind }: Edge, entry: LockEntry): string | undefined {
  const alias = /^npm:(@?[^@]+)(?:@(.*))?$/s.exec(range ?? '');
  const isAlias = alias?.[1] !== undefined && parseRange(alias[1]) === undefined;
  const real = isAlias ? (alias[1] ?? name) : name;
  // npm and bun leave the lockfile aside then and fetch from there, also where its own copy of the range is the same
  // (tried). What is bundled comes with the tarball of who asks.
  if (range !== null && isAddress(range) && entry.kind !== 'bundled') {
    return `asks for ${quote(`${name}@${range}`)}, which is no release of a registry`;
  }
  // Without its range, a lockfile's edge says nothing about an alias.
  if (entry.name !== real && range !== null) {
    return `asks for ${quote(real)} as ${quote(name)}, not for ${quote(entry.name)}`;
  }
  const plain = isAlias ? (alias[2] ?? '*') : (range ?? '*').replace(/^npm:/, '');
  // Package managers take peers out of range with a warning, when their user says so.
  if (kind === 'peer' || entry.version === null) return undefined;
  // Tags and catalogs choose any version.
  const wanted = parseRange(plain);
  if (wanted === undefined) return undefined;
  return wanted.test(entry.version)
    ? undefined
    : `asks for ${quote(`${name}@${plain}`)}, not for version ${quote(entry.version)}`;
}

function askedBy(key: string | undefined, entries: ReadonlyMap<string, LockEntry>): string {
  if (key === undefined) return 'package.json';
  const entry = entries.get(key);
  return entry === undefined ? quote(key) : `${entry.name}@${entry.version ?? '?'}`;
}
