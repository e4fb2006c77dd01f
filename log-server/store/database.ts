// The only place that knows better-sqlite3: opening the database so that a resolved write is on the
// disk, and that nobody else writes to it.
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';

import Sqlite from 'better-sqlite3';

import { SCHEMA_VERSION, UPGRADES } from './upgrades.ts';

export type Database = Sqlite.Database;
export type Statement<Parameters extends unknown[], Row> = Sqlite.Statement<Parameters, Row>;

/** "bft1": marks the file as ours, so that no other program's database is ever opened for writing. */
export const APPLICATION_ID = 0x62_66_74_31;

/**
 * WAL pages (4 KiB) before SQLite moves them into the database file: 16 MiB. Larger saves writing hot
 * pages again, smaller keeps start-up after a crash short.
 */
const WAL_PAGES = 4096;

/** `synchronous=FULL`: every commit waits for an fsync of the WAL. */
const SYNCHRONOUS_FULL = 2;

/** Lines of SQLite's own check: one broken page may lead to thousands. */
const INTEGRITY_LINES_MAX = 20;

/** The database can't be used as it is: another process has it, or it is not ours. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
}

/**
 * Opens the database, brings one of an older version up to this one, and takes it for this process alone, until `close` or the end of the process.
 *
 * @param path file, made when it does not exist; its folder must exist
 * @param create statements that make the schema, for a new file
 * @throws {DatabaseError} in use by another process, of another program, of a schema version without an upgrade, or
 *         not durable
 */
export function openDatabase(path: string, create: string): Database {
  // No waiting for a lock: whoever has it has it until the end of its process.
  const database = new Sqlite(path, { timeout: 0 });
  try {
    takeAlone(database, path);
    const version = identify(database);
    database.pragma('journal_mode = WAL');
    // better-sqlite3 is compiled with NORMAL as the default of WAL mode. With it a power failure may
    // lose the last commits, and a replica that forgets its vote can vote twice (CONSENSUS C4).
    database.pragma('synchronous = FULL');
    // macOS: a plain fsync leaves the data in the drive's cache.
    database.pragma('fullfsync = ON');
    database.pragma('checkpoint_fullfsync = ON');
    database.pragma(`wal_autocheckpoint = ${WAL_PAGES}`);
    database.pragma('trusted_schema = OFF');
    database.pragma('cell_size_check = ON');
    assertDurable(database);
    if (version === undefined) initialise(database, create);
    else upgrade(database, version);
    // The file's name has to survive a power failure as well as its content (cometbft#6031).
    fsyncDirectory(dirname(path));
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

// An exclusive lock that the operating system drops with the process: no stale lock files, and it
// holds between all programs that use SQLite.
function takeAlone(database: Database, path: string): void {
  try {
    database.pragma('locking_mode = EXCLUSIVE');
    database.exec('BEGIN EXCLUSIVE; COMMIT');
  } catch (cause) {
    if (!(cause instanceof Sqlite.SqliteError) || !cause.code.startsWith('SQLITE_BUSY')) {
      throw new DatabaseError(`can't open ${path}: ${String(cause)}`, { cause });
    }
    throw new DatabaseError(`${path} is in use by another process`, { cause });
  }
}

/** A database of its own that is on no disk. */
export function openInMemory(): Database {
  return new Sqlite(':memory:');
}

// Before anything is changed: another program's database must stay as it is. `undefined` for a new file.
function identify(database: Database): number | undefined {
  const id = database.pragma('application_id', { simple: true });
  const version = database.pragma('user_version', { simple: true });
  const tables = database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get();
  if (id === 0 && version === 0 && tables === 0) return undefined;
  if (id !== APPLICATION_ID) throw new DatabaseError('the file is the database of another program');
  if (typeof version === 'number' && (version === SCHEMA_VERSION || UPGRADES.has(version))) {
    return version;
  }
  throw new DatabaseError(
    `the database has schema version ${String(version)}, this program needs ${SCHEMA_VERSION}`,
  );
}

function upgrade(database: Database, from: number): void {
  for (let version = from; version < SCHEMA_VERSION; version++) {
    const statements = UPGRADES.get(version) ?? '';
    database
      .transaction(() => {
        database.exec(statements);
        database.pragma(`user_version = ${version + 1}`);
      })
      .immediate();
  }
}

function initialise(database: Database, create: string): void {
  database.transaction(() => {
    database.exec(create);
    database.pragma(`application_id = ${APPLICATION_ID}`);
    database.pragma(`user_version = ${SCHEMA_VERSION}`);
  })();
}

/**
 * Asks SQLite whether a commit will be on the disk when it returns, whatever the defaults of its build
 * and of the file are.
 *
 * @throws {DatabaseError} when it will not
 */
export function assertDurable(database: Database): void {
  const mode = database.pragma('journal_mode', { simple: true });
  if (mode !== 'wal') throw new DatabaseError(`journal_mode is ${String(mode)}, not wal`);
  const synchronous = database.pragma('synchronous', { simple: true });
  if (synchronous !== SYNCHRONOUS_FULL) {
    throw new DatabaseError(`synchronous is ${String(synchronous)}, not FULL`);
  }
}

/** Whether SQLite found the file damaged, or could not read it. */
export function isSqliteDamage(error: unknown): error is Error {
  return error instanceof Sqlite.SqliteError && /^SQLITE_(?:CORRUPT|NOTADB|IOERR)/.test(error.code);
}

/** Everything that SQLite itself can find wrong with a database: lines for people. */
export function integrityProblems(database: Database): readonly string[] {
  const rows = database.pragma(`integrity_check(${INTEGRITY_LINES_MAX})`) as readonly {
    readonly integrity_check: string;
  }[];
  return rows.map(({ integrity_check: line }) => line).filter((line) => line !== 'ok');
}

/** Makes names in a folder durable: new files, renames. */
export function fsyncDirectory(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** A blob of a row as plain bytes. SQLite's answer is a fresh Buffer, so no copy is needed. */
export function blobBytes(blob: Buffer): Uint8Array {
  return new Uint8Array(blob.buffer, blob.byteOffset, blob.length);
}
