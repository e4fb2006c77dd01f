// Start scripts in node_modules/.bin, which pnpm (and everybody on Windows) writes where others make links. They
// are shell text that runs by name, so where one leads is believed only when all of the rest is, to the byte,
// what a package manager writes; a target that is merely named somewhere in it would prove nothing.
import { createHash } from 'node:crypto';
import { lstat, readFile, realpath } from 'node:fs/promises';
import { dirname, join, posix, relative, sep } from 'node:path';

/** The longest known one has 5 KiB, most of it comments. */
const SHIM_BYTES_MAX = 64 * 1024;

// SHA-256 of known scripts with what differs between packages taken out: pnpm 9.15, 10.34 and 12.21, each
// for a program that Node runs and for one that /bin/sh runs.
const KNOWN: ReadonlySet<string> = new Set([
  '8ea890305a356d0d09eb80041ae79e909dc8512915ec304b2ccdb6fe962513dd',
  'b9f563a8c3acd19aee213c568c8ec52550e61704cde5a78b279a1988fedde889',
  '63b6a4d5da321a33779c6d5100fed1e8046b91455d5cbb19c576300705d31cca',
  '6e4fabab5264990082a1049f002b5f67a4cb7530dfbffd2862bd2f9451be3ff7',
  '267f2a80f5826e9c0323c4009556843d7448ca74bf06ff4fced991c5c756428a',
  'e3c6dcd49b26c4cee33da7b5f5a98b2b22094ff74431de2ac1fbe1ca04903e48',
]);

/** Where a start script leads. */
export type Shim =
  /** Path relative to the project; `undefined` when there is nothing. */
  | { readonly kind: 'leads'; readonly target: string | undefined }
  /** Not one that is known: it may do anything. */
  | { readonly kind: 'unknown' };

/** A start script without what differs between packages, and that. */
export interface Dissected {
  /** Hex SHA-256 of the rest. */
  readonly skeleton: string;
  /** Relative to the script's folder, in order. */
  readonly targets: readonly string[];
  /** Folders where Node looks for packages: absolute, or relative to the script's folder. */
  readonly folders: readonly string[];
}

// pnpm 9 and 10 put all folders into one pair of quotes, 12 each into its own. No character in there that
// means something to a shell: outside of these two forms a line stays as it is, and makes the script unknown.
const FOLDERS_JOINED = /^( *export NODE_PATH=)"([^"$`\\]+?)(:\$NODE_PATH)?"$/;
const FOLDERS_APART =
  /^( *export NODE_PATH=)("\$basedir_abs"\/'\.\.\/[^']+'(?::"\$basedir_abs"\/'\.\.\/[^']+')*)(:"\$NODE_PATH")?$/;
const FOLDER_APART = /'([^']+)'/g;
const TARGET = /("\$basedir\/)(\.\.\/[^"$`\\]+)(")|("\$basedir_(?:abs|win)"\/')(\.\.\/[^']+)(')/g;
const NAMED_TARGET = /^(# cmd-shim-target=)(\.\.\/.+)$/;

/** Takes a start script apart. */
export function dissectShim(text: string): Dissected {
  const targets: string[] = [];
  const folders: string[] = [];
  const lines = text.split('\n').map((line) => {
    const joined = FOLDERS_JOINED.exec(line);
    const listed = (joined?.[2] ?? '').split(':');
    // A relative one would be looked for wherever the program is started.
    if (joined !== null && listed.every((folder) => folder.startsWith('/'))) {
      folders.push(...listed);
      return `${joined[1] ?? ''}"<folders>${joined[3] ?? ''}"`;
    }
    const apart = FOLDERS_APART.exec(line);
    if (apart !== null) {
      for (const [, folder] of (apart[2] ?? '').matchAll(FOLDER_APART)) folders.push(folder ?? '');
      return `${apart[1] ?? ''}<folders apart>${apart[3] ?? ''}`;
    }
    const named = NAMED_TARGET.exec(line);
    if (named !== null) {
      targets.push(named[2] ?? '');
      return `${named[1] ?? ''}<target>`;
    }
    return line.replace(TARGET, (_all, ...parts: readonly (string | undefined)[]) => {
      const [open, target, close] = parts[0] === undefined ? parts.slice(3) : parts;
      targets.push(target ?? '');
      return `${open ?? ''}<target>${close ?? ''}`;
    });
  });
  const skeleton = createHash('sha256').update(lines.join('\n')).digest('hex');
  return { skeleton, targets, folders };
}

/**
 * Says where a file in `.bin` leads.
 *
 * @param project real path
 * @param path    of the file, relative to the project, with slashes
 * @param known   skeletons that are believed
 */
export async function readShim(
  project: string,
  path: string,
  known: ReadonlySet<string> = KNOWN,
): Promise<Shim> {
  const file = join(project, path);
  const facts = await lstat(file);
  if (!facts.isFile() || facts.size > SHIM_BYTES_MAX) return { kind: 'unknown' };
  const { skeleton, targets, folders } = dissectShim(await readFile(file, 'utf8'));
  if (!known.has(skeleton)) return { kind: 'unknown' };
  const [target, ...others] = targets;
  if (target === undefined || others.some((other) => other !== target)) return { kind: 'unknown' };
  if (!isPlain(target)) return { kind: 'unknown' };
  const home = posix.dirname(path);
  if (!folders.every((folder) => isModules(project, home, folder))) return { kind: 'unknown' };
  try {
    const real = relative(project, await realpath(join(await realpath(dirname(file)), target)));
    return { kind: 'leads', target: real.split(sep).join('/') };
  } catch {
    return { kind: 'leads', target: undefined };
  }
}

// Up from the script's real folder, and then down: as text that leads where it leads for the system. `link/..`
// would not: a shell comes out above what the link leads to.
function isPlain(path: string): boolean {
  const down = path.replace(/^(?:\.\.\/)+/, '').split('/');
  return !down.some((part) => ['', '.', '..'].includes(part) || part.includes('\\'));
}

// Node takes packages from these folders that are not found otherwise: a node_modules of the project, which has
// been looked at as well, or lies among the project's own sources, which nobody vouches for.
function isModules(project: string, home: string, folder: string): boolean {
  const inside = folder.startsWith('/')
    ? folder.startsWith(`${project}/`) && folder.slice(project.length + 1)
    : isPlain(folder) && posix.join(home, folder);
  if (inside === false) return false;
  const parts = inside.split('/');
  return parts.at(-1) === 'node_modules' && !parts.includes('..') && !parts.includes('.');
}
