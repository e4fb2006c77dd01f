// Artifacts: small ones in the database, with the row that names them; the others as files under their
// digest: `aa/bb/rest`. A file gets its name only after its bytes have the digest, passed the archive
// rules and are on the disk, and gets its row in the index after that. So what the index names is there,
// and a crash at any point leaves at most a file in `incoming`, which the next start removes.
import { createHash, randomBytes, type Hash as NodeHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { Gunzip } from '../../verifier/archive/gzip.ts';
import { TARBALL_BYTES_MAX } from '../../verifier/archive/limits.ts';
import { decodeHex, encodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { releasePurl } from '../../verifier/npm/purl.ts';
import type { ArtifactIndex } from '../ledger/artifact-check.ts';
import {
  FETCHED_AT_ONCE,
  OFFERED_AT_ONCE,
  StorageBusyError,
  type ArtifactContent,
  type ArtifactFacts,
  type ArtifactPurpose,
  type ArtifactPut,
  type ArtifactStore,
} from './artifact-store.ts';
import {
  ArchiveThread,
  INLINE_BYTES_MAX,
  checkSmallTarball,
  type CheckedArchive,
} from './archive-thread.ts';
import { ArtifactGroup } from './artifact-group.ts';
import type { ArtifactTables } from './artifact-tables.ts';
import { fsyncDirectory } from './database.ts';
import { SMALL_BYTES_MAX, hasDigest, readHead, requireDigest, sourceOf } from './small-artifact.ts';
import { Turns } from './turns.ts';

/**
 * Small artifacts that are large once they are inflated, written to files at one time. Hundreds may arrive; the others
 * wait with their 64 KiB, so that they leave places to those that are large on the wire.
 */
const INFLATED_AT_ONCE = 8;

/**
 * Files written at one time. Votes have places for all that may be fetched, which nobody else takes: uploads that
 * inflate took them all. Each may wait for its turn with 256 MiB on the disk.
 */
const FILES_MAX: Readonly<Record<ArtifactPurpose, number>> = {
  offer: OFFERED_AT_ONCE + FETCHED_AT_ONCE + INFLATED_AT_ONCE,
  vote: FETCHED_AT_ONCE + INFLATED_AT_ONCE,
};

/**
 * Small artifacts that arrive at one time, 80 MiB of memory at most: what strangers may bring, and a full parcel of
 * each of the other replicas.
 */
const SMALL_COUNT_MAX = 1280;

/**
 * Bytes of the disk for artifacts that no log entry names, with their manifests and rows. Anybody may upload before
 * there is a statement; this much, and no more, can be filled that way.
 */
export const UNWANTED_BYTES_MAX: number = 4 * 1024 * 1024 * 1024;

/**
 * Room on top of it that only what a vote waits for may take: otherwise whoever fills the room for
 * everybody would keep a quorum from voting. A full batch of 500 releases fits with 8 MiB each; whatever
 * a faulty leader proposes, no more of the disk goes that way.
 */
export const VOTE_BYTES_MAX: number = 4 * 1024 * 1024 * 1024;

/**
 * Bytes of promised artifacts that don't count as filling the room: as much for each of the four bodies that
 * consensus keeps. A faulty leader's batch names whatever it likes, and all of it is promised while it comes
 * in; without this bound it could fill the disk, and with it end the voting.
 */
export const PROMISED_BYTES_MAX: number = 4 * VOTE_BYTES_MAX;

/** Unwanted artifacts are kept this long, for co-maintainers to sign and submit, seconds. */
export const UNWANTED_SECONDS_MAX: number = 24 * 3600;

/**
 * When there is no room, the oldest go before that, but not before this, seconds: whoever signs and
 * submits at once is not pushed out. Without it, uploads of 4 GiB a day by anybody would keep everybody
 * else from publishing.
 */
export const UNWANTED_SECONDS_MIN = 600;

/** Files removed at once when room is needed. */
const EXPIRE_COUNT_MAX = 100;

const DIGEST_BYTES = 64;
const INCOMING = 'incoming';

/** What a folder of artifacts works with. */
export interface FolderArtifactsParts {
  readonly folder: string;
  readonly tables: ArtifactTables;
  readonly gunzip: Gunzip;
  /** Wall clock, Unix seconds. */
  readonly nowSeconds: () => number;
  /**
   * Artifacts (hex SHA-512) that a batch names for which this replica votes or has voted: they stay until
   * it is decided. Whoever has no votes has none. Up to a bound they don't count as what fills the room: a
   * faulty leader's batches, of which consensus keeps a handful, would keep those of the next one out.
   */
  readonly promised?: () => ReadonlySet<string>;
  /** For tests: less than `UNWANTED_BYTES_MAX`. */
  readonly unwantedBytesMax?: number;
  /** For tests: less than `VOTE_BYTES_MAX`. */
  readonly voteBytesMax?: number;
  /** For tests: less than `PROMISED_BYTES_MAX`. */
  readonly promisedBytesMax?: number;
  /** For tests: instead of `SMALL_BYTES_MAX`; 0 makes everything a file. */
  readonly smallBytesMax?: number;
}

/** Artifacts in a folder. */
export class FolderArtifacts implements ArtifactStore, ArtifactIndex {
  readonly #folder: string;
  readonly #tables: ArtifactTables;
  readonly #gunzip: Gunzip;
  readonly #nowSeconds: () => number;
  readonly #promised: () => ReadonlySet<string>;
  readonly #unwantedBytesMax: number;
  readonly #voteBytesMax: number;
  readonly #promisedBytesMax: number;
  readonly #smallBytesMax: number;
  readonly #group: ArtifactGroup;
  readonly #files: Record<ArtifactPurpose, number> = { offer: 0, vote: 0 };
  #small = 0;
  readonly #thread = new ArchiveThread();
  // One large archive is inflated at a time: each may take a gigabyte of memory. What votes wait for comes first.
  readonly #turns = new Turns(1);
  readonly #inflated: Readonly<Record<ArtifactPurpose, Turns>> = {
    offer: new Turns(INFLATED_AT_ONCE),
    vote: new Turns(INFLATED_AT_ONCE),
  };

  private constructor(parts: FolderArtifactsParts) {
    this.#folder = parts.folder;
    this.#tables = parts.tables;
    this.#gunzip = parts.gunzip;
    this.#nowSeconds = parts.nowSeconds;
    this.#promised = parts.promised ?? (() => new Set());
    this.#unwantedBytesMax = parts.unwantedBytesMax ?? UNWANTED_BYTES_MAX;
    this.#voteBytesMax = parts.voteBytesMax ?? VOTE_BYTES_MAX;
    this.#promisedBytesMax = parts.promisedBytesMax ?? PROMISED_BYTES_MAX;
    this.#smallBytesMax = parts.smallBytesMax ?? SMALL_BYTES_MAX;
    this.#group = new ArtifactGroup(parts.tables);
  }

  /** Opens the folder, making it when it is not there, and removes what a crash left unfinished. */
  static async open(parts: FolderArtifactsParts): Promise<FolderArtifacts> {
    const incoming = join(parts.folder, INCOMING);
    await mkdir(incoming, { recursive: true });
    for (const name of await readdir(incoming)) await unlink(join(incoming, name));
    fsyncDirectory(parts.folder);
    return new FolderArtifacts(parts);
  }

  /** Ends what has nothing to do. */
  async rest(): Promise<void> {
    await this.#thread.rest();
  }

  factsNow(sha512: string): ArtifactFacts | undefined {
    return this.#tables.facts(sha512);
  }

  async facts(sha512: string): Promise<ArtifactFacts | undefined> {
    return this.#tables.facts(sha512);
  }

  async missing(countMax: number): Promise<readonly string[]> {
    const missing = this.#tables.missing(countMax);
    // A vote's as well: one that was found damaged has to be here when the batch is proposed again.
    const promised = [...this.#promised()].filter((sha512) => !this.hasNow(sha512));
    return [...missing, ...promised].slice(0, countMax);
  }

  async put(
    sha512: string,
    source: AsyncIterable<Uint8Array>,
    purpose: ArtifactPurpose = 'offer',
  ): Promise<ArtifactPut> {
    decodeHex(sha512, DIGEST_BYTES);
    const held = await this.#held(sha512);
    if (held !== undefined) return { kind: 'present', facts: held };
    if (this.#small >= SMALL_COUNT_MAX) throw new StorageBusyError('too many uploads at once');
    this.#small += 1;
    let rest: AsyncIterable<Uint8Array>;
    try {
      const head = await readHead(source, this.#smallBytesMax);
      if (head.kind === 'whole') {
        const facts =
          (await this.#putSmall(sha512, head.bytes, purpose)) ??
          (await this.#inflated[purpose].run(purpose, () =>
            this.#putFile(sha512, sourceOf(head.bytes), purpose),
          ));
        return { kind: 'created', facts };
      }
      rest = head.source;
    } finally {
      this.#small -= 1;
    }
    return { kind: 'created', facts: await this.#putFile(sha512, rest, purpose) };
  }

  /** @returns `undefined` when it is not small once it is inflated; nothing has happened then */
  async #putSmall(
    sha512: string,
    bytes: Uint8Array,
    purpose: ArtifactPurpose,
  ): Promise<ArtifactFacts | undefined> {
    requireDigest(createHash('sha512').update(bytes).digest('hex'), sha512);
    await this.#requireRoom(sha512, purpose);
    const checked = await checkSmallTarball(bytes, this.#gunzip);
    if (checked === undefined) return undefined;
    const facts = factsOf(sha512, bytes.length, checked);
    await this.#group.put({ facts, receivedSeconds: this.#nowSeconds(), bytes });
    return facts;
  }

  async #putFile(
    sha512: string,
    source: AsyncIterable<Uint8Array>,
    purpose: ArtifactPurpose,
  ): Promise<ArtifactFacts> {
    if (this.#files[purpose] >= FILES_MAX[purpose]) {
      throw new StorageBusyError('too many uploads at once');
    }
    this.#files[purpose] += 1;
    const incoming = join(this.#folder, INCOMING, encodeHex(Uint8Array.from(randomBytes(16))));
    try {
      await this.#requireRoom(sha512, purpose);
      const size = await this.#receive(incoming, sha512, source);
      const facts = await this.#check(incoming, sha512, size, purpose);
      await this.#settle(incoming, sha512);
      const receivedSeconds = this.#nowSeconds();
      await this.#group.put({ facts, receivedSeconds, bytes: undefined });
      return facts;
    } finally {
      this.#files[purpose] -= 1;
      await rm(incoming, { force: true });
    }
  }

  async read(sha512: string): Promise<ArtifactContent | undefined> {
    const facts = await this.#held(sha512);
    if (facts === undefined) return undefined;
    const bytesId = this.#tables.find(sha512)?.bytesId;
    if (bytesId !== undefined) {
      const bytes = this.#readSmall(sha512, bytesId);
      return bytes && { size: bytes.length, chunks: () => sourceOf(bytes) };
    }
    const path = this.#path(sha512);
    const hash = createHash('sha512');
    let size = 0;
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      size += chunk.length;
    }
    if (size !== facts.size || hash.digest('hex') !== sha512) {
      // Bit rot: it counts as missing from now on, and is fetched from another replica again.
      this.#tables.drop(sha512);
      await rm(path, { force: true });
      return undefined;
    }
    return { size, chunks: () => createReadStream(path) as AsyncIterable<Buffer> };
  }

  /**
   * Takes a file that lies in its place already into the index, if it is what its name says: for an
   * index that is made anew.
   *
   * @returns whether it is held now
   */
  async adopt(sha512: string): Promise<boolean> {
    if ((await this.#held(sha512)) !== undefined) return true;
    const path = this.#path(sha512);
    const size = await sizeOf(path);
    if (size === undefined) return false;
    try {
      requireDigest(await digestOf(path), sha512);
      const facts = await this.#check(path, sha512, size, 'offer');
      await this.#group.put({ facts, receivedSeconds: this.#nowSeconds(), bytes: undefined });
      return true;
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      return false;
    }
  }

  /** Digests of all files that lie in a place of artifacts, whatever the index says. */
  async *files(): AsyncGenerator<string> {
    for (const first of await readdir(this.#folder)) {
      if (!/^[0-9a-f]{2}$/.test(first)) continue;
      for (const second of await readdir(join(this.#folder, first))) {
        for (const rest of await readdir(join(this.#folder, first, second))) {
          const sha512 = first + second + rest;
          if (/^[0-9a-f]{128}$/.test(sha512)) yield sha512;
        }
      }
    }
  }

  /** Removes a file that is in no index: lost room. */
  async discard(sha512: string): Promise<void> {
    if (this.#tables.find(sha512) !== undefined) return;
    await rm(this.#path(sha512), { force: true });
  }

  smallNow(sha512: string): Uint8Array | undefined {
    const bytesId = this.#tables.find(sha512)?.bytesId;
    return bytesId === undefined ? undefined : this.#readSmall(sha512, bytesId);
  }

  hasNow(sha512: string): boolean {
    return this.#tables.find(sha512) !== undefined;
  }

  #readSmall(sha512: string, bytesId: number): Uint8Array | undefined {
    const bytes = this.#tables.bytes(bytesId);
    if (bytes !== undefined && hasDigest(bytes, sha512)) return bytes;
    // As with a file: a page can rot as well.
    this.#tables.drop(sha512);
    return undefined;
  }

  // What the index says, if the bytes are still there; of a file, with its size.
  async #held(sha512: string): Promise<ArtifactFacts | undefined> {
    const held = this.#tables.find(sha512);
    if (held === undefined || held.bytesId !== undefined) return held?.facts;
    const size = await sizeOf(this.#path(sha512));
    if (size === held.facts.size) return held.facts;
    this.#tables.drop(sha512);
    return undefined;
  }

  async #requireRoom(sha512: string, purpose: ArtifactPurpose): Promise<void> {
    if (this.#tables.isWanted(sha512)) return;
    const isVote = purpose === 'vote';
    const bytesMax = this.#unwantedBytesMax + (isVote ? this.#voteBytesMax : 0);
    if (this.#tables.unwantedBytes() < bytesMax) return;
    // Counted once: with thousands of promises it is not cheap.
    const filling = this.#fillingBytes();
    if (filling < bytesMax) return;
    const gone = this.#expendable(filling, bytesMax, isVote);
    const files = gone.filter((one) => this.#tables.find(one)?.bytesId === undefined);
    // The rows first: a file without a row is only lost room, a row without a file a broken promise. Nothing is waited
    // for between the look at what is promised and this: a vote may just have been cast. And it is one transaction:
    // with an fsync for each row, hundreds of uploads at one time kept the loop from votes for seconds.
    if (gone.length > 0) this.#tables.dropAll(gone);
    await Promise.all(files.map(async (one) => rm(this.#path(one), { force: true })));
    if (this.#fillingBytes() < bytesMax) return;
    throw new StorageBusyError('no room for artifacts that no release names yet');
  }

  /** Artifacts that can go so that there is room, the oldest first. */
  #expendable(fillingNow: number, bytesMax: number, isVote: boolean): readonly string[] {
    const now = this.#nowSeconds();
    // A vote's room can only be full of what replicas have proposed and not decided. There the oldest goes
    // whatever its age, so that a faulty leader's batches never keep out those of the next one.
    const before = isVote ? Number.MAX_SAFE_INTEGER : now - UNWANTED_SECONDS_MIN;
    const promised = this.#promised();
    const olds = this.#tables.unwantedBefore(before, EXPIRE_COUNT_MAX + promised.size);
    const expired = new Set(this.#tables.unwantedBefore(now - UNWANTED_SECONDS_MAX, olds.length));
    const gone: string[] = [];
    let filling = fillingNow;
    for (const old of olds) {
      if (promised.has(old)) continue;
      if (gone.length === EXPIRE_COUNT_MAX) break;
      // Those that have had their day all go; the others, oldest first, only as far as needed.
      if (filling < bytesMax && !expired.has(old)) break;
      filling -= this.#tables.unwantedRoom(old);
      gone.push(old);
    }
    return gone;
  }

  /** Bytes of held artifacts that neither the log nor, within a bound, a batch under vote names. */
  #fillingBytes(): number {
    let promised = 0;
    for (const sha512 of this.#promised()) promised += this.#tables.unwantedRoom(sha512);
    return this.#tables.unwantedBytes() - Math.min(promised, this.#promisedBytesMax);
  }

  async #receive(path: string, sha512: string, source: AsyncIterable<Uint8Array>): Promise<number> {
    const file = await open(path, 'wx', 0o600);
    try {
      const hash = createHash('sha512');
      const size = await copyInto(file, hash, source);
      requireDigest(hash.digest('hex'), sha512);
      await file.sync();
      return size;
    } finally {
      await file.close();
    }
  }

  async #check(
    path: string,
    sha512: string,
    size: number,
    purpose: ArtifactPurpose,
  ): Promise<ArtifactFacts> {
    // Small ones don't wait for large ones: a vote may depend on them.
    const small =
      size <= INLINE_BYTES_MAX
        ? await checkSmallTarball(await readFile(path), this.#gunzip)
        : undefined;
    const checked = small ?? (await this.#turns.run(purpose, () => this.#thread.check(path)));
    return factsOf(sha512, size, checked);
  }

  async #settle(incoming: string, sha512: string): Promise<void> {
    const path = this.#path(sha512);
    const folder = dirname(path);
    const made = await mkdir(folder, { recursive: true });
    await rename(incoming, path);
    await syncFolder(folder);
    if (made === undefined) return;
    await syncFolder(dirname(folder));
    await syncFolder(this.#folder);
  }

  // The digest is hexadecimal: no part of it can lead out of the folder.
  #path(sha512: string): string {
    return join(this.#folder, sha512.slice(0, 2), sha512.slice(2, 4), sha512.slice(4));
  }
}

function factsOf(
  sha512: string,
  size: number,
  { name, version, manifest }: CheckedArchive,
): ArtifactFacts {
  // Of a name or version that npm would not take there can't be a release: don't keep it.
  releasePurl(name, version);
  return { sha512, size, name, version, manifest };
}

// As `fsyncDirectory`, without making the process deaf while the disk works.
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function copyInto(
  file: FileHandle,
  hash: NodeHash,
  source: AsyncIterable<Uint8Array>,
): Promise<number> {
  let size = 0;
  for await (const chunk of source) {
    size += chunk.length;
    if (size > TARBALL_BYTES_MAX) {
      throw new VerifyError(
        'ARTIFACT_SIZE_MISMATCH',
        `an artifact has at most ${TARBALL_BYTES_MAX} bytes`,
      );
    }
    hash.update(chunk);
    for (let at = 0; at < chunk.length;) at += (await file.write(chunk, at)).bytesWritten;
  }
  return size;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha512');
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
