// How a package came into the lockfile, for people: "this project → a@1.0.0 → b@2.1.0".
import type { LockEntry, Lockfile } from './lockfile.ts';

/** Longer ways are shown without their middle: the ends say who asks for what. */
export const WAY_STEPS_MAX = 16;

/** By whom each node was first asked for, in a walk from the projects. */
export interface Askers {
  /** The node that asked, by node; the projects are not in it. */
  readonly askers: ReadonlyMap<string, string>;
  /** The first node at which each entry was met, by the entry's key. */
  readonly nodes: ReadonlyMap<string, string>;
}

/** `name@version`, or the name alone. */
export function entrySpec({ name, version }: Pick<LockEntry, 'name' | 'version'>): string {
  return version === null ? name : `${name}@${version}`;
}

/** What a node is called in a way. Strangers' text. */
export function nodeLabel(
  { graph }: Lockfile,
  entries: ReadonlyMap<string, LockEntry>,
  node: string,
): string {
  const key = graph.entryOf(node);
  const entry = key === undefined ? undefined : entries.get(key);
  if (entry !== undefined) return entrySpec(entry);
  const folder = graph.projects.find((project) => project.node === node)?.folder;
  return folder === undefined || folder === '' || folder === '.' ? 'this project' : folder;
}

/** The ways to entries, one for each. */
export class Ways {
  readonly #lockfile: Lockfile;
  readonly #entries: ReadonlyMap<string, LockEntry>;
  readonly #walked: Askers;

  constructor(lockfile: Lockfile, walked: Askers) {
    this.#lockfile = lockfile;
    this.#entries = new Map(lockfile.entries.map((entry) => [entry.key, entry]));
    this.#walked = walked;
  }

  /**
   * The way on which the walk first came to an entry, from a project to the entry; `undefined` when it
   * never did.
   */
  to(key: string): readonly string[] | undefined {
    const { askers, nodes } = this.#walked;
    const last = nodes.get(key);
    if (last === undefined) return undefined;
    const way: string[] = [];
    // Each node was first met once, so this ends; the length is that of the tree all the same.
    for (let node: string | undefined = last; node !== undefined; node = askers.get(node))
      way.push(node);
    const shown = way.toReversed();
    const half = WAY_STEPS_MAX / 2;
    const name = (node: string): string => nodeLabel(this.#lockfile, this.#entries, node);
    if (shown.length <= WAY_STEPS_MAX) return shown.map(name);
    return [...shown.slice(0, half).map(name), '…', ...shown.slice(1 - half).map(name)];
  }
}
