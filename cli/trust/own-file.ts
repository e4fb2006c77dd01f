// Files of this user that say what was verified before: worth something only if nobody else could write them.
import { readFile, stat } from 'node:fs/promises';

/** Bits that let others write (POSIX): group and everybody. */
const WRITABLE_BY_OTHERS = 0o022;

/**
 * The bytes of a file that only this user can write; `undefined` for any other, for one that is too long, and
 * for none.
 */
export async function readOwnFile(path: string, bytesMax: number): Promise<Uint8Array | undefined> {
  try {
    const { mode, uid, size } = await stat(path);
    const isOthers = process.getuid !== undefined && uid !== process.getuid();
    if (isOthers || (mode & WRITABLE_BY_OTHERS) !== 0 || size > bytesMax) return undefined;
    return await readFile(path);
  } catch {
    return undefined;
  }
}
