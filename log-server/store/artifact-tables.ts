// The index of artifacts: which are held, what they say about themselves, and which releases in the log
// want them. The bytes of small ones are here too; the others are files (folder-artifacts.ts).
import { decodeHex, encodeHex } from '../../verifier/encoding.ts';
import { canonicalJson, parseCanonicalJson, type JsonObject } from '../../verifier/json.ts';
import type { ArtifactFacts } from './artifact-store.ts';
import { type Database, type Statement, blobBytes } from './database.ts';
import { LruMap } from '../lru.ts';

/** A manifest comes from a package.json, whose size is bounded where it is read. */
const MANIFEST_LENGTH_MAX: number = 16 * 1024 * 1024;

/**
 * Artifacts whose row is kept in memory: two full batches at least, which are asked about several times
 * between upload and commit. With the longest manifests, 16 MiB.
 */
const HELD_CACHE_MAX = 2048;

/** Artifacts known not to be held: each is asked for several times before it comes. A digest each. */
const ABSENT_CACHE_MAX = 4096;

/**
 * What an artifact takes beside its bytes and its manifest: four rows, in seven places, and the pages that are half
 * empty. A file takes as much in its folder.
 */
const ROWS_BYTES = 1024;

/** Longer manifests (characters) are read from the row each time. */
const CACHED_MANIFEST_LENGTH_MAX: number = 8 * 1024;

interface ArtifactSqlRow {
  readonly size: number;
  readonly name: string;
  readonly version: string;
  readonly manifest: string;
  readonly received_seconds: number;
  readonly bytes_id: number | null;
}

/** A held artifact and where its bytes are. */
export interface HeldArtifact {
  readonly facts: ArtifactFacts;
  /** Row of its bytes; `undefined` for a file. */
  readonly bytesId: number | undefined;
  /** Unix seconds. */
  readonly receivedSeconds: number;
}

/** An artifact to be put into the index. */
export interface ArtifactEntry {
  readonly facts: ArtifactFacts;
  /** Unix seconds. */
  readonly receivedSeconds: number;
  /** Absent when its file is in place. */
  readonly bytes: Uint8Array | undefined;
}

/**
 * Bytes of the disk that an artifact takes. Its manifest is kept as text, up to 65,535 characters, and four hundred
 * bytes of tarball are enough for that: counted by its size alone, one address that uploads a hundred a second filled
 * four hundred gigabytes in a day, in room for three.
 */
export function artifactRoom(
  facts: ArtifactFacts,
  manifest: string = canonicalJson(facts.manifest),
): number {
  return facts.size + Buffer.byteLength(manifest) + ROWS_BYTES;
}

interface Counts {
  readonly held: number;
  readonly unwanted: number;
  readonly missing: number;
}

/** Tables of artifacts. */
export class ArtifactTables {
  readonly #database: Database;
  readonly #received: Statement<[Uint8Array], number>;
  readonly #putUnwanted: Statement<[number, Uint8Array, number], unknown>;
  readonly #deleteUnwanted: Statement<[number, Uint8Array], number>;
  readonly #selectUnwanted: Statement<[number, Uint8Array], number>;
  readonly #isMissing: Statement<[Uint8Array], number>;
  readonly #putMissing: Statement<[Uint8Array], unknown>;
  readonly #deleteMissing: Statement<[Uint8Array], unknown>;
  readonly #missing: Statement<[number], Buffer>;
  readonly #put: Statement<
    [Uint8Array, number, string, string, string, number, number | null],
    unknown
  >;
  readonly #putBytes: Statement<[Uint8Array], unknown>;
  readonly #getBytes: Statement<[number], Buffer>;
  readonly #deleteBytes: Statement<[number], unknown>;
  readonly #get: Statement<[Uint8Array], ArtifactSqlRow>;
  readonly #delete: Statement<[Uint8Array], unknown>;
  readonly #held: Statement<[Uint8Array, number], Buffer>;
  readonly #selectCounts: Statement<[], Counts>;
  readonly #unwantedBytes: Statement<[], number | null>;
  readonly #unwanted: Statement<[number, number], Buffer>;
  readonly #cache = new LruMap<string, HeldArtifact>(HELD_CACHE_MAX);
  readonly #absent = new LruMap<string, true>(ABSENT_CACHE_MAX);
  /** `undefined` when it has to be counted. */
  #unwantedSum: number | undefined;
  /** The same: counting reads a whole index, and whoever reads the metrics asks. */
  #counts: Counts | undefined;

  constructor(database: Database) {
    this.#database = database;
    this.#received = database
      .prepare<[Uint8Array], number>('SELECT received_seconds FROM artifacts WHERE sha512 = ?')
      .pluck();
    this.#putUnwanted = database.prepare(
      'INSERT OR REPLACE INTO unwanted_artifacts (received_seconds, sha512, size) VALUES (?, ?, ?)',
    );
    this.#deleteUnwanted = database
      .prepare<[number, Uint8Array], number>(
        'DELETE FROM unwanted_artifacts WHERE received_seconds = ? AND sha512 = ? RETURNING size',
      )
      .pluck();
    this.#selectUnwanted = database
      .prepare<[number, Uint8Array], number>(
        'SELECT size FROM unwanted_artifacts WHERE received_seconds = ? AND sha512 = ?',
      )
      .pluck();
    this.#isMissing = database
      .prepare<[Uint8Array], number>('SELECT 1 FROM missing_artifacts WHERE sha512 = ?')
      .pluck();
    this.#putMissing = database.prepare(
      'INSERT OR IGNORE INTO missing_artifacts (sha512) VALUES (?)',
    );
    this.#deleteMissing = database.prepare('DELETE FROM missing_artifacts WHERE sha512 = ?');
    this.#missing = database
      .prepare<[number], Buffer>('SELECT sha512 FROM missing_artifacts LIMIT ?')
      .pluck();
    this.#put = database.prepare(
      'INSERT OR REPLACE INTO artifacts (sha512, size, name, version, manifest, received_seconds,' +
        ' bytes_id) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
    this.#putBytes = database.prepare('INSERT INTO artifact_bytes (bytes) VALUES (?)');
    this.#getBytes = database
      .prepare<[number], Buffer>('SELECT bytes FROM artifact_bytes WHERE id = ?')
      .pluck();
    this.#deleteBytes = database.prepare('DELETE FROM artifact_bytes WHERE id = ?');
    this.#get = database.prepare(
      'SELECT size, name, version, manifest, received_seconds, bytes_id FROM artifacts WHERE sha512 = ?',
    );
    this.#held = database
      .prepare<[Uint8Array, number], Buffer>(
        'SELECT sha512 FROM artifacts WHERE sha512 > ? ORDER BY sha512 LIMIT ?',
      )
      .pluck();
    this.#selectCounts = database.prepare(
      'SELECT (SELECT count(*) FROM artifacts) AS held,' +
        ' (SELECT count(*) FROM unwanted_artifacts) AS unwanted,' +
        ' (SELECT count(*) FROM missing_artifacts) AS missing',
    );
    this.#delete = database.prepare('DELETE FROM artifacts WHERE sha512 = ?');
    this.#unwantedBytes = database
      .prepare<[], number | null>('SELECT sum(size) FROM unwanted_artifacts')
      .pluck();
    this.#unwanted = database
      .prepare<[number, number], Buffer>(
        'SELECT sha512 FROM unwanted_artifacts WHERE received_seconds < ?' +
          ' ORDER BY received_seconds LIMIT ?',
      )
      .pluck();
  }

  /** A release in the log names this artifact. Inside the store's transaction. */
  want(sha512: string): void {
    const digest = decodeHex(sha512);
    const seconds = this.#receivedSeconds(sha512, digest);
    if (seconds === undefined) {
      this.#count({ missing: this.#putMissing.run(digest).changes });
      return;
    }
    const room = this.#deleteUnwanted.get(seconds, digest);
    if (room === undefined) return;
    if (this.#unwantedSum !== undefined) this.#unwantedSum -= room;
    this.#count({ unwanted: -1 });
  }

  #count({ held = 0, unwanted = 0, missing = 0 }: Partial<Counts>): void {
    const before = this.#counts;
    if (before === undefined) return;
    this.#counts = {
      held: before.held + held,
      unwanted: before.unwanted + unwanted,
      missing: before.missing + missing,
    };
  }

  /** Whether a release in the log names it. */
  isWanted(sha512: string): boolean {
    const digest = decodeHex(sha512);
    const seconds = this.#receivedSeconds(sha512, digest);
    return seconds === undefined
      ? this.#isMissing.get(digest) !== undefined
      : this.#selectUnwanted.get(seconds, digest) === undefined;
  }

  /** What a held artifact takes of the room for those that no release names; 0 when it is none of them. */
  unwantedRoom(sha512: string): number {
    const digest = decodeHex(sha512);
    const seconds = this.#receivedSeconds(sha512, digest);
    return seconds === undefined ? 0 : (this.#selectUnwanted.get(seconds, digest) ?? 0);
  }

  /** When a held artifact came in. */
  #receivedSeconds(sha512: string, digest: Uint8Array): number | undefined {
    const known = this.#cache.get(sha512);
    if (known !== undefined) return known.receivedSeconds;
    return this.#absent.get(sha512) === true ? undefined : this.#received.get(digest);
  }

  /** As `putAll`, for one artifact. */
  put(facts: ArtifactFacts, receivedSeconds: number, bytes?: Uint8Array): void {
    this.putAll([{ facts, receivedSeconds, bytes }]);
  }

  /**
   * Artifacts whose bytes are here or whose files are in place, in one durable transaction. One that is
   * held already stays as it is, if its bytes are here.
   */
  putAll(entries: readonly ArtifactEntry[]): void {
    this.#unwantedSum = this.unwantedBytes();
    let unwanted = this.#unwantedSum;
    const held: HeldArtifact[] = [];
    try {
      this.#database
        .transaction(() => {
          for (const entry of entries) unwanted += this.#putOne(entry, held);
        })
        .immediate();
    } catch (error) {
      this.forget();
      throw error;
    }
    this.#unwantedSum = unwanted;
    // On the disk now; statements and batches ask about them next.
    for (const one of held) this.#cache.set(one.facts.sha512, one);
  }

  /**
   * @param held gets what is worth to be remembered
   * @returns by how much the room of unwanted ones grew
   */
  #putOne({ facts, receivedSeconds, bytes }: ArtifactEntry, held: HeldArtifact[]): number {
    const { sha512, size, name, version, manifest } = facts;
    const digest = decodeHex(sha512);
    const before = this.find(sha512);
    if (before?.bytesId !== undefined) return 0;
    const bytesId = bytes === undefined ? null : Number(this.#putBytes.run(bytes).lastInsertRowid);
    const text = canonicalJson(manifest);
    const isWanted = this.isWanted(sha512);
    const replaced = before && this.#deleteUnwanted.get(before.receivedSeconds, digest);
    const room = artifactRoom(facts, text);
    this.#put.run(digest, size, name, version, text, receivedSeconds, bytesId);
    if (!isWanted) this.#putUnwanted.run(receivedSeconds, digest, room);
    else if (before === undefined)
      this.#count({ missing: -this.#deleteMissing.run(digest).changes });
    this.#count({
      held: before === undefined ? 1 : 0,
      unwanted: (isWanted ? 0 : 1) - (replaced === undefined ? 0 : 1),
    });
    this.#cache.delete(sha512);
    this.#absent.delete(sha512);
    if (text.length <= CACHED_MANIFEST_LENGTH_MAX) {
      // Read again, as from the row: strings cut from a long package.json would keep all of it in memory.
      const kept = { ...facts, manifest: parseManifest(text) };
      held.push({ facts: kept, bytesId: bytesId ?? undefined, receivedSeconds });
    }
    return (isWanted ? 0 : room) - (replaced ?? 0);
  }

  /** The artifact's file or bytes are gone or damaged. */
  drop(sha512: string): void {
    this.dropAll([sha512]);
  }

  /** Artifacts leave the index with their bytes, in one durable transaction. */
  dropAll(sha512s: readonly string[]): void {
    try {
      this.#database
        .transaction(() => {
          for (const sha512 of sha512s) this.#dropOne(decodeHex(sha512));
        })
        .immediate();
    } catch (error) {
      this.forget();
      throw error;
    }
    for (const sha512 of sha512s) {
      this.#cache.delete(sha512);
      this.#absent.delete(sha512);
    }
  }

  #dropOne(digest: Uint8Array): void {
    const row = this.#get.get(digest);
    if (row === undefined) return;
    if (row.bytes_id !== null) this.#deleteBytes.run(row.bytes_id);
    this.#delete.run(digest);
    const room = this.#deleteUnwanted.get(row.received_seconds, digest);
    const missing = room === undefined ? this.#putMissing.run(digest).changes : 0;
    if (this.#unwantedSum !== undefined) this.#unwantedSum -= room ?? 0;
    this.#count({ held: -1, unwanted: room === undefined ? 0 : -1, missing });
  }

  /** Drops what is remembered and can be read again. */
  rest(): void {
    this.#cache.clear();
    this.#absent.clear();
  }

  /** The same, with what was counted: after a transaction that failed. */
  forget(): void {
    this.rest();
    this.#unwantedSum = undefined;
    this.#counts = undefined;
  }

  facts(sha512: string): ArtifactFacts | undefined {
    return this.find(sha512)?.facts;
  }

  /** A held artifact. */
  find(sha512: string): HeldArtifact | undefined {
    const known = this.#cache.get(sha512);
    if (known !== undefined) return known;
    if (this.#absent.get(sha512) === true) return undefined;
    const row = this.#get.get(decodeHex(sha512));
    if (row === undefined) {
      this.#absent.set(sha512, true);
      return undefined;
    }
    const { size, name, version } = row;
    const manifest = parseManifest(row.manifest);
    const held = {
      facts: { sha512, size, name, version, manifest },
      bytesId: row.bytes_id ?? undefined,
      receivedSeconds: row.received_seconds,
    };
    if (row.manifest.length <= CACHED_MANIFEST_LENGTH_MAX) this.#cache.set(sha512, held);
    return held;
  }

  /** Bytes that are here, as they are on the disk: the caller compares them with the digest. */
  bytes(bytesId: number): Uint8Array | undefined {
    const blob = this.#getBytes.get(bytesId);
    return blob && blobBytes(blob);
  }

  /** Artifacts that are wanted and not held. */
  missing(countMax: number): readonly string[] {
    return this.#missing.all(countMax).map((blob) => encodeHex(blobBytes(blob)));
  }

  /** Digests of all held artifacts, from the one after `after` on: hex, in order. */
  held(after: string, countMax: number): readonly string[] {
    return this.#held.all(decodeHex(after), countMax).map((blob) => encodeHex(blobBytes(blob)));
  }

  /** Number of artifacts that releases in the log name, and of those of them that are not held. */
  counts(): { readonly wanted: number; readonly missing: number } {
    this.#counts ??= this.#selectCounts.get() ?? { held: 0, unwanted: 0, missing: 0 };
    const { held, unwanted, missing } = this.#counts;
    return { wanted: held - unwanted + missing, missing };
  }

  /** Bytes of the disk that all held artifacts take that no release in the log names (`artifactRoom`). */
  unwantedBytes(): number {
    this.#unwantedSum ??= this.#unwantedBytes.get() ?? 0;
    return this.#unwantedSum;
  }

  /** Unwanted artifacts that came in before a time (Unix seconds), the oldest first. */
  unwantedBefore(seconds: number, countMax: number): readonly string[] {
    return this.#unwanted.all(seconds, countMax).map((blob) => encodeHex(blobBytes(blob)));
  }
}

// Written by us as canonical JSON of an object.
function parseManifest(text: string): JsonObject {
  return parseCanonicalJson(text, MANIFEST_LENGTH_MAX) as JsonObject;
}
