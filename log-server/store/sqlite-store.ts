// The storage port over SQLite. One connection, used by this process alone; reads are synchronous
// inside and asynchronous outside, so that all of it can move to a worker thread.
import { parseCheckpoint } from '../../verifier/checkpoint.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { planCheckpoint } from '../../verifier/cosignature.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { AssertionError, VerifyError, assert } from '../../verifier/errors.ts';
import type { EvidenceQuery } from '../../verifier/evidence/build.ts';
import type { BatchExecution } from '../../verifier/ledger/batch.ts';
import { releaseKey } from '../../verifier/map/keys.ts';
import { formatReleaseRecord, type ReleaseRecord } from '../../verifier/map/records.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { parseNote } from '../../verifier/note.ts';
import { parseRoster, type Roster } from '../../verifier/roster.ts';
import { runPlan, type SignatureVerifier } from '../../verifier/signatures.ts';
import { genesisHeader } from '../../verifier/replication/encode.ts';
import type {
  Certificate,
  CommittedRecord,
  DurableState,
  Header,
  Write,
} from '../consensus/types.ts';
import type { Executions } from '../ledger/executions.ts';
import type { BatchRow } from './batch-tables.ts';
import { DamagedStoreError, isDamage } from './damage.ts';
import type { Database, Statement } from './database.ts';
import { EvidenceReads } from './evidence-reads.ts';
import { renameDatabase } from './identity.ts';
import type { LedgerState } from './ledger-state.ts';
import { PackageReads } from './package-reads.ts';
import type { Tables } from './tables.ts';
import type {
  CommittedSubmission,
  PackageRow,
  Store,
  StoreIdentity,
  StoredCheckpoint,
} from './store.ts';

type CommitWrite = Extract<Write, { kind: 'commit' }>;

/** Batches in one answer, however small they are: what a peer's decoder takes at once. */
const BATCH_COUNT_MAX = 64;

/** Writes of a rest: a few times of what the largest fold is brought into its table with. */
const REST_PARTS_MAX = 64;

/** What the store works with. */
export interface StoreParts {
  readonly database: Database;
  readonly tables: Tables;
  readonly state: LedgerState;
  readonly executions: Executions;
  readonly identity: StoreIdentity;
  /**
   * Executes a batch that has a commit certificate and whose execution is not known any more, and
   * leaves it in `executions`.
   */
  readonly execute: (commit: CommittedRecord) => Promise<void>;
}

/** Durable state in SQLite. */
export class SqliteStore implements Store {
  readonly identity: StoreIdentity;
  readonly #database: Database;
  readonly #tables: Tables;
  readonly #state: LedgerState;
  readonly #executions: Executions;
  readonly #execute: StoreParts['execute'];
  readonly #note: NoteTable;
  readonly #evidence: EvidenceReads;
  readonly #packages: PackageReads;
  #halted: Error | undefined;
  readonly #haltListeners: ((error: Error) => void)[] = [];
  #checkpoint: StoredCheckpoint | undefined;
  // Writes go one after the other, also when one of them has to wait for an execution.
  #turn: Promise<void> = Promise.resolve();

  constructor({ database, tables, state, executions, identity, execute }: StoreParts) {
    this.identity = identity;
    this.#database = database;
    this.#tables = tables;
    this.#state = state;
    this.#executions = executions;
    this.#execute = execute;
    this.#note = new NoteTable(database);
    this.#evidence = new EvidenceReads(tables);
    this.#packages = new PackageReads(tables.state, tables.map, () => state.tip.map);
    this.#checkpoint = this.#storedCheckpoint();
    const { wholeFrom } = tables.map;
    if (wholeFrom > state.tip.height) {
      throw new DamagedStoreError(
        `maps are whole from batch ${wholeFrom} on, and the log ends at ${state.tip.height}`,
      );
    }
    tables.map.serve(this.#checkpoint?.height);
  }

  get halted(): Error | undefined {
    return this.#halted;
  }

  halt(error: Error): void {
    if (this.#halted !== undefined) return;
    this.#halted = error;
    for (const listener of this.#haltListeners) listener(error);
  }

  onHalted(listener: (error: Error) => void): void {
    this.#haltListeners.push(listener);
    if (this.#halted !== undefined) listener(this.#halted);
  }

  // What was read wrong once can be read wrong again, by the ledger: no more votes on top of it.
  #read<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (isDamage(error)) this.halt(error);
      throw error;
    }
  }

  async write(writes: readonly Write[]): Promise<void> {
    return this.#inTurn(async () => {
      const commits = writes.filter((write) => write.kind === 'commit');
      assert(commits.length <= 1, 'a transaction commits one batch: the next builds on it');
      const [commit] = commits;
      const execution = commit === undefined ? undefined : await this.#executionOf(commit);
      this.#transaction(() => {
        for (const write of writes) this.#apply(write, execution);
      });
      // Here the batch is durable: a crash before this line repeats it, one after it has it.
      if (commit === undefined || execution === undefined) return;
      this.#state.advance(commit.header, execution);
      this.#executions.dropUpTo(execution.height);
    });
  }

  async putCheckpoint(note: string, size: number): Promise<void> {
    return this.#inTurn(async () => {
      const checkpoint = this.#describe(note);
      assert(checkpoint.size === size, 'the note is of the size it is stored for');
      const before = this.#checkpoint;
      if (before !== undefined && checkpoint.size < before.size) return;
      // Nobody could get evidence under it: a look at its map would find nodes missing, and take the database for
      // damaged.
      assert(
        checkpoint.height === before?.height || checkpoint.height >= this.#tables.map.wholeFrom,
        'a checkpoint that is served has its map',
      );
      this.#transaction(() => {
        this.#note.put(note);
        // Evidence is made under this checkpoint or a newer one from now on.
        this.#tables.map.prune(checkpoint.height);
      });
      this.#checkpoint = checkpoint;
    });
  }

  async #inTurn(task: () => Promise<void>): Promise<void> {
    const before = this.#turn;
    const done = before.then(async () => {
      if (this.#halted !== undefined) throw this.#halted;
      await task();
    });
    // The next one waits for this one, and finds out by itself that the store has halted.
    this.#turn = done.catch(() => undefined);
    return done;
  }

  #transaction(change: () => void): void {
    try {
      this.#database.transaction(change).immediate();
    } catch (error) {
      // Sticky: after a failed fsync nobody knows what is on the disk (CONSENSUS C6).
      this.halt(error instanceof Error ? error : new Error(String(error)));
      this.#tables.log.forget();
      this.#tables.map.forget();
      this.#tables.artifacts.forget();
      this.#tables.state.forget();
      throw error;
    }
  }

  async #executionOf(commit: CommitWrite): Promise<BatchExecution> {
    const { digest } = commit;
    // After a restart, or when other bodies pushed it out. It has a certificate: if it can't be
    // executed here, this replica is wrong or a quorum is, and must stop either way (N12).
    if (this.#executions.get(digest) === undefined) {
      try {
        await this.#execute(commit);
      } catch (error) {
        this.halt(error instanceof Error ? error : new Error(String(error)));
        throw error;
      }
    }
    const execution = this.#executions.get(digest);
    assert(execution !== undefined, 'a batch that was executed is remembered');
    assert(execution.height === this.#state.tip.height + 1, 'batches are committed in order');
    return execution;
  }

  #apply(write: Write, execution: BatchExecution | undefined): void {
    const { batches } = this.#tables;
    switch (write.kind) {
      case 'record':
        return batches.putRecord(write.name, write.value);
      case 'body':
        this.#executions.keep(write.digest);
        return batches.putBody(write.digest, write);
      case 'drop-body':
        this.#executions.release(write.digest);
        return batches.deleteBody(write.digest);
      case 'commit':
        assert(execution !== undefined, 'a commit has its execution');
        return this.#commit(write, execution);
      case 'transcript':
        return batches.putTranscript(write.epoch, write.view, write.newView);
    }
  }

  #commit({ header, certificate, digest }: CommitWrite, execution: BatchExecution): void {
    const { artifacts, batches, log, map, state } = this.#tables;
    assert(header.root === encodeHex(execution.root), 'what was executed is what is committed');
    log.append(execution.prevSize, execution.entries, execution.nodes);
    map.apply(execution.map, execution.height);
    state.apply(execution.changes);
    for (const { sha512 } of execution.artifacts) artifacts.want(sha512);
    batches.putBatch(
      {
        height: execution.height,
        firstLeaf: execution.prevSize,
        size: execution.range.size,
        header,
        certificate,
        mapRoot: execution.map.root,
        commitLeaf: execution.commitLeaf,
      },
      digest,
    );
    const next = execution.changes.roster;
    if (next !== undefined) batches.putRoster(next.roster.epoch, next.envelope);
    batches.deleteBodies();
  }

  async disown(): Promise<void> {
    return this.#inTurn(async () => this.#transaction(() => renameDatabase(this.#database)));
  }

  async consensusState(): Promise<DurableState> {
    const { batches } = this.#tables;
    const { roster, header } = this.#state;
    const last = batches.lastBatch();
    const records = batches.records();
    if (batches.tip() !== header.height) {
      throw new DamagedStoreError(
        `the log ends at batch ${header.height}, and batch ${batches.tip()} was committed`,
      );
    }
    return {
      roster,
      epochStart: this.#epochStart(roster),
      committed: {
        header,
        certificate: last?.header.epoch === roster.epoch ? last.certificate : undefined,
      },
      records,
      bodies: batches.bodies(),
    };
  }

  // The closing header of the epoch before: the batch whose only statement is this epoch's roster.
  #epochStart(roster: Roster): Header {
    if (roster.epoch === 0) return genesisHeader(roster.origin);
    const index = this.#state.statementIndex(roster.hash);
    assert(index !== undefined, 'a roster after epoch 0 is an entry of the log');
    // Alone in its batch, so the commit entry follows and ends the batch.
    const closing = this.#tables.batches.batchOfSize(index + 2);
    assert(closing?.header.nextRoster === roster.hash, 'an epoch ends with the next roster');
    return closing.header;
  }

  async batches(fromHeight: number, bytesMax: number): Promise<readonly CommittedRecord[]> {
    return this.#read(() => this.#batches(fromHeight, bytesMax));
  }

  #batches(fromHeight: number, bytesMax: number): readonly CommittedRecord[] {
    const found: CommittedRecord[] = [];
    let bytes = 0;
    for (let height = fromHeight; found.length < BATCH_COUNT_MAX; height++) {
      const row = this.#tables.batches.batch(height);
      if (row === undefined) break;
      const body = this.#bodyOf(row);
      bytes += body.reduce((sum, entry) => sum + entry.length, 0);
      if (found.length > 0 && bytes > bytesMax) break;
      found.push({ header: row.header, body, certificate: row.certificate });
    }
    return found;
  }

  #bodyOf({ firstLeaf, size }: BatchRow): readonly Uint8Array[] {
    return this.#tables.log.entries(firstLeaf, size);
  }

  async header(height: number): Promise<{ header: Header; certificate: Certificate } | undefined> {
    const row = this.#tables.batches.batch(height);
    return row && { header: row.header, certificate: row.certificate };
  }

  async checkpoint(): Promise<StoredCheckpoint | undefined> {
    return this.#checkpoint;
  }

  async tile(level: number, index: number, width: number): Promise<Uint8Array | undefined> {
    return this.#read(() => this.#tables.log.tile(level, index, width));
  }

  async entryBundle(index: number, width: number): Promise<Uint8Array | undefined> {
    return this.#read(() => this.#tables.log.bundle(index, width));
  }

  async entry(index: number): Promise<Uint8Array | undefined> {
    return this.#read(() => this.#tables.log.entry(index));
  }

  async rootAt(size: number): Promise<Hash | undefined> {
    return this.#read(() => this.#state.rootAt(size));
  }

  async rosterEnvelopes(): Promise<readonly Envelope[]> {
    return this.#read(() => this.#tables.batches.rosters());
  }

  async roster(): Promise<Roster> {
    return this.#state.roster;
  }

  async submission(id: string): Promise<CommittedSubmission | undefined> {
    const index = this.#read(() => this.#tables.state.statementIndex(id));
    return index === undefined ? undefined : { id, index };
  }

  async package(name: string): Promise<PackageRow | undefined> {
    return this.#inSteps(() => this.#packages.read(name));
  }

  async release(name: string, version: string): Promise<ReleaseRecord | undefined> {
    return this.#read(() => {
      const record = this.#tables.state.releaseRecord(name, version);
      this.#packages.requireSame(releaseKey(name, version), record && formatReleaseRecord(record));
      return record;
    });
  }

  /** Votes and writes get their turn between two steps. */
  async #inSteps<T>(begin: () => Generator<undefined, T, undefined>): Promise<T> {
    const steps = this.#read(begin);
    for (;;) {
      const step = this.#read(() => steps.next());
      if (step.done === true) return step.value;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async evidence(request: EvidenceQuery): Promise<readonly string[] | undefined> {
    const checkpoint = this.#checkpoint;
    if (checkpoint === undefined) return undefined;
    // Its nodes of the map stay until the document is done.
    const release = this.#tables.map.hold(checkpoint.height);
    try {
      // What this reads is of the checkpoint, whatever batches come meanwhile.
      return await this.#inSteps(() => this.#evidence.inPieces(checkpoint, request));
    } catch (error) {
      if (error instanceof VerifyError && error.code === 'ROSTER_NOT_PINNED') return undefined;
      throw error;
    } finally {
      release();
    }
  }

  /**
   * Finishes what is begun and has to be in memory for that, and drops what it can read again. A write that fails halts
   * the store, as any does; whoever rests is not the one to be told.
   */
  async rest(): Promise<void> {
    await this.#foldDue().catch((error: unknown) => {
      if (this.#halted === undefined) throw error;
    });
    this.#evidence.forget();
  }

  async #foldDue(): Promise<void> {
    for (let part = 0; part < REST_PARTS_MAX; part++) {
      const found = { isMore: false };
      const fold = (): void => void (found.isMore = this.#tables.map.foldDue());
      await this.#inTurn(async () => this.#transaction(fold));
      if (!found.isMore) return;
    }
  }

  /**
   * Drops the stored checkpoint if its signatures are not good: clients would refuse it, and a replica
   * that has none says so.
   */
  async verifyCheckpoint(verifier: SignatureVerifier): Promise<void> {
    if (this.#checkpoint === undefined) return;
    const note = parseNote(this.#checkpoint.note);
    // Right after the roster has changed the newest note may still be one of the replicas before.
    for (const { payload } of this.#tables.batches.rosters().slice(-2)) {
      try {
        await runPlan(verifier, planCheckpoint(note, parseRoster(payload)));
        return;
      } catch (error) {
        if (!(error instanceof VerifyError)) throw error;
      }
    }
    this.#checkpoint = undefined;
  }

  // A note that was damaged is left out: the replicas sign the newest checkpoint again anyway.
  #storedCheckpoint(): StoredCheckpoint | undefined {
    const note = this.#note.get();
    if (note === undefined) return undefined;
    try {
      return this.#describe(note);
    } catch (error) {
      if (error instanceof VerifyError || error instanceof AssertionError) return undefined;
      throw error;
    }
  }

  // A note says its size; the batch of that size must be here, with that root.
  #describe(note: string): StoredCheckpoint {
    const { size, root } = parseCheckpoint(parseNote(note).text);
    const row = this.#tables.batches.batchOfSize(size);
    assert(row?.header.root === encodeHex(root), 'a checkpoint is one of the own log');
    return { size, height: row.height, note };
  }

  async close(): Promise<void> {
    await this.#turn;
    this.#database.close();
  }
}

const NOTE_KEY = 'checkpoint';

/** The newest checkpoint note, a single value. */
class NoteTable {
  readonly #put: Statement<[string, string], unknown>;
  readonly #get: Statement<[string], string>;

  constructor(database: Database) {
    this.#put = database.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
    this.#get = database.prepare<[string], string>('SELECT value FROM meta WHERE key = ?').pluck();
  }

  get(): string | undefined {
    return this.#get.get(NOTE_KEY);
  }

  put(note: string): void {
    this.#put.run(NOTE_KEY, note);
  }
}
