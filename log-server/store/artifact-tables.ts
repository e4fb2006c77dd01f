// The index of artifacts: which are held, what they say about themselves, and which releases in the log
// want them. The bytes are files (folder-artifacts.ts).
import { decodeHex, encodeHex } from '../../verifier/encoding.ts';
import { canonicalJson, parseCanonicalJson, type JsonObject } from '../../verifier/json.ts';
import type { ArtifactFacts } from './artifact-store.ts';
import { type Database, type Statement, blobBytes } from './database.ts';

/** A manifest comes from a package.json, whose size is bounded where it is read. */
const MANIFEST_LENGTH_MAX: number = 16 * 1024 * 1024;

interface ArtifactSqlRow {
  readonly sha512: Buffer;
  readonly size: number;
  readonly name: string;
  readonly version: string;
  readonly manifest: string;
}

/** Tables of artifacts. */
export class ArtifactTables {
  readonly #database: Database;
  readonly #wanted: Statement<[Uint8Array], number>;
  readonly #putWanted: Statement<[Uint8Array], unknown>;
  readonly #markWanted: Statement<[Uint8Array], unknown>;
  readonly #putMissing: Statement<[Uint8Array], unknown>;
  readonly #deleteMissing: Statement<[Uint8Array], unknown>;
  readonly #missing: Statement<[number], Buffer>;
  readonly #put: Statement<[Uint8Array, number, string, string, string, number, number], unknown>;
  readonly #get: Statement<[Uint8Array], ArtifactSqlRow>;
  readonly #delete: Statement<[Uint8Array], unknown>;
  readonly #held: Statement<[Uint8Array, number], Buffer>;
  readonly #counts: Statement<[], { wanted: number; missing: number }>;
  readonly #unwantedBytes: Statement<[], number | null>;
  readonly #unwanted: Statement<[number, number], Buffer>;

  constructor(database: Database) {
    this.#database = database;
    this.#wanted = database
      .prepare<[Uint8Array], number>('SELECT count(*) FROM wanted_artifacts WHERE sha512 = ?')
      .pluck();
    this.#putWanted = database.prepare(
      'INSERT OR IGNORE INTO wanted_artifacts (sha512) VALUES (?)',
    );
    this.#markWanted = database.prepare('UPDATE artifacts SET wanted = 1 WHERE sha512 = ?');
    this.#putMissing = database.prepare(
      'INSERT OR IGNORE INTO missing_artifacts (sha512) VALUES (?)',
    );
    this.#deleteMissing = database.prepare('DELETE FROM missing_artifacts WHERE sha512 = ?');
    this.#missing = database
      .prepare<[number], Buffer>('SELECT sha512 FROM missing_artifacts LIMIT ?')
      .pluck();
    this.#put = database.prepare(
      'INSERT OR REPLACE INTO artifacts (sha512, size, name, version, manifest, received_seconds,' +
        ' wanted) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
    this.#get = database.prepare(
      'SELECT sha512, size, name, version, manifest FROM artifacts WHERE sha512 = ?',
    );
    this.#held = database
      .prepare<[Uint8Array, number], Buffer>(
        'SELECT sha512 FROM artifacts WHERE sha512 > ? ORDER BY sha512 LIMIT ?',
      )
      .pluck();
    this.#counts = database.prepare(
      'SELECT (SELECT count(*) FROM wanted_artifacts) AS wanted,' +
        ' (SELECT count(*) FROM missing_artifacts) AS missing',
    );
    this.#delete = database.prepare('DELETE FROM artifacts WHERE sha512 = ?');
    this.#unwantedBytes = database
      .prepare<[], number | null>('SELECT sum(size) FROM artifacts WHERE wanted = 0')
      .pluck();
    this.#unwanted = database
      .prepare<[number, number], Buffer>(
        'SELECT sha512 FROM artifacts WHERE wanted = 0 AND received_seconds < ?' +
          ' ORDER BY received_seconds LIMIT ?',
      )
      .pluck();
  }

  /** A release in the log names this artifact. Inside the store's transaction. */
  want(sha512: string): void {
    const digest = decodeHex(sha512);
    this.#putWanted.run(digest);
    if (this.#markWanted.run(digest).changes === 0) this.#putMissing.run(digest);
  }

  /** Whether a release in the log names it. */
  isWanted(sha512: string): boolean {
    return this.#wanted.get(decodeHex(sha512)) === 1;
  }

  /** The artifact's file is in place. */
  put(facts: ArtifactFacts, receivedSeconds: number): void {
    const { sha512, size, name, version, manifest } = facts;
    const digest = decodeHex(sha512);
    this.#database
      .transaction(() => {
        const wanted = this.isWanted(sha512) ? 1 : 0;
        const text = canonicalJson(manifest);
        this.#put.run(digest, size, name, version, text, receivedSeconds, wanted);
        this.#deleteMissing.run(digest);
      })
      .immediate();
  }

  /** The artifact's file is gone or damaged. */
  drop(sha512: string): void {
    const digest = decodeHex(sha512);
    this.#database
      .transaction(() => {
        this.#delete.run(digest);
        if (this.isWanted(sha512)) this.#putMissing.run(digest);
      })
      .immediate();
  }

  facts(sha512: string): ArtifactFacts | undefined {
    const row = this.#get.get(decodeHex(sha512));
    if (row === undefined) return undefined;
    const { size, name, version } = row;
    // Written by us as canonical JSON of an object.
    const manifest = parseCanonicalJson(row.manifest, MANIFEST_LENGTH_MAX) as JsonObject;
    return { sha512, size, name, version, manifest };
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
    return this.#counts.get() ?? { wanted: 0, missing: 0 };
  }

  /** Bytes of all held artifacts that no release in the log names. */
  unwantedBytes(): number {
    return this.#unwantedBytes.get() ?? 0;
  }

  /** Unwanted artifacts that came in before a time (Unix seconds), the oldest first. */
  unwantedBefore(seconds: number, countMax: number): readonly string[] {
    return this.#unwanted.all(seconds, countMax).map((blob) => encodeHex(blobBytes(blob)));
  }
}
