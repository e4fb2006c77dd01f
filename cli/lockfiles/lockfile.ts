// A lockfile as every reader of this folder gives it: all entries classified, none left out, and the
// graph that the file claims. The file decides what gets installed and anybody with a pull request can
// change it, so nothing here is believed: entries are bound to the log, the graph to signed manifests.
import { CliError } from '../errors.ts';

/** Ten times the lockfile of a very large monorepo. */
export const LOCKFILE_BYTES_MAX: number = 64 * 1024 * 1024;

/**
 * Longest key, name, version or range that is read. The longest honest ones are git addresses; without
 * a bound a 10 MB name would be carried through every report and message.
 */
export const LOCK_TEXT_LENGTH_MAX = 4096;

/** Note at an entry whose files the package manager changes after unpacking, on the project's own word. */
export const PATCHED_NOTE = 'patched by the project or its package manager';

export type LockFormat = 'npm' | 'pnpm' | 'yarn-classic' | 'yarn-berry' | 'bun';

/** A lockfile, classified. */
export interface Lockfile {
  readonly path: string;
  /** Name for messages. */
  readonly file: string;
  readonly format: LockFormat;
  /** Major version of the format. */
  readonly version: number;
  /** Format and version for people, like `npm v3`. */
  readonly label: string;
  /** The exact text that was classified: what is installed later is made from it. */
  readonly text: string;
  /** Every package, in the file's order; the project itself is not among them. */
  readonly entries: readonly LockEntry[];
  readonly graph: LockGraph;
}

/** One package of a lockfile. */
export type LockEntry = LockPlace &
  (
    | RegistryEntry
    | UnboundEntry
    /** Inside the tarball of the entry that `owner` names. */
    | { readonly kind: 'bundled'; readonly owner: string }
    /** The user's own sources: a workspace, a link to one, or a patched copy of another entry. */
    | { readonly kind: 'local' }
    | RefusedEntry
  );

/** Where bytes that can't be bound to a logged release would come from. */
export type EntrySource = 'registry' | 'git' | 'url' | 'file' | 'link' | 'unknown';

/** An entry that can't be bound to a logged release. */
export interface RefusedEntry {
  readonly kind: 'refused';
  readonly reason: string;
  readonly source: EntrySource;
  /** Whether the reason is its name or version: the log takes none such, so it can't have it. */
  readonly isUnloggable: boolean;
  /** Of such a package, where it is from a registry and the lockfile has just one: for a policy's exception. */
  readonly sha512?: Uint8Array;
}

/** Where an entry stands and what it is called, for reports. */
export interface LockPlace {
  /** Unique in the file, such as `node_modules/a/node_modules/@s/b` or `a@1.0.0`. */
  readonly key: string;
  /** Real name, also under an alias. */
  readonly name: string;
  readonly version: string | null;
  /** From 1. */
  readonly line: number | null;
  /** What a reviewer should know, like `alias x`. Claims of the lockfile, never relied on. */
  readonly notes: readonly string[];
}

/** A package that can be bound to a logged release. */
export interface RegistryEntry {
  readonly kind: 'registry';
  readonly version: string;
  /** 64 bytes. */
  readonly sha512: Uint8Array;
  /** Left out by package managers on other platforms. */
  readonly optional: boolean;
  readonly os: readonly string[];
  readonly cpu: readonly string[];
}

/** A registry package whose digest the lockfile does not have: only its name and version can be asked for. */
export interface UnboundEntry {
  readonly kind: 'unbound';
  readonly version: string;
  readonly reason: string;
}

/** How one package asks for another. Peers may be chosen out of range; optional ones may be missing. */
export type EdgeKind = 'required' | 'dev' | 'optional' | 'peer';

/** One package asks for another. */
export interface Edge {
  /** The name under which it is asked for: an alias, or the real one. */
  readonly name: string;
  /** Range, tag, `npm:real@range` or address; `null` where the lockfile does not say. */
  readonly range: string | null;
  readonly kind: EdgeKind;
}

/** What the lockfile claims about who uses whom. Nodes are opaque strings. */
export interface LockGraph {
  /** The user's own packages, with the folder of each one's package.json relative to the lockfile. */
  readonly projects: readonly { readonly node: string; readonly folder: string }[];
  /** The edges that the lockfile states for a node; unverified. */
  readonly stated: (node: string) => readonly Edge[];
  /** The node that an edge leads to. */
  readonly resolve: (node: string, edge: Edge) => string | undefined;
  /** Key of a node's entry; `undefined` for the user's own packages. */
  readonly entryOf: (node: string) => string | undefined;
  /** Names that a node bundles, where the lockfile has a list that the package manager goes by. */
  readonly bundles?: (node: string) => readonly string[];
  /** Whether the lockfile makes the package manager obey a lockfile inside of a node's tarball. */
  readonly obeysShrinkwrap?: (node: string) => boolean;
}

/** @throws {CliError} BP9005: this file can't be checked, so nothing is said about what it names */
export function unreadable(path: string, why: string, hint?: string): CliError {
  const hints = hint === undefined ? {} : { hints: [hint] };
  return new CliError('BP9005', `${path}: ${why}`, hints);
}

/** @throws {CliError} BP9005 for a text that is longer than any honest one */
export function bounded(text: string, path: string): string {
  if (text.length <= LOCK_TEXT_LENGTH_MAX) return text;
  throw unreadable(path, `a name or address of ${text.length} characters`);
}

/** Last part of a path. */
export function fileNameOf(path: string): string {
  return path.split(/[\\/]/).at(-1) ?? path;
}

/** Whether a package manager installs an entry on this platform. Required ones always count as needed. */
export function isNeededHere(entry: RegistryEntry, platform: string, arch: string): boolean {
  return !entry.optional || isForPlatform(entry, platform, arch);
}

/** Whether a package's `os` and `cpu` admit a platform. */
export function isForPlatform(
  { os, cpu }: Pick<RegistryEntry, 'os' | 'cpu'>,
  platform: string,
  arch: string,
): boolean {
  return admits(os, platform) && admits(cpu, arch);
}

function admits(list: readonly string[], value: string): boolean {
  if (list.includes(`!${value}`)) return false;
  const wanted = list.filter((item) => !item.startsWith('!'));
  return wanted.length === 0 || wanted.includes(value) || wanted.includes('any');
}
