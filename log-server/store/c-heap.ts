// Gives freed memory of the C heap back to the system. glibc does that by itself only for what lies at the end of its
// heap: behind a burst, a few small buffers that are still in use hold tens of megabytes of free pages.
// Its `malloc_trim` gives the pages between them back as well, and Node has no call for it; of what a replica has
// loaded, SQLite calls functions of shared libraries by name.
import { readFileSync } from 'node:fs';

import { openInMemory } from './database.ts';

/** glibc, by the name under which it is loaded. */
const LIBRARY = 'libc.so.6';

/** What SQLite says when the function was called and returned 1: some memory was given back. */
const RETURNED_ONE = /^error during initialization/;

/** What better-sqlite3 documents; its types lack the name of the function. */
interface Loader {
  loadExtension(library: string, functionName: string): unknown;
  close(): unknown;
}

/**
 * Gives all free pages of the C heap back to the system. Takes some ten milliseconds, in which nothing else runs:
 * for when there is nothing to do. Does nothing where the C library isn't glibc.
 *
 * `malloc_trim` returns an int, as the function does for which SQLite takes it, and has one argument where that has
 * three (the rest lies in registers that it doesn't read, on all of Node's platforms with glibc). The one, a pointer,
 * is to it the number of bytes to leave at the end of the heap: more than there are, so that end stays as it is.
 *
 * @param isLoaded whether glibc is this process's C library
 * @returns whether any was given back
 */
export function trimCHeap(isLoaded: () => boolean = isGlibcLoaded): boolean {
  // Never loads a library: a second C library beside another one would be no good.
  if (!isLoaded()) return false;
  const database: Loader = openInMemory();
  try {
    database.loadExtension(LIBRARY, 'malloc_trim');
    return false;
  } catch (error) {
    return error instanceof Error && RETURNED_ONE.test(error.message);
  } finally {
    database.close();
  }
}

let isGlibc: boolean | undefined;

function isGlibcLoaded(): boolean {
  isGlibc ??= process.platform === 'linux' && mapsOfProcess().includes(`/${LIBRARY}`);
  return isGlibc;
}

/** Files that are mapped into this process, among other things. */
function mapsOfProcess(): string {
  try {
    return readFileSync('/proc/self/maps', 'latin1');
  } catch {
    // No such file system here: then nobody knows.
    return '';
  }
}
