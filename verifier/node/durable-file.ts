// Files that must never be seen half written, not even after a power cut.
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Replaces a file as a whole: written beside it, made durable, renamed over it, and the folder made
 * durable. A crash leaves the old file or the new one (and perhaps a `.tmp` that nobody reads). Runs at the
 * same time don't get in each other's way: the last one stays.
 *
 * @param mode permissions of the new file
 */
export async function replaceFile(
  path: string,
  content: string | Uint8Array,
  mode: number = 0o600,
): Promise<void> {
  await replaceThrough(`${path}.${randomBytes(6).toString('hex')}.tmp`, path, content, mode);
}

/**
 * Does the same for a file that one process at a time writes. What a crash leaves has a fixed name
 * (`.new`) and goes with the next call, so that no copies of a key pile up.
 */
export async function replaceOwnFile(
  path: string,
  content: string | Uint8Array,
  mode: number,
): Promise<void> {
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  await replaceThrough(temporary, path, content, mode);
}

async function replaceThrough(
  temporary: string,
  path: string,
  content: string | Uint8Array,
  mode: number,
): Promise<void> {
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/**
 * Creates a file that must not exist yet; `EEXIST` if it does. Durable on return. A crash can leave a part
 * of it.
 */
export async function createFile(
  path: string,
  content: string | Uint8Array,
  mode: number,
): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await syncFolder(dirname(path));
}

const LINKS_UNSUPPORTED: readonly (string | undefined)[] = [
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
];

/**
 * Creates a file that must not exist yet, whole or not at all; `EEXIST` if it does. Durable on return.
 * Where the file system has no links, a crash can leave a part of it.
 */
export async function createWholeFile(
  path: string,
  content: string | Uint8Array,
  mode: number,
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await createFile(temporary, content, mode);
    // A rename would replace a file that has come up since; a link never does.
    await link(temporary, path);
  } catch (error) {
    if (!LINKS_UNSUPPORTED.includes(codeOf(error))) throw error;
    await createFile(path, content, mode);
  } finally {
    await rm(temporary, { force: true });
  }
  await syncFolder(dirname(path));
}

/** Creates a folder that only its owner can look into, with its parents. */
export async function makePrivateFolder(path: string): Promise<void> {
  // Not `recursive`: where a system answers ENOENT although the parent exists (/proc does), Node tries for
  // ever, in a thread that nothing can stop (tried, with Node 20.20).
  try {
    await makeFolder(path);
  } catch (error) {
    const parent = dirname(path);
    if (codeOf(error) !== 'ENOENT' || parent === path) throw error;
    await makePrivateFolder(parent);
    await makeFolder(path);
  }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    // What is there already may also be a root that can't be made (EPERM, EISDIR) or a link to a folder.
    const isThere = await stat(path).then(
      (facts) => facts.isDirectory(),
      () => false,
    );
    if (!isThere) throw error;
  }
}

// Where a folder can't be opened or synced at all (Windows, some network file systems, a folder that may
// only be written to), its list of names is as durable as it gets. Any other failure is a failing disk.
const FOLDERS_UNSUPPORTED: readonly (string | undefined)[] = [
  'EACCES',
  'EINVAL',
  'EISDIR',
  'ENOSYS',
  'ENOTSUP',
  'EOPNOTSUPP',
  'EPERM',
];

/**
 * Makes what was created or renamed in a folder durable.
 *
 * @throws {Error} the disk fails; not where the system has no way to do it
 */
export async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    if (!FOLDERS_UNSUPPORTED.includes(codeOf(error))) throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
