// Makes a damaged database anew. What the log says is taken from the damaged tables as far as it is
// intact and from other replicas otherwise; nothing of either is believed: every batch needs its commit
// certificate and is executed again. What only this replica knows, its votes and promises, can come from
// the damaged database alone, sealed (batch-tables.ts). Without them the new database gets a new name,
// and the replica follows the log and votes no more, as after a lost disk (CONSENSUS M4, C5).
//
// The new database is finished beside the old one and takes its place in steps that a crash can
// interrupt anywhere: until COMPLETE is on the disk the old one counts, from then on the new one does.
import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import type { Gunzip } from '../../verifier/archive/gzip.ts';
import { parseCheckpoint } from '../../verifier/checkpoint.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { parseNote } from '../../verifier/note.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { certificateJobs, certificateProblem } from '../../verifier/replication/certificates.ts';
import { bodyHash, headerDigest } from '../../verifier/replication/encode.ts';
import { Members, NO_MUTANTS } from '../../verifier/replication/members.ts';
import type { Batch, CommittedRecord, RecordName } from '../consensus/types.ts';
import type { Roster } from '../../verifier/roster.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import type { BatchLimits } from '../ledger/application.ts';
import { Executions } from '../ledger/executions.ts';
import { LedgerApplication } from '../ledger/ledger-application.ts';
import { createFile, syncFolder } from '../../verifier/node/durable-file.ts';
import { GROUP_COUNT_MAX } from './artifact-group.ts';
import { DamagedStoreError, isDamage } from './damage.ts';
import { DatabaseError, openDatabase, type Database } from './database.ts';
import { FolderArtifacts } from './folder-artifacts.ts';
import { openIdentity } from './identity.ts';
import { LedgerState } from './ledger-state.ts';
import { SCHEMA } from './schema.ts';
import { SqliteStore } from './sqlite-store.ts';
import { ARTIFACTS_FOLDER, DATABASE_FILE, openTables } from './storage.ts';
import type { Tables } from './tables.ts';

/** Name of the folder, in the data folder, in which the new database is made. */
export const REBUILD_FOLDER = 'rebuild';
const COMPLETE = 'COMPLETE';

/**
 * Small artifacts that are copied together, in one transaction: each of them waits for others for two milliseconds, so
 * one after the other a million took an hour. Sixteen megabytes at most.
 */
const COPIED_AT_ONCE = GROUP_COUNT_MAX;

/** How often progress is told, in batches. */
const PROGRESS_BATCHES = 1000;

/** Gives batches that others have. */
export interface BatchSource {
  /**
   * Answers of one replica after the other to the question for batches from a height on: consecutive,
   * not checked, perhaps none at all.
   *
   * @param roster the one in force at that height: where its replicas are
   */
  answers(fromHeight: number, roster: Roster): AsyncIterable<readonly CommittedRecord[]>;
}

/** What a database is rebuilt with. */
export interface RebuildOptions {
  /** Data folder. */
  readonly folder: string;
  readonly genesis: Envelope;
  readonly replica: string;
  /** The database's name that the keys know; `null` when they have not voted yet. */
  readonly generation: string | null;
  readonly limits: BatchLimits;
  readonly verifier: SignatureVerifier;
  readonly gunzip: Gunzip;
  readonly nowMs: () => number;
  readonly source: BatchSource;
  /** Told now and then. */
  readonly progress: (height: number, fetched: number) => void;
}

/** What came of it. */
export interface RebuildReport {
  readonly height: number;
  readonly size: number;
  /** Batches that other replicas had to give. */
  readonly fetched: number;
  /** Whether the votes and promises were intact, so that this replica may go on voting. */
  readonly isVoter: boolean;
  /** Artifacts of the log that are still missing: they are fetched while the replica runs. */
  readonly missingArtifacts: number;
}

/**
 * Rebuilds the database of a stopped replica in its place.
 *
 * @throws {DatabaseError} another process has it
 * @throws {DamagedStoreError} no replica within reach has a batch that is needed: try again later
 */
export async function rebuildDatabase(options: RebuildOptions): Promise<RebuildReport> {
  const { folder } = options;
  await finishRebuild(folder);
  const old = openDamaged(join(folder, DATABASE_FILE));
  const place = join(folder, REBUILD_FOLDER);
  try {
    await rm(place, { recursive: true, force: true });
    await mkdir(place, { mode: 0o700 });
    const report = await new Rebuild(options, old).run(join(place, DATABASE_FILE));
    const file = await open(join(place, DATABASE_FILE), 'r');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    await createFile(join(place, COMPLETE), '', 0o600);
    return report;
  } finally {
    closeDamaged(old);
    await finishRebuild(folder);
  }
}

/**
 * Ends what a crash interrupted: a finished database takes its place, an unfinished one stays where it
 * is. To be called before the database is opened.
 */
export async function finishRebuild(folder: string): Promise<void> {
  const place = join(folder, REBUILD_FOLDER);
  if (!existsSync(join(place, COMPLETE))) return;
  const finished = join(place, DATABASE_FILE);
  if (existsSync(finished)) {
    // The new one's folder has to be on the disk before anything of the old one goes: a power failure that
    // leaves neither it nor the old journal would leave a database without its last votes.
    await syncFolder(folder);
    // SQLite would play the old journal into the new file: it carries no name of the file it is for.
    for (const ending of ['-wal', '-shm', '-journal']) {
      await rm(join(folder, DATABASE_FILE + ending), { force: true });
    }
    await syncFolder(folder);
    await rename(finished, join(folder, DATABASE_FILE));
    await syncFolder(folder);
  }
  // The mark last: until the folder is gone this can be done again.
  await rm(place, { recursive: true, force: true });
}

interface Damaged {
  readonly database: Database;
  readonly tables: Tables;
}

/** The old database, if SQLite can still read its schema. @throws {DatabaseError} in use, or not ours */
function openDamaged(path: string): Damaged | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const database = openDatabase(path, SCHEMA);
    try {
      return { database, tables: openTables(database) };
    } catch (error) {
      database.close();
      throw error;
    }
  } catch (error) {
    if (isDamage(error)) return undefined;
    if (error instanceof DatabaseError && isDamage(error.cause)) return undefined;
    throw error;
  }
}

function closeDamaged(old: Damaged | undefined): void {
  try {
    old?.database.close();
  } catch (error) {
    // It is on its way out.
    if (!isDamage(error)) throw error;
  }
}

interface OwnState {
  /** Height of the last batch that was committed: no vote is for one at or below it any more. */
  readonly height: number;
  readonly records: ReadonlyMap<RecordName, Uint8Array>;
  readonly bodies: readonly Batch[];
}

interface OpenedStore {
  readonly store: SqliteStore;
  readonly state: LedgerState;
  readonly application: LedgerApplication;
  readonly executions: Executions;
}

class Rebuild {
  readonly #options: RebuildOptions;
  readonly #old: Damaged | undefined;
  #fetched = 0;

  constructor(options: RebuildOptions, old: Damaged | undefined) {
    this.#options = options;
    this.#old = old;
  }

  async run(path: string): Promise<RebuildReport> {
    const own = this.#ownState();
    const database = openDatabase(path, SCHEMA);
    try {
      // Nothing counts before all of it is there: one fsync at the end instead of one a batch.
      database.pragma('synchronous = OFF');
      const tables = openTables(database);
      const opened = this.#openStore(database, tables, own !== undefined);
      const { store, state, application } = opened;
      await this.#replay(own?.height, store, state, application);
      await this.#copyNote(store);
      if (own !== undefined) await this.#restore(store, own);
      await this.#indexArtifacts(tables, await this.#promised(own?.bodies ?? [], opened));
      database.pragma('synchronous = FULL');
      database.pragma('wal_checkpoint(TRUNCATE)');
      return {
        height: state.tip.height,
        size: state.tip.size,
        fetched: this.#fetched,
        isVoter: own !== undefined,
        missingArtifacts: tables.artifacts.counts().missing,
      };
    } finally {
      database.close();
    }
  }

  #openStore(database: Database, tables: Tables, isVoter: boolean): OpenedStore {
    const { genesis, replica, generation, verifier, nowMs } = this.#options;
    const putRoster = (): void => tables.batches.putRoster(0, genesis);
    const kept = isVoter && generation !== null ? generation : undefined;
    const identity = openIdentity(database, genesis, replica, putRoster, kept);
    const state = new LedgerState(tables);
    const executions = new Executions();
    const artifacts = { factsNow: () => undefined };
    const application = new LedgerApplication({ state, artifacts, executions, verifier, nowMs });
    const execute = async (): Promise<void> => {
      throw new Error('each batch is executed before it is committed');
    };
    const store = new SqliteStore({ database, tables, state, executions, identity, execute });
    return { store, state, application, executions };
  }

  /** Votes and promises, if they are whole and of the database that the keys have voted with. */
  #ownState(): OwnState | undefined {
    const { generation } = this.#options;
    return this.#salvage((old) => {
      const found = old.database
        .prepare<[], string>("SELECT value FROM meta WHERE key = 'generation'")
        .pluck()
        .get();
      if (generation === null || found !== generation) return undefined;
      const records = old.tables.batches.records();
      // A lost body is only lost work: the others of the quorum have it.
      const bodies = this.#salvage(({ tables }) => tables.batches.bodies()) ?? [];
      const height = old.tables.batches.tip();
      return { height, records, bodies: bodies.filter((batch) => isWhole(batch)) };
    });
  }

  /**
   * @param target exactly where a voter has to end: with less it could vote again for what was decided,
   *        and what comes after is for consensus. Whoever only follows takes what is here.
   */
  async #replay(
    target: number | undefined,
    store: SqliteStore,
    state: LedgerState,
    application: LedgerApplication,
  ): Promise<void> {
    const { progress } = this.#options;
    const commit = (record: CommittedRecord): Promise<boolean> =>
      this.#commit(record, store, state, application);
    while (state.tip.height !== target) {
      const height = state.tip.height + 1;
      const own = this.#ownBatch(height);
      const isOwn = own !== undefined && (await commit(own));
      if (!isOwn && target === undefined) return;
      if (!isOwn && target !== undefined) await this.#fetch(target, state, commit);
      if (height % PROGRESS_BATCHES === 0) progress(height, this.#fetched);
    }
  }

  async #fetch(
    target: number,
    { tip, roster }: LedgerState,
    commit: (record: CommittedRecord) => Promise<boolean>,
  ): Promise<void> {
    const height = tip.height + 1;
    for await (const answer of this.#options.source.answers(height, roster)) {
      let next = height;
      for (const record of answer) {
        if (next > target || record.header.height !== next || !(await commit(record))) break;
        this.#fetched += 1;
        next += 1;
      }
      // Whatever came was good; the rest of it is asked for again.
      if (next > height) return;
    }
    throw new DamagedStoreError(
      `batch ${height} of ${target} is damaged, and no replica within reach has it`,
    );
  }

  /** @returns false when it is not the next batch, or a quorum did not decide it */
  async #commit(
    { header, body, certificate }: CommittedRecord,
    store: SqliteStore,
    state: LedgerState,
    application: LedgerApplication,
  ): Promise<boolean> {
    const { limits, verifier } = this.#options;
    const { roster } = state;
    const members = new Members(roster, '');
    const digest = headerDigest(header);
    const expected = { epoch: roster.epoch, height: header.height, digest };
    const isDecided =
      header.epoch === roster.epoch &&
      certificateProblem(members, certificate, 'commit', expected, NO_MUTANTS) === undefined &&
      (await verifier.verifyMany(certificateJobs(members, certificate))).every((valid) => valid);
    if (!isDecided) return false;
    const validation = await application.validate(header, body, limits, { artifacts: 'skip' });
    if (!validation.ok) return false;
    const { nextRoster } = validation;
    await store.write([{ kind: 'commit', digest, header, body, certificate, nextRoster }]);
    return true;
  }

  #ownBatch(height: number): CommittedRecord | undefined {
    return this.#salvage(({ tables: { batches, log } }) => {
      const row = batches.batch(height);
      if (row === undefined || row.size - row.firstLeaf > this.#options.limits.entriesMax + 1) {
        return undefined;
      }
      const body = log.uncheckedEntries(row.firstLeaf, row.size);
      return { header: row.header, body, certificate: row.certificate };
    });
  }

  async #copyNote(store: SqliteStore): Promise<void> {
    const note = this.#salvage(({ database }) =>
      database.prepare<[], string>("SELECT value FROM meta WHERE key = 'checkpoint'").pluck().get(),
    );
    if (note === undefined) return;
    try {
      const { size } = parseCheckpoint(parseNote(note).text);
      await store.putCheckpoint(note, size);
    } catch (error) {
      // The replicas sign the newest checkpoint again in any case, and its signatures are checked when
      // the database is opened.
      if (!isRefusal(error)) throw error;
    }
  }

  async #restore(store: SqliteStore, { records, bodies }: OwnState): Promise<void> {
    await store.write([
      ...[...records].map(([name, value]) => ({ kind: 'record' as const, name, value })),
      ...bodies.map(({ header, body }) => ({
        kind: 'body' as const,
        digest: headerDigest(header),
        header,
        body,
      })),
    ]);
  }

  // A vote says that its artifacts are held (DESIGN 5, rule 4). What is not decided yet, the log does not
  // name: if replicas that are rebuilt forgot it, a batch could be decided of which nobody has the bytes.
  async #promised(
    bodies: readonly Batch[],
    { application, executions }: OpenedStore,
  ): Promise<readonly string[]> {
    const promised: string[] = [];
    for (const { header, body } of bodies) {
      // One that is not valid can't be decided either.
      await application.validate(header, body, this.#options.limits, { artifacts: 'skip' });
      const execution = executions.get(headerDigest(header));
      for (const { sha512 } of execution?.artifacts ?? []) promised.push(sha512);
    }
    return promised;
  }

  // Every one is read: the index says what is in it, and a vote depends on that.
  async #indexArtifacts(tables: Tables, promised: readonly string[]): Promise<void> {
    const { folder, gunzip, nowMs } = this.#options;
    const promisedSet = new Set(promised);
    const open = (index: Tables): Promise<FolderArtifacts> =>
      FolderArtifacts.open({
        folder: join(folder, ARTIFACTS_FOLDER),
        tables: index.artifacts,
        gunzip,
        nowSeconds: () => Math.floor(nowMs() / 1000),
        promised: () => promisedSet,
      });
    const artifacts = await open(tables);
    for await (const sha512 of artifacts.files()) {
      if (!(await artifacts.adopt(sha512))) await artifacts.discard(sha512);
    }
    if (this.#old === undefined) return;
    const small = await open(this.#old.tables);
    const missing = tables.artifacts.missing(Number.MAX_SAFE_INTEGER);
    const copy = async (sha512: string): Promise<void> => {
      const bytes = this.#salvage(() => small.smallNow(sha512));
      // Files have been taken in above; what is in neither place is fetched while the replica runs.
      if (typeof bytes !== 'object') return;
      await artifacts.put(sha512, once(bytes), 'vote').catch((error: unknown) => {
        if (!(error instanceof VerifyError)) throw error;
      });
    };
    const all = [...new Set([...missing, ...promised])];
    for (let at = 0; at < all.length; at += COPIED_AT_ONCE) {
      await Promise.all(all.slice(at, at + COPIED_AT_ONCE).map(copy));
    }
  }

  /** Reads from the old database; `undefined` for whatever is damaged. */
  #salvage<T>(read: (old: Damaged) => T): T | undefined {
    if (this.#old === undefined) return undefined;
    try {
      return read(this.#old);
    } catch (error) {
      if (isDamage(error) || isRefusal(error)) return undefined;
      throw error;
    }
  }
}

/** What parsers of stored bytes throw when these are not what was written. */
function isRefusal(error: unknown): boolean {
  return error instanceof VerifyError || error instanceof RangeError || isAssertion(error);
}

function isAssertion(error: unknown): boolean {
  return error instanceof Error && error.name === 'AssertionError';
}

function isWhole({ header, body }: Batch): boolean {
  return header.entriesHash === bodyHash(body);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
