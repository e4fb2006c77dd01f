// A checker for the tar archives of packages, over the whole archive in memory. It accepts the part
// of tar on which all extractors agree, so that what was checked is what any of them unpacks:
// node-tar, those of pnpm, yarn and bun, GNU's and BSD's differ in nearly everything else. It is no
// extractor, but says where each file's bytes are, so that one never needs to parse again.
//
// Refused, not repaired: the archive goes to the user's package manager as it was signed.
import { readGnuLongName, readPaxRecords } from './extended-header.ts';
import type { Extension } from './extended-header.ts';
import { BLOCK_BYTES, isZero, readHeader, unsafeArchive } from './header.ts';
import type { TarHeader } from './header.ts';
import {
  ARCHIVE_BYTES_MAX,
  ENTRIES_MAX,
  EXTENDED_HEADER_BYTES_MAX,
  FILE_BYTES_MAX,
} from './limits.ts';
import { PathTable, splitPath } from './paths.ts';

/** A file in an archive. */
export interface ArchiveFile {
  /** Path below the root folder, with `/` between segments. */
  readonly path: string;
  /** Bytes of content. */
  readonly size: number;
  /** Whether anybody may execute it: mode 0755, otherwise 0644; nothing else of the mode counts. */
  readonly executable: boolean;
  /** Where its content starts in the archive. */
  readonly offset: number;
}

/** An archive that was read to its end. */
export interface Archive {
  /** Name of the one folder that everything is in, `package` mostly. Installers strip it. */
  readonly root: string;
  /** In the order of the archive. Folders without files don't count. */
  readonly files: readonly ArchiveFile[];
}

/** Blocks of zeros that end an archive (POSIX). Fewer would be an archive that was cut short. */
const END_BLOCKS = 2;
/** Zeros at the end: tape records had 10 KiB. Without a bound a small tarball costs a long look. */
const END_BYTES_MAX: number = 1024 * 1024;
const SET_ID_BITS = 0o7000;
const EXECUTE_BITS = 0o111;

/**
 * Reads an archive.
 *
 * @param bytes the decompressed archive, at most `ARCHIVE_BYTES_MAX`
 * @throws {VerifyError} `ARCHIVE_UNSAFE`
 */
export function readArchive(bytes: Uint8Array): Archive {
  if (bytes.length > ARCHIVE_BYTES_MAX) throw unsafeArchive(`over ${ARCHIVE_BYTES_MAX} bytes`);
  if (bytes.length % BLOCK_BYTES !== 0) throw unsafeArchive('not a whole number of blocks');

  const files: ArchiveFile[] = [];
  const table = new PathTable();
  let root: string | undefined;
  let extension: Extension | undefined;
  let entries = 0;
  let at = 0;
  for (;;) {
    const block = bytes.subarray(at, at + BLOCK_BYTES);
    if (block.length < BLOCK_BYTES) throw unsafeArchive('cut short: no zero blocks at the end');
    if (isZero(block)) break;
    entries++;
    if (entries > ENTRIES_MAX) throw unsafeArchive(`more than ${ENTRIES_MAX} entries`);

    const header = readHeader(block);
    const offset = at + BLOCK_BYTES;
    if (header.type === 'x' || header.type === 'L') {
      // Two in a row, or one of each kind: extractors differ in which of them counts.
      if (extension !== undefined) throw unsafeArchive('two extended headers for one entry');
      if (header.size > EXTENDED_HEADER_BYTES_MAX) throw unsafeArchive('a huge extended header');
      const content = contentAt(bytes, offset, header.size);
      extension = header.type === 'x' ? readPaxRecords(content) : readGnuLongName(content);
    } else {
      const path = extension?.path ?? header.path;
      checkSize(header, extension, path);
      extension = undefined;
      const segments = addEntry(table, header, path);
      root ??= segments[0];
      // npm strips the first part of every path, whatever it is.
      if (segments[0] !== root) throw unsafeArchive('outside of the root folder', path);
      if (!isFolder(header)) {
        contentAt(bytes, offset, header.size);
        const executable = (header.mode & EXECUTE_BITS) !== 0;
        files.push({ path: segments.slice(1).join('/'), size: header.size, executable, offset });
      }
    }
    at = offset + Math.ceil(header.size / BLOCK_BYTES) * BLOCK_BYTES;
  }

  if (extension !== undefined) throw unsafeArchive('an extended header for no entry');
  const end = bytes.subarray(at);
  if (end.length > END_BYTES_MAX) throw unsafeArchive('too many zero blocks at the end');
  if (end.length < END_BLOCKS * BLOCK_BYTES) throw unsafeArchive('cut short: one zero block');
  // Some extractors go on reading behind the end when they are told to.
  if (!isZero(end)) throw unsafeArchive('something behind the end');
  if (root === undefined) throw unsafeArchive('empty');
  return { root, files };
}

function contentAt(bytes: Uint8Array, offset: number, size: number): Uint8Array {
  if (size > bytes.length - offset) throw unsafeArchive('cut short within an entry');
  return bytes.subarray(offset, offset + size);
}

function checkSize(header: TarHeader, extension: Extension | undefined, path: string): void {
  if (header.size > FILE_BYTES_MAX) throw unsafeArchive(`over ${FILE_BYTES_MAX} bytes`, path);
  // With two sizes, one reader's content is another reader's next header (CVE-2026-31802's kind).
  if (extension?.size !== undefined && extension.size !== header.size) {
    throw unsafeArchive('two different sizes', path);
  }
}

function isFolder(header: TarHeader): boolean {
  return header.type === '5';
}

/** Checks type, mode and place of an entry. */
function addEntry(table: PathTable, header: TarHeader, path: string): readonly string[] {
  // npm would keep setuid and setgid on what it unpacks as root; the sticky bit has no use either.
  if ((header.mode & SET_ID_BITS) !== 0)
    throw unsafeArchive('a setuid, setgid or sticky bit', path);
  if (isFolder(header)) {
    // Some skip a folder's content, some don't.
    if (header.size !== 0) throw unsafeArchive('a folder with content', path);
    const segments = splitPath(path.endsWith('/') ? path.slice(0, -1) : path);
    table.addFolder(segments);
    return segments;
  }
  if (header.type !== '0' && header.type !== '\0') {
    // Links above all: they make a later path lead somewhere else. Then devices, pipes, sparse
    // files, and PAX headers for the rest of the archive, which would change what was checked.
    throw unsafeArchive(`an entry of the type ${JSON.stringify(header.type)}`, path);
  }
  const segments = splitPath(path);
  if (segments.length < 2) throw unsafeArchive('a file outside of any folder', path);
  table.addFile(segments);
  return segments;
}
