// From the tarball that npm makes to one that is the same on every machine. npm decides which files are
// in it; here everything is taken out that depends on where they lay: order, modes beyond "executable",
// CRLF that a checkout made, this tool's own papers, and the deflate of this Node.
import { gzip } from 'pako';

import { checkTarball, type ArchiveListing } from '../../../verifier/archive/tarball.ts';
import type { ArchiveFile } from '../../../verifier/archive/tar.ts';
import { gunzip } from '../../../verifier/node/gunzip.ts';
import { CliError } from '../../errors.ts';
import { asCommitted, type GitFile } from './git.ts';
import { writeArchive, type PackedFile } from './tar.ts';

/** What a signer should know about where the packed files come from. Paths in their order. */
export interface PackNotes {
  /** Tarballs and drafts in the package's root folder, which are not packed. */
  readonly leftOut: readonly string[];
  /** Whether git was asked; without it the modes and line ends are those of this machine. */
  readonly hasGit: boolean;
  /** Packed, and not in git: built files, mostly. The others need the same build. */
  readonly untracked: readonly string[];
  /** Packed with another content than git has. */
  readonly changed: readonly string[];
}

/** A tarball of its own making. */
export interface Repacked {
  readonly tarball: Uint8Array;
  readonly notes: PackNotes;
}

// The format of all who sign a version must be the same, so these are never to be changed lightly: the
// table of digests in repack.test.ts fails.
const GZIP_LEVEL = 9;
/** Papers of this tool are JSON of this size at most (a draft: four envelopes). */
const PAPER_BYTES_MAX: number = 256 * 1024;
const DRAFT_MARK = /"format":"bftpkg-draft\//;
const SECRET_MARK = /"format":"bftpkg-(?:key|share|backup)[^"]*"/;

/**
 * Packs anew what npm has packed.
 *
 * @param tarball what `npm pack` made
 * @param tracked what git knows; `undefined` without git
 * @throws {CliError} BP8001 when a private key would be published
 * @throws {VerifyError} `ARCHIVE_UNSAFE`
 */
export async function repack(
  tarball: Uint8Array,
  tracked: ReadonlyMap<string, GitFile> | undefined,
): Promise<Repacked> {
  const listing = await checkTarball(tarball, gunzip);
  const isBin = binsOf(listing);
  const leftOut: string[] = [];
  const untracked: string[] = [];
  const changed: string[] = [];
  const packed: PackedFile[] = [];
  // By code units: npm asks the locale of its machine.
  for (const file of listing.files.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    const { path } = file;
    const content = contentOf(listing, file);
    requireNoSecret(path, content);
    if (isPaper(path, content)) {
      leftOut.push(path);
      continue;
    }
    const git = tracked?.get(path);
    if (tracked !== undefined && git === undefined) untracked.push(path);
    const checkout = git === undefined ? content : asCommitted(content, git);
    if (checkout === undefined) changed.push(path);
    const executable = isBin(path) || (git ?? file).executable;
    packed.push({ path, executable, content: checkout ?? content });
  }
  const bytes = gzip(writeArchive(packed), { level: GZIP_LEVEL });
  const hasGit = tracked !== undefined;
  return {
    tarball: bytes,
    notes: { leftOut, hasGit, untracked, changed },
  };
}

/** The notes as lines for people. */
export function describeNotes(notes: PackNotes): readonly string[] {
  const { leftOut, hasGit, untracked, changed } = notes;
  return [
    ...(hasGit
      ? []
      : ['  note      not in git: file modes and line ends are those of this machine']),
    ...manyLine('left out', leftOut),
    ...manyLine('not in git (the others need the same build)', untracked),
    ...manyLine('not as in git', changed),
  ];
}

const PATHS_SHOWN_MAX = 8;

function manyLine(what: string, paths: readonly string[]): readonly string[] {
  if (paths.length === 0) return [];
  const more = paths.length - PATHS_SHOWN_MAX;
  const shown = paths.slice(0, PATHS_SHOWN_MAX).join(', ');
  return [`  note      ${what}: ${shown}${more > 0 ? ` and ${more} more` : ''}`];
}

function contentOf({ archive }: ArchiveListing, { offset, size }: ArchiveFile): Uint8Array {
  return archive.subarray(offset, offset + size);
}

// What installers make executable, whatever the archive says.
function binsOf({ manifest }: ArchiveListing): (path: string) => boolean {
  const plain = (path: string): string => path.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '');
  const tableOf = (field: string): readonly string[] => {
    const table = manifest[field];
    if (typeof table !== 'object' || table === null || Array.isArray(table)) return [];
    return Object.values(table).filter((path) => typeof path === 'string');
  };
  const files = new Set(tableOf('bin').map(plain));
  const folders = tableOf('directories').map((path) => `${plain(path)}/`);
  return (path) => files.has(path) || folders.some((folder) => path.startsWith(folder));
}

function isPaper(path: string, content: Uint8Array): boolean {
  if (path.includes('/')) return false;
  if (path.endsWith('.tgz')) return true;
  return path.endsWith('.json') && DRAFT_MARK.test(startOf(content));
}

// Published is published: a registry keeps what it was given.
function requireNoSecret(path: string, content: Uint8Array): void {
  if (!path.endsWith('.json') || !SECRET_MARK.test(startOf(content))) return;
  throw new CliError('BP8001', `${path}: a private key, or a share of one, would be packed`, {
    hints: ['move it out of the package’s folder'],
  });
}

function startOf(content: Uint8Array): string {
  if (content.length > PAPER_BYTES_MAX) return '';
  return Buffer.from(content.buffer, content.byteOffset, content.length).toString('latin1');
}
