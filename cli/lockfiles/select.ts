// Which entries the user wants to hear about. What is left out still gets a row that says so; and after
// the verification, no verified package may need something that was left out as a development dependency.
import { usageError } from '../errors.ts';
import type { EdgeKind, LockEntry, Lockfile } from './lockfile.ts';
import type { OmittedKinds } from './edges.ts';
import { globMatcher } from './glob.ts';
import type { ProjectWishes } from './project.ts';

/** What to leave out. */
export interface Selection {
  /** Kinds of dependencies: entries that are only needed for these. */
  readonly omit: OmittedKinds;
  /** Patterns of names; an entry must match one of them. Empty for all. */
  readonly only: readonly string[];
  /** Keys with content that are unchanged since a commit; `undefined` when that was not asked. */
  readonly unchanged: ReadonlySet<string> | undefined;
  /** Names or folders of the user's own packages: entries that only others need are left out. Empty for all. */
  readonly workspaces: readonly string[];
}

/** Everything. */
export const SELECT_ALL: Selection = {
  omit: new Set(),
  only: [],
  unchanged: undefined,
  workspaces: [],
};

const KINDS: Readonly<Record<string, EdgeKind>> = {
  dev: 'dev',
  optional: 'optional',
  peer: 'peer',
};

/** Reads `dev,optional,peer`; `undefined` when there is another word in it. */
export function parseOmit(texts: readonly string[]): OmittedKinds | undefined {
  const words = texts.flatMap((text) => text.split(',')).map((word) => word.trim());
  const kinds = words.map((word) => (Object.hasOwn(KINDS, word) ? KINDS[word] : undefined));
  if (kinds.includes(undefined)) return undefined;
  return new Set(kinds.filter((kind) => kind !== undefined));
}

/** Why an entry is left out. */
export interface LeftOut {
  readonly reason: string;
  /** By its kind of dependency: then nothing that is verified may need it. */
  readonly isUnneeded: boolean;
}

/**
 * The nodes of some of the user's own packages.
 *
 * @param workspaces names or folders; all when there are none
 * @throws {CliError} BP9003 for one that there is not
 */
export function projectNodes(
  { edges, projects }: ProjectWishes,
  workspaces: readonly string[],
): readonly string[] {
  if (workspaces.length === 0) return [...edges.keys()];
  return workspaces.flatMap((wanted) => {
    const folder = wanted.replace(/^\.\/?/, '').replace(/\/+$/, '');
    const found = [...projects].filter(
      ([, project]) => project.name === wanted || project.folder === folder,
    );
    if (found.length > 0) return found.map(([node]) => node);
    const known = [...projects.values()].map(({ name, folder: at }) => name ?? at);
    throw usageError(`no workspace ${wanted}; there are ${known.join(', ')}`);
  });
}

/**
 * Why entries are left out, by key. The kind of a dependency is found by walking the graph: the `dev`
 * flags of a lockfile are anybody's word.
 */
export async function leftOut(
  lockfile: Lockfile,
  wishes: ProjectWishes,
  { omit, only, unchanged, workspaces }: Selection,
): Promise<ReadonlyMap<string, LeftOut>> {
  const reasons = new Map<string, LeftOut>();
  if (omit.size > 0 || workspaces.length > 0) {
    const starts = projectNodes(wishes, workspaces);
    const { walkEdges } = await import('./edges.ts');
    const all = walkEdges(lockfile, wishes, () => undefined);
    const some = walkEdges(lockfile, wishes, () => undefined, omit, starts);
    const reason =
      workspaces.length > 0
        ? `not needed by ${workspaces.join(', ')}`
        : `only needed for ${[...omit].join(', ')} dependencies`;
    for (const { key } of lockfile.entries) {
      // What nothing at all asks for is no development dependency: it must be heard about.
      if (all.reached.has(key) && !some.reached.has(key)) {
        reasons.set(key, { reason, isUnneeded: true });
      }
    }
  }
  // A package.json may have been changed and the lockfile not: an entry is unchanged then, and not what is asked for.
  let notAsked: ReadonlySet<string> = new Set();
  if (unchanged !== undefined) {
    const { walkEdges } = await import('./edges.ts');
    notAsked = walkEdges(lockfile, wishes, () => undefined).ownProblems;
  }
  const matchers = only.map(globMatcher);
  for (const { key, name } of lockfile.entries) {
    if (matchers.length > 0 && !matchers.some((matches) => matches(name))) {
      reasons.set(key, { reason: `does not match ${only.join(', ')}`, isUnneeded: false });
    } else if (unchanged?.has(key) === true && !notAsked.has(key)) {
      reasons.set(key, { reason: 'unchanged', isUnneeded: false });
    }
  }
  // What is bundled is worth what the tarball around it is, so that can't be left out alone.
  for (const entry of lockfile.entries) {
    if (entry.kind === 'bundled' && !reasons.has(entry.key)) reasons.delete(entry.owner);
  }
  return reasons;
}

/** What an entry fixes: compared between two states of a lockfile. */
export function entryContent(entry: LockEntry): string {
  const digest =
    entry.kind === 'registry' ? Buffer.from(entry.sha512).toString('base64') : undefined;
  const reason = entry.kind === 'refused' || entry.kind === 'unbound' ? entry.reason : undefined;
  const owner = entry.kind === 'bundled' ? entry.owner : undefined;
  return JSON.stringify([entry.kind, entry.name, entry.version, digest, reason, owner]);
}

/** Keys of entries that are the same in an earlier state of the lockfile. */
export function unchangedSince(lockfile: Lockfile, earlier: Lockfile): ReadonlySet<string> {
  const before = new Map(earlier.entries.map((entry) => [entry.key, entryContent(entry)]));
  return new Set(
    lockfile.entries
      .filter((entry) => before.get(entry.key) === entryContent(entry))
      .map(({ key }) => key),
  );
}
