// Opens everything that a replica keeps: database, artifacts, and the ledger on top of them.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { Envelope } from '../../verifier/dsse.ts';
import type { Gunzip } from '../../verifier/archive/gzip.ts';
import type { BatchBase } from '../../verifier/ledger/view.ts';
import { headerDigest } from '../../verifier/replication/encode.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import type { CommittedRecord } from '../consensus/types.ts';
import type { Application, Asker, BatchLimits } from '../ledger/application.ts';
import { Executions } from '../ledger/executions.ts';
import { LedgerApplication } from '../ledger/ledger-application.ts';
import type { ArtifactStore } from './artifact-store.ts';
import { ArtifactTables } from './artifact-tables.ts';
import { BatchTables } from './batch-tables.ts';
import { openDatabase, type Database } from './database.ts';
import { FolderArtifacts } from './folder-artifacts.ts';
import { openIdentity } from './identity.ts';
import { LedgerState } from './ledger-state.ts';
import type { Tables } from './tables.ts';
import { LogTables } from './log-tables.ts';
import { MapTables } from './map-tables.ts';
import { SCHEMA } from './schema.ts';
import { SqliteStore } from './sqlite-store.ts';
import { StateTables } from './state-tables.ts';
import type { Store } from './store.ts';

/** Name of the database in the data folder. */
export const DATABASE_FILE = 'log.sqlite';

/** Name of the folder of artifacts in the data folder. */
export const ARTIFACTS_FOLDER = 'artifacts';

/** What a replica's storage is opened with. */
export interface StorageOptions {
  /** Data folder; made when it does not exist. */
  readonly folder: string;
  /** The signed roster of epoch 0, whose signatures have been checked. */
  readonly genesis: Envelope;
  /** Name of this replica. */
  readonly replica: string;
  /** The log's limits: what a valid batch is. */
  readonly limits: BatchLimits;
  readonly verifier: SignatureVerifier;
  /** For the signatures of what somebody hands in; `verifier` unless given. */
  readonly verifierOf?: (asker: Asker) => SignatureVerifier;
  /** For small artifacts: it works in this thread. */
  readonly gunzip: Gunzip;
  /** Wall clock, Unix milliseconds. */
  readonly nowMs: () => number;
}

/** An open storage. */
export interface Storage {
  readonly store: Store;
  readonly application: Application;
  readonly artifacts: ArtifactStore;
  /** Drops what can be read again, and ends threads that have nothing to do. */
  readonly rest: () => Promise<void>;
  /** The state after the last durable batch, for reading in this thread. */
  readonly view: BatchBase;
  /** Leaf index of a package's first maintainer set: its age. */
  readonly claimIndex: (name: string) => number | undefined;
  /** Digests of held artifacts after the given one, in order. */
  readonly heldAfter: (sha512: string, countMax: number) => readonly string[];
  /** Whether a release in the log names the artifact. */
  readonly isReleased: (sha512: string) => boolean;
  /** Artifacts that the log names, and of them those not held. */
  readonly artifactCounts: () => { readonly wanted: number; readonly missing: number };
}

/** The tables of a database. */
export function openTables(database: Database): Tables {
  return {
    artifacts: new ArtifactTables(database),
    batches: new BatchTables(database),
    log: new LogTables(database),
    map: new MapTables(database),
    state: new StateTables(database),
  };
}

/**
 * Opens the storage of a replica for this process alone.
 *
 * @throws {DatabaseError} in use, or of another log or replica
 * @throws {DamagedStoreError} the tables contradict each other
 */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { folder, genesis, replica, limits, verifier, verifierOf, gunzip, nowMs } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const database = openDatabase(join(folder, DATABASE_FILE), SCHEMA);
  try {
    const tables = openTables(database);
    const identity = openIdentity(database, genesis, replica, () => {
      tables.batches.putRoster(0, genesis);
    });
    const state = new LedgerState(tables);
    const executions = new Executions();
    const artifacts = await FolderArtifacts.open({
      folder: join(folder, ARTIFACTS_FOLDER),
      tables: tables.artifacts,
      gunzip,
      nowSeconds: () => Math.floor(nowMs() / 1000),
      promised: () => executions.promised(),
    });
    const application = new LedgerApplication({
      state,
      artifacts,
      executions,
      verifier,
      verifierOf,
      nowMs,
    });
    const execute = async ({ header, body }: CommittedRecord): Promise<void> => {
      const validation = await application.validate(header, body, limits, { artifacts: 'skip' });
      if (!validation.ok) {
        throw new Error(`a certified batch is invalid here: ${validation.reason}`);
      }
    };
    const store = new SqliteStore({ database, tables, state, executions, identity, execute });
    await store.verifyCheckpoint(verifier);
    // What was promised with a vote before the restart is promised still. A body that is not valid here
    // can't be decided either, and promises nothing.
    for (const { header, body } of tables.batches.bodies()) {
      executions.keep(headerDigest(header));
      await application.validate(header, body, limits, { artifacts: 'skip' });
    }
    const artifactCounts: Storage['artifactCounts'] = () => tables.artifacts.counts();
    const heldAfter: Storage['heldAfter'] = (after, countMax) =>
      tables.artifacts.held(after, countMax);
    const isReleased = (sha512: string): boolean => tables.artifacts.isWanted(sha512);
    const claimIndex = (name: string): number | undefined =>
      tables.state.setIndexes(name, state.tip.size)[0];
    const rest = async (): Promise<void> => {
      await store.rest();
      application.rest();
      tables.artifacts.rest();
      tables.log.forget();
      tables.map.forget();
      tables.state.forget();
      database.pragma('shrink_memory');
      await artifacts.rest();
    };
    return {
      store,
      application,
      artifacts,
      rest,
      view: state,
      claimIndex,
      heldAfter,
      isReleased,
      artifactCounts,
    };
  } catch (error) {
    database.close();
    throw error;
  }
}
