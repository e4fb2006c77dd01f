// Releases of a project that this user's machine has verified before, so that evidence need not show their
// entries again: of a lockfile with five hundred packages, four fifths of what is fetched and read.
//
// What is kept, and what somebody could do who can write it, stands in verifier/evidence/remembered.ts. It is
// a file for each project, in the state folder like the trust state, and is not read when others could have
// written it. Whatever is wrong with it: everything is shown and verified again.
import { readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import { concat, utf8 } from '../../verifier/bytes.ts';
import { decodeHex, encodeHex } from '../../verifier/encoding.ts';
import type {
  KnownLeaf,
  RememberedPackage,
  RememberedRelease,
} from '../../verifier/evidence/remembered.ts';
import type { Signer } from '../../verifier/evidence/subject.ts';
import { makePrivateFolder, replaceFile } from '../../verifier/node/durable-file.ts';
import { sha256Hex } from '../../verifier/sha256.ts';
import { decodeUtf8 } from '../../verifier/text.ts';
import { readOwnFile } from './own-file.ts';

const HEADER = 'bftpkg-verified-releases/v2';
const FILE_SUFFIX = '.releases';
const DIGEST_LENGTH = 64;

/** Releases kept of one project: three of the largest monorepos. */
export const RELEASES_MAX = 10_000;
/** Most that is read, and written: 10,000 releases of 2 KB each, with room for large manifests. */
export const FILE_BYTES_MAX: number = 32 * 1024 * 1024;
/** Projects kept; the one that was verified longest ago goes. */
export const PROJECTS_MAX = 32;
/** A file that is used is marked at most that often: the mark is for choosing what goes. */
const TOUCH_INTERVAL_MS = 86_400_000;

/** The remembered releases of one project, in one log. */
export class RememberedReleases {
  readonly #folder: string;
  readonly #path: string;
  #known: ReadonlyMap<string, RememberedRelease> | undefined;

  /**
   * @param folder the state folder of the user
   * @param pin    of the log, hex
   * @param project any text that stands for the project, such as its folder
   */
  constructor(folder: string, pin: string, project: string) {
    this.#folder = folder;
    // Its name says nothing about where projects are.
    const name = sha256Hex(utf8(JSON.stringify([pin, project])));
    this.#path = join(folder, name.slice(0, 32) + FILE_SUFFIX);
  }

  /** By purl. */
  async read(): Promise<ReadonlyMap<string, RememberedRelease>> {
    if (this.#known !== undefined) return this.#known;
    const bytes = await readOwnFile(this.#path, FILE_BYTES_MAX);
    const releases = bytes === undefined ? [] : parseReleases(bytes);
    if (releases.length > 0) await this.#touch();
    return (this.#known = new Map(releases.map((release) => [release.purl, release])));
  }

  /** Forgets, in memory only: what takes their place is kept when it was verified. */
  async forget(purls: Iterable<string>): Promise<void> {
    const known = new Map(await this.read());
    for (const purl of purls) known.delete(purl);
    this.#known = known;
  }

  /**
   * Keeps releases that were just verified, in front of the others. A full disk or a folder that can't be
   * written costs the next run its time, and this one nothing.
   *
   * @param releases distinct
   */
  async keep(releases: readonly RememberedRelease[]): Promise<void> {
    const known = await this.read();
    if (releases.every(({ purl }) => known.has(purl))) return;
    const all = new Map(releases.map((release) => [release.purl, release]));
    for (const [purl, release] of known) if (!all.has(purl)) all.set(purl, release);
    const { kept, bytes } = encodeReleases([...all.values()]);
    // Of those that are too many, each run would find some missing, and write the same again.
    if (kept.every(({ purl }) => known.has(purl))) return;
    this.#known = new Map(kept.map((release) => [release.purl, release]));
    try {
      await makePrivateFolder(this.#folder);
      await replaceFile(this.#path, bytes);
      await this.#prune();
    } catch {
      return;
    }
  }

  async #touch(): Promise<void> {
    try {
      const { mtimeMs } = await stat(this.#path);
      const now = Date.now();
      if (now - mtimeMs > TOUCH_INTERVAL_MS) await utimes(this.#path, now / 1000, now / 1000);
    } catch {
      return;
    }
  }

  async #prune(): Promise<void> {
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith(FILE_SUFFIX));
    if (names.length <= PROJECTS_MAX) return;
    const files = await Promise.all(
      names.map(async (name) => {
        const path = join(this.#folder, name);
        return { path, atMs: (await stat(path)).mtimeMs };
      }),
    );
    const oldest = files.toSorted((a, b) => b.atMs - a.atMs).slice(PROJECTS_MAX);
    await Promise.all(oldest.map(({ path }) => rm(path, { force: true })));
  }
}

// A row: purl, size, index, leaf, statement, time, signers, required, packages. Lists, because names of fields
// would be a third of the file. A statement may be that of 64 releases, so that rows have its place in a list.
type Row = readonly unknown[];

const leafOf = ({ index, leaf }: KnownLeaf): Row => [index, encodeHex(leaf)];

function rowOf(release: RememberedRelease, statement: number): Row {
  return [
    release.purl,
    release.size,
    ...leafOf(release),
    statement,
    release.loggedAt,
    release.signers.map(({ name, keyId }) => [name, keyId]),
    release.required,
    release.packages.map(({ name, sets }) => [name, sets.map(leafOf)]),
  ];
}

/** The file: a line with the digest of what follows it, then one JSON document. */
export function formatReleases(releases: readonly RememberedRelease[]): Uint8Array {
  return encodeReleases(releases).bytes;
}

/** The file, and those that it has: the first ones, as far as there is room. */
function encodeReleases(releases: readonly RememberedRelease[]): {
  readonly kept: readonly RememberedRelease[];
  readonly bytes: Uint8Array;
} {
  const kept: RememberedRelease[] = [];
  const rows: string[] = [];
  const payloads: string[] = [];
  const places = new Map<string, number>();
  let room = FILE_BYTES_MAX - HEADER.length - DIGEST_LENGTH - '[[],[]] \n'.length;
  for (const release of releases.slice(0, RELEASES_MAX)) {
    const hash = sha256Hex(release.payload);
    const place = places.get(hash);
    const payload = place === undefined ? JSON.stringify(decodeUtf8(release.payload)) : undefined;
    const row = JSON.stringify(rowOf(release, place ?? payloads.length));
    // Each with its comma.
    room -= lengthOf(row) + 1 + (payload === undefined ? 0 : lengthOf(payload) + 1);
    if (room < 0) break;
    kept.push(release);
    rows.push(row);
    if (payload === undefined) continue;
    places.set(hash, payloads.length);
    payloads.push(payload);
  }
  const body = utf8(`[[${payloads.join(',')}],[${rows.join(',')}]]`);
  return { kept, bytes: concat(utf8(`${HEADER} ${sha256Hex(body)}\n`), body) };
}

function lengthOf(text: string): number {
  return utf8(text).length;
}

/** The releases in a file; none when anything in it is not as it was written. */
export function parseReleases(bytes: Uint8Array): readonly RememberedRelease[] {
  const start = HEADER.length + 1 + DIGEST_LENGTH + 1;
  const body = bytes.subarray(start);
  const head = `${HEADER} ${sha256Hex(body)}\n`;
  if (decodeLatin1(bytes.subarray(0, start)) !== head) return [];
  try {
    const document: unknown = JSON.parse(decodeUtf8(body));
    const [payloads, rows] = listOf(document);
    const statements = listOf(payloads).map((payload) => utf8(textOf(payload)));
    return listOf(rows).map((row) => readRow(row, statements));
  } catch {
    return [];
  }
}

function decodeLatin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function readRow(row: unknown, statements: readonly Uint8Array[]): RememberedRelease {
  const [purl, size, index, leaf, statement, loggedAt, signers, required, packages] = listOf(row);
  const payload = statements[numberOf(statement)];
  if (payload === undefined) throw new TypeError('not a statement');
  return {
    purl: textOf(purl),
    size: numberOf(size),
    index: numberOf(index),
    leaf: decodeHex(textOf(leaf), 32),
    payload,
    loggedAt: numberOf(loggedAt),
    signers: listOf(signers).map(readSigner),
    required: numberOf(required),
    packages: listOf(packages).map(readPackage),
  };
}

function readSigner(value: unknown): Signer {
  const [name, keyId] = listOf(value);
  return { name: textOf(name), keyId: textOf(keyId) };
}

function readPackage(value: unknown): RememberedPackage {
  const [name, sets] = listOf(value);
  return { name: textOf(name), sets: listOf(sets).map(readLeaf) };
}

function readLeaf(value: unknown): KnownLeaf {
  const [index, leaf] = listOf(value);
  return { index: numberOf(index), leaf: decodeHex(textOf(leaf), 32) };
}

// What has the digest was written here; these are for a version that writes other rows under this header.
function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError('not a list');
  return value;
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('not a text');
  return value;
}

function numberOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new TypeError('not a number');
  }
  return value;
}
