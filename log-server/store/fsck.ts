// The full check of a replica's database: everything that is stored is derived again from the entries
// alone, under the same rules as at first, and compared. What is compared is named in the problems.
import { equalBytes } from '../../verifier/bytes.ts';
import { decodeHex, encodeHex } from '../../verifier/encoding.ts';
import type { BatchExecution } from '../../verifier/ledger/batch.ts';
import { IllegalBatchError, LogReplay } from '../../verifier/ledger/replay.ts';
import type { ReplayLedger } from '../../verifier/ledger/replay-ledger.ts';
import { EMPTY_MAP_ROOT } from '../../verifier/map/node.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { TILE_HEIGHT, TILE_WIDTH } from '../../verifier/merkle/tile.ts';
import type { Roster } from '../../verifier/roster.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { certificateJobs, certificateProblem } from '../../verifier/replication/certificates.ts';
import { headerDigest } from '../../verifier/replication/encode.ts';
import { Members, NO_MUTANTS } from '../../verifier/replication/members.ts';
import type { BatchRow } from './batch-tables.ts';
import { DamagedStoreError, isDamage } from './damage.ts';
import { integrityProblems, type Database } from './database.ts';
import type { Tables } from './tables.ts';
import { checkBatch, checkCommitEntry, checkFirst } from './tail-check.ts';

/** Problems that are listed: a damaged disk may have any number. */
const PROBLEMS_MAX = 100;

/** What the check found. */
export interface CheckReport {
  /** Sentences, the first `PROBLEMS_MAX`. */
  readonly problems: readonly string[];
  readonly height: number;
  readonly size: number;
  readonly packages: number;
  readonly releases: number;
}

/**
 * Checks a database that nobody else has open.
 *
 * @param ledger a new one, on which the log is replayed
 */
export async function checkDatabase(
  database: Database,
  tables: Tables,
  ledger: ReplayLedger,
  verifier: SignatureVerifier,
): Promise<CheckReport> {
  const check = new DatabaseCheck(database, tables, ledger, verifier);
  await check.run();
  return check.report();
}

class DatabaseCheck {
  readonly #database: Database;
  readonly #tables: Tables;
  readonly #verifier: SignatureVerifier;
  readonly #ledger: ReplayLedger;
  readonly #problems: string[] = [];
  #releases = 0;

  constructor(
    database: Database,
    tables: Tables,
    ledger: ReplayLedger,
    verifier: SignatureVerifier,
  ) {
    this.#database = database;
    this.#tables = tables;
    this.#verifier = verifier;
    this.#ledger = ledger;
  }

  report(): CheckReport {
    const { height, size } = this.#ledger.tip;
    const { packages } = this.#ledger.rows.counts;
    return { problems: this.#problems, height, size, packages, releases: this.#releases };
  }

  async run(): Promise<void> {
    for (const line of integrityProblems(this.#database)) this.#found(`SQLite: ${line}`);
    await this.#attempt(() => void reading('the records', () => this.#tables.batches.records()));
    // Nothing can be said about what follows from entries that are not right.
    const isReplayed = await this.#attempt(() => this.#replay());
    if (!isReplayed) return;
    this.#tables.log.trust(this.#ledger.range);
    await this.#attempt(() => this.#checkEnd());
    await this.#checkTiles();
    await this.#attempt(() => this.#checkMap());
    await this.#checkState();
    await this.#attempt(() => this.#checkRosters());
  }

  #found(problem: string): void {
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push(problem);
  }

  /** @returns whether nothing was found */
  async #attempt(run: () => void | Promise<void>): Promise<boolean> {
    try {
      await run();
      return true;
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#found(error.message);
      return false;
    }
  }

  async #replay(): Promise<void> {
    const { batches, log } = this.#tables;
    const replay = new LogReplay(this.#ledger, this.#verifier);
    let before: BatchRow | undefined;
    for (let height = 1; ; height++) {
      const row = reading(`batch ${height}`, () => batches.batch(height));
      if (row === undefined) return;
      if (before === undefined) checkFirst(row, this.#ledger.roster.origin);
      else checkBatch(before, row);
      checkBatch(row, undefined);
      // Before the batch: it is decided by the roster of its epoch, and may end that.
      await this.#checkCertificate(row, this.#ledger.roster);
      const body = log.uncheckedEntries(row.firstLeaf, row.size);
      const execution = await replayBatch(replay, row, body);
      requireOutcome(row, execution);
      checkCommitEntry(row, body.at(-1));
      this.#releases += execution.artifacts.length;
      before = row;
    }
  }

  async #checkCertificate({ header, certificate }: BatchRow, roster: Roster): Promise<void> {
    const members = new Members(roster, '');
    const { epoch, height } = header;
    const expected = { epoch, height, digest: headerDigest(header) };
    const problem =
      epoch === roster.epoch
        ? certificateProblem(members, certificate, 'commit', expected, NO_MUTANTS)
        : 'another epoch';
    const valid =
      problem === undefined
        ? await this.#verifier.verifyMany(certificateJobs(members, certificate))
        : [false];
    if (valid.every((one) => one)) return;
    this.#found(`the commit certificate of batch ${height} is not good`);
  }

  #checkEnd(): void {
    const { log, batches } = this.#tables;
    const { size, height } = this.#ledger.tip;
    if (log.size() !== size) {
      throw new DamagedStoreError(`${log.size()} entries, but the last batch ends at ${size}`);
    }
    const last = batches.lastBatch()?.height ?? 0;
    if (last !== height)
      throw new DamagedStoreError(`batches end at ${last}, but ${height + 1} is missing`);
  }

  async #checkTiles(): Promise<void> {
    const { log } = this.#tables;
    const { size } = this.#ledger.tip;
    const ids = log.tileIds();
    for (const { level, number } of ids) {
      await this.#attempt(() => {
        const subtrees = Math.floor(size / 2 ** (TILE_HEIGHT * level));
        const width = Math.min(TILE_WIDTH, subtrees - number * TILE_WIDTH);
        if (width >= 1 && log.tile(level, number, width) !== undefined) return;
        throw new DamagedStoreError(`tile ${number} of level ${level} is not of this log`);
      });
    }
    let expected = 0;
    for (let subtrees = size; subtrees > 0; subtrees = Math.floor(subtrees / TILE_WIDTH)) {
      expected += Math.ceil(subtrees / TILE_WIDTH);
    }
    if (ids.length !== expected) this.#found(`${ids.length} tiles instead of ${expected}`);
  }

  // Every node is compared with its hash when it is read.
  #checkMap(): void {
    const { map } = this.#tables;
    const root = this.#ledger.tip.map;
    if (equalBytes(root, EMPTY_MAP_ROOT)) return;
    const waiting: Hash[] = [root];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const node = map.get(next);
      if (node.kind === 'inner') waiting.push(node.left, node.right);
    }
  }

  async #checkState(): Promise<void> {
    const { state } = this.#tables;
    const { rows } = this.#ledger;
    const same = (what: string, found: unknown, expected: unknown): Promise<boolean> =>
      this.#attempt(() => {
        if (JSON.stringify(found) === JSON.stringify(expected)) return;
        throw new DamagedStoreError(`the row of ${what} is not what the log says`);
      });
    let setCount = 0;
    for (const { name, change } of rows.packages()) {
      const { record, activity, folded } = change;
      await same(
        name,
        reading(name, () => state.packageRecord(name)),
        record,
      );
      await same(`the rate of ${name}`, state.activity(name), activity);
      await same(`the folded ${name}`, state.nameLike(folded), name);
      const inForce = this.#ledger.maintainerSet(name);
      setCount += record.sequence + 1;
      await same(
        `the maintainers of ${name}`,
        reading(name, () => state.setInForce(name)),
        {
          sequence: inForce?.set.sequence,
          index: inForce?.index,
          hash: inForce?.hash,
        },
      );
    }
    for (const { name, version, record } of rows.releases()) {
      await same(`${name}@${version}`, state.releaseRecord(name, version), record);
    }
    for (const { id, index } of rows.statements()) {
      await same(`the statement ${id}`, state.statementIndex(id), index);
    }
    const found = state.counts();
    const { counts } = rows;
    await same('all packages', found.packages, counts.packages);
    await same('all maintainer sets', found.sets, setCount);
    await same('all releases', found.releases, counts.releases);
    await same('all statements', found.statements, counts.statements);
  }

  #checkRosters(): void {
    const rosters = reading('the table of rosters', () => this.#tables.batches.rosters());
    const { epoch } = this.#ledger.tip;
    if (rosters.length !== epoch + 1) {
      throw new DamagedStoreError(`${rosters.length} rosters, but the log is in epoch ${epoch}`);
    }
    const last = rosters.at(-1)?.payload;
    if (last !== undefined && equalBytes(last, this.#ledger.rosterEnvelope.payload)) return;
    throw new DamagedStoreError('the newest roster is not the one in the log');
  }
}

async function replayBatch(
  replay: LogReplay,
  { height, firstLeaf, size }: BatchRow,
  body: readonly Uint8Array[],
): Promise<BatchExecution> {
  if (body.length !== size - firstLeaf) {
    throw new DamagedStoreError(`entries of batch ${height} are missing`);
  }
  let execution: BatchExecution | undefined;
  for (const [i, data] of body.entries()) {
    try {
      execution = await replay.add(data);
    } catch (error) {
      if (!(error instanceof IllegalBatchError)) throw error;
      throw new DamagedStoreError(
        `an entry of batch ${height} (${firstLeaf} to ${size - 1}) is not what was logged: ` +
          error.refusal.message,
        { cause: error },
      );
    }
    const isLast = i === body.length - 1;
    if ((execution === undefined) === isLast) {
      throw new DamagedStoreError(`batch ${height} does not end with its commit entry`);
    }
  }
  if (execution === undefined) throw new DamagedStoreError(`batch ${height} is empty`);
  return execution;
}

function requireOutcome({ height, header, mapRoot }: BatchRow, execution: BatchExecution): void {
  if (!equalBytes(execution.root, decodeHex(header.root))) {
    throw new DamagedStoreError(
      `an entry of batch ${height} is not what was logged: the root would be ${encodeHex(execution.root)}`,
    );
  }
  if (!equalBytes(execution.map.root, mapRoot)) {
    throw new DamagedStoreError(`the row of batch ${height} does not have the root of its map`);
  }
}

function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (isDamage(cause)) throw cause;
    throw new DamagedStoreError(`${what} can’t be read: ${String(cause)}`, { cause });
  }
}
