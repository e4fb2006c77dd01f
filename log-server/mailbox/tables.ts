// Proposals on disk: a database of its own beside the log's. What strangers may cause to be written must
// never stand in the way of a vote, and nothing in here is needed to vote, to serve or to recover: a
// damaged file is thrown away, and maintainers hand their proposals in again.
import { rmSync } from 'node:fs';

import { decodeHex, encodeHex } from '../../verifier/encoding.ts';
import type { Log } from '../log.ts';
import {
  DatabaseError,
  blobBytes,
  isSqliteDamage,
  openDatabase,
  type Database,
  type Statement,
} from '../store/database.ts';

/** Name of the mailbox's database in the data folder. */
export const MAILBOX_FILE = 'mailbox.sqlite';

const SCHEMA = `
CREATE TABLE proposals (
  id BLOB PRIMARY KEY,
  envelope TEXT NOT NULL,
  received_seconds INTEGER NOT NULL,
  -- Leaf index of the oldest package that lists it: what goes first when there is no room.
  claim INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX proposals_by_age ON proposals (received_seconds);
CREATE INDEX proposals_by_claim ON proposals (claim, received_seconds);
-- Which packages a proposal is listed under: those of which a maintainer has signed it.
CREATE TABLE listings (
  name TEXT NOT NULL,
  id BLOB NOT NULL,
  PRIMARY KEY (name, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX listings_by_id ON listings (id);
`;

/** A proposal as it is stored. */
export interface StoredProposal {
  /** Hex SHA-256 of the payload. */
  readonly id: string;
  /** Canonical envelope with verified signatures only. */
  readonly envelope: string;
  readonly receivedSeconds: number;
  readonly claim: number;
  /** Packages that list it. */
  readonly names: readonly string[];
}

interface ProposalRow {
  readonly id: Buffer;
  readonly envelope: string;
  readonly received_seconds: number;
  readonly claim: number;
}

/**
 * Opens the mailbox's database; one that is damaged is replaced by an empty one.
 *
 * @throws {DatabaseError} in use by another process, or of another program
 */
export function openMailboxDatabase(path: string, log: Log): Database {
  try {
    return openDatabase(path, SCHEMA);
  } catch (error) {
    const cause = error instanceof DatabaseError ? error.cause : error;
    if (!isSqliteDamage(cause)) throw error;
    log.warn('mailbox_damaged', { reason: cause.message, hint: 'it starts empty' });
    for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
    return openDatabase(path, SCHEMA);
  }
}

/** The tables of the mailbox. Each change is one durable transaction. */
export class ProposalTables {
  readonly #database: Database;
  readonly #put: Statement<[Uint8Array, string, number, number], unknown>;
  readonly #list: Statement<[string, Uint8Array], unknown>;
  readonly #get: Statement<[Uint8Array], ProposalRow>;
  readonly #names: Statement<[Uint8Array], string>;
  readonly #listed: Statement<[string], Buffer>;
  readonly #delete: Statement<[Uint8Array], unknown>;
  readonly #unlist: Statement<[Uint8Array], unknown>;
  readonly #unlistOne: Statement<[string, Uint8Array], unknown>;
  readonly #expired: Statement<[number], Buffer>;
  readonly #youngest: Statement<[], Buffer>;
  readonly #totals: Statement<[], { readonly count: number; readonly bytes: number | null }>;

  constructor(database: Database) {
    this.#database = database;
    this.#put = database.prepare(
      'INSERT OR REPLACE INTO proposals (id, envelope, received_seconds, claim) VALUES (?, ?, ?, ?)',
    );
    this.#list = database.prepare('INSERT OR IGNORE INTO listings (name, id) VALUES (?, ?)');
    const columns = 'p.id, p.envelope, p.received_seconds, p.claim';
    this.#get = database.prepare(`SELECT ${columns} FROM proposals p WHERE p.id = ?`);
    this.#names = database
      .prepare<[Uint8Array], string>('SELECT name FROM listings WHERE id = ? ORDER BY name')
      .pluck();
    this.#listed = database
      .prepare<[string], Buffer>('SELECT id FROM listings WHERE name = ? ORDER BY id')
      .pluck();
    this.#delete = database.prepare('DELETE FROM proposals WHERE id = ?');
    this.#unlist = database.prepare('DELETE FROM listings WHERE id = ?');
    this.#unlistOne = database.prepare('DELETE FROM listings WHERE name = ? AND id = ?');
    this.#expired = database
      .prepare<[number], Buffer>('SELECT id FROM proposals WHERE received_seconds < ?')
      .pluck();
    this.#youngest = database
      .prepare<[], Buffer>(
        'SELECT id FROM proposals ORDER BY claim DESC, received_seconds, id LIMIT 1',
      )
      .pluck();
    this.#totals = database.prepare(
      'SELECT count(*) AS count, sum(length(envelope)) AS bytes FROM proposals',
    );
  }

  /** One durable transaction: all or nothing, and on the disk when it returns. */
  change(work: () => void): void {
    this.#database.transaction(work).immediate();
  }

  /** Inside {@link change}. */
  put({ id, envelope, receivedSeconds, claim, names }: StoredProposal): void {
    const key = decodeHex(id);
    this.#put.run(key, envelope, receivedSeconds, claim);
    this.#unlist.run(key);
    for (const name of names) this.#list.run(name, key);
  }

  /** Takes a proposal off a package's list, and away when no list has it any more. Inside {@link change}. */
  unlist(name: string, id: string): void {
    const key = decodeHex(id);
    this.#unlistOne.run(name, key);
    if (this.#names.all(key).length === 0) this.#delete.run(key);
  }

  /** Inside {@link change}. */
  delete(id: string): void {
    const key = decodeHex(id);
    this.#delete.run(key);
    this.#unlist.run(key);
  }

  get(id: string): StoredProposal | undefined {
    const row = this.#get.get(decodeHex(id));
    return row === undefined ? undefined : this.#proposalOf(row);
  }

  /** Ids of all that a package lists, in order; no envelope is read. */
  listed(name: string): readonly string[] {
    return this.#listed.all(name).map((id) => encodeHex(blobBytes(id)));
  }

  /** Ids of what came in before a time. */
  receivedBefore(seconds: number): readonly string[] {
    return this.#expired.all(seconds).map((id) => encodeHex(blobBytes(id)));
  }

  /** What goes first when there is no room: of the package that was claimed last, what came in first. */
  youngest(): string | undefined {
    const id = this.#youngest.get();
    return id === undefined ? undefined : encodeHex(blobBytes(id));
  }

  totals(): { readonly count: number; readonly bytes: number } {
    const { count, bytes } = this.#totals.get() ?? { count: 0, bytes: 0 };
    return { count, bytes: bytes ?? 0 };
  }

  close(): void {
    this.#database.close();
  }

  #proposalOf(row: ProposalRow): StoredProposal {
    const { envelope, received_seconds: receivedSeconds, claim } = row;
    const id = encodeHex(blobBytes(row.id));
    return { id, envelope, receivedSeconds, claim, names: this.#names.all(blobBytes(row.id)) };
  }
}
