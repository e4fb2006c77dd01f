// The ledger's state in tables: packages, maintainer sets, releases, statements. Everything here follows
// from the entries; it is kept so that it need not be computed again.
import { encodeHex, decodeHex } from '../../verifier/encoding.ts';
import { assert } from '../../verifier/errors.ts';
import type { LedgerChanges, PackageChange } from '../../verifier/ledger/scratch.ts';
import type { PackageActivity, VersionStatus } from '../../verifier/ledger/view.ts';
import type { PackageRecord, ReleaseRecord, ReleaseStatus } from '../../verifier/map/records.ts';
import { type Database, type Statement, blobBytes } from './database.ts';
import { LruMap } from '../lru.ts';
import type { VersionRow } from './store.ts';

/** Packages whose row is kept in memory, about 200 bytes each: a statement's rules ask for it five times. */
const PACKAGE_CACHE_MAX = 4096;

/** Maintainer sets whose place is kept in memory; it never changes. */
const SET_CACHE_MAX = 4096;

/**
 * Statements whose place, or whose absence, is kept in memory, about 150 bytes each: on its way into the log
 * each is looked for five times. Several full batches.
 */
const STATEMENT_CACHE_MAX = 8192;

/** Versions that are kept in memory as not released: rules ask for each three times before it is. */
const UNRELEASED_CACHE_MAX = 8192;

interface PackageSqlRow {
  readonly maintainers: number;
  readonly sequence: number;
  readonly releases: number;
  readonly latest: string | null;
  readonly rate_window: number;
  readonly rate_entries: number;
}

interface ReleaseSqlRow {
  readonly version: string;
  readonly leaf_index: number;
  readonly statement: Buffer;
  readonly status: ReleaseStatus;
  readonly withdrawal: number | null;
}

/** A maintainer set's place. */
export interface SetRow {
  readonly sequence: number;
  readonly index: number;
  /** Hex. */
  readonly hash: string;
}

/** How many rows there are. */
export interface StateCounts {
  readonly packages: number;
  readonly sets: number;
  readonly releases: number;
  readonly statements: number;
}

/** Tables of the state. Writing happens inside the store's transaction. */
export class StateTables {
  readonly #putPackage: Statement<
    [string, string, number, number, number, string | null, number, number],
    unknown
  >;
  readonly #putSet: Statement<[string, number, number, Uint8Array], unknown>;
  readonly #putRelease: Statement<
    [string, string, number, Uint8Array, string, number | null],
    unknown
  >;
  readonly #putStatement: Statement<[Uint8Array, number], unknown>;
  readonly #package: Statement<[string], PackageSqlRow>;
  readonly #set: Statement<[string, number], { leaf_index: number; hash: Buffer }>;
  readonly #sets: Statement<[string, number], number>;
  readonly #release: Statement<[string, string], ReleaseSqlRow>;
  readonly #releases: Statement<[string, string, number], ReleaseSqlRow>;
  readonly #versions: Statement<[string], VersionStatus>;
  readonly #statement: Statement<[Uint8Array], number>;
  readonly #folded: Statement<[string], string>;
  readonly #counts: Statement<[], StateCounts>;
  readonly #knownPackages = new LruMap<string, PackageSqlRow>(PACKAGE_CACHE_MAX);
  readonly #knownSets = new LruMap<string, SetRow>(SET_CACHE_MAX);
  /** By hash; `null` is known not to be there. */
  readonly #knownStatements = new LruMap<string, number | null>(STATEMENT_CACHE_MAX);
  readonly #unreleased = new LruMap<string, true>(UNRELEASED_CACHE_MAX);

  constructor(database: Database) {
    this.#putPackage = database.prepare(
      // Not REPLACE: with that, two packages of one folded name would not fail but lose the first.
      'INSERT INTO packages (name, folded, maintainers, sequence, releases, latest, rate_window,' +
        ' rate_entries) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET' +
        ' maintainers = excluded.maintainers, sequence = excluded.sequence,' +
        ' releases = excluded.releases, latest = excluded.latest,' +
        ' rate_window = excluded.rate_window, rate_entries = excluded.rate_entries',
    );
    this.#putSet = database.prepare(
      'INSERT INTO maintainer_sets (name, sequence, leaf_index, hash) VALUES (?, ?, ?, ?)',
    );
    this.#putRelease = database.prepare(
      'INSERT OR REPLACE INTO releases (name, version, leaf_index, statement, status, withdrawal)' +
        ' VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#putStatement = database.prepare(
      'INSERT INTO statements (hash, leaf_index) VALUES (?, ?)',
    );
    this.#package = database.prepare(
      'SELECT maintainers, sequence, releases, latest, rate_window, rate_entries' +
        ' FROM packages WHERE name = ?',
    );
    this.#set = database.prepare(
      'SELECT leaf_index, hash FROM maintainer_sets WHERE name = ? AND sequence = ?',
    );
    this.#sets = database
      .prepare<[string, number], number>(
        'SELECT leaf_index FROM maintainer_sets WHERE name = ? AND leaf_index < ? ORDER BY sequence',
      )
      .pluck();
    this.#release = database.prepare(
      'SELECT version, leaf_index, statement, status, withdrawal FROM releases' +
        ' WHERE name = ? AND version = ?',
    );
    this.#releases = database.prepare(
      'SELECT version, leaf_index, statement, status, withdrawal FROM releases' +
        ' WHERE name = ? AND version > ? ORDER BY version LIMIT ?',
    );
    this.#versions = database.prepare('SELECT version, status FROM releases WHERE name = ?');
    this.#statement = database
      .prepare<[Uint8Array], number>('SELECT leaf_index FROM statements WHERE hash = ?')
      .pluck();
    this.#counts = database.prepare(
      'SELECT (SELECT count(*) FROM packages) AS packages,' +
        ' (SELECT count(*) FROM maintainer_sets) AS sets,' +
        ' (SELECT count(*) FROM releases) AS releases,' +
        ' (SELECT count(*) FROM statements) AS statements',
    );
    this.#folded = database
      .prepare<[string], string>('SELECT name FROM packages WHERE folded = ?')
      .pluck();
  }

  /** Number of rows of each kind. */
  counts(): StateCounts {
    return this.#counts.get() ?? { packages: 0, sets: 0, releases: 0, statements: 0 };
  }

  /** Writes what a batch changed. */
  apply(changes: LedgerChanges): void {
    for (const [name, change] of changes.packages) this.#writePackage(name, change);
    for (const { name, set, index, hash } of changes.sets) {
      this.#putSet.run(name, set.sequence, index, decodeHex(hash));
    }
    for (const { name, version, record } of changes.releases) {
      const { index, statement, status, withdrawal } = record;
      this.#putRelease.run(name, version, index, decodeHex(statement), status, withdrawal);
      this.#unreleased.delete(releaseName(name, version));
    }
    for (const { id, index } of changes.statements) {
      this.#putStatement.run(decodeHex(id), index);
      this.#knownStatements.set(id, index);
    }
  }

  #writePackage(name: string, { record, activity, folded }: PackageChange): void {
    const { maintainers, sequence, releases, latest } = record;
    const { window, entries } = activity;
    this.#putPackage.run(name, folded, maintainers, sequence, releases, latest, window, entries);
    // Its next release asks for this row. A transaction that fails leaves no trace: the store forgets all.
    this.#knownPackages.set(name, {
      maintainers,
      sequence,
      releases,
      latest,
      rate_window: window,
      rate_entries: entries,
    });
  }

  /** Drops what is remembered: after a transaction that failed. */
  forget(): void {
    this.#knownPackages.clear();
    this.#knownSets.clear();
    this.#knownStatements.clear();
    this.#unreleased.clear();
  }

  #row(name: string): PackageSqlRow | undefined {
    const known = this.#knownPackages.get(name);
    if (known !== undefined) return known;
    const row = this.#package.get(name);
    if (row !== undefined) this.#knownPackages.set(name, row);
    return row;
  }

  packageRecord(name: string): PackageRecord | undefined {
    const row = this.#row(name);
    if (row === undefined) return undefined;
    const { maintainers, sequence, releases, latest } = row;
    return { maintainers, sequence, releases, latest };
  }

  activity(name: string): PackageActivity | undefined {
    const row = this.#row(name);
    return row && { window: row.rate_window, entries: row.rate_entries };
  }

  /** The place of the set in force. */
  setInForce(name: string): SetRow | undefined {
    const row = this.#row(name);
    if (row === undefined) return undefined;
    const { sequence } = row;
    const key = `${sequence} ${name}`;
    const known = this.#knownSets.get(key);
    if (known !== undefined) return known;
    const set = this.#set.get(name, sequence);
    assert(set !== undefined, 'a package has a maintainer set');
    const found = { sequence, index: set.leaf_index, hash: encodeHex(blobBytes(set.hash)) };
    this.#knownSets.set(key, found);
    return found;
  }

  /** Leaf indexes of all maintainer sets below a log size, from sequence 0 on. */
  setIndexes(name: string, size: number): readonly number[] {
    return this.#sets.all(name, size);
  }

  releaseRecord(name: string, version: string): ReleaseRecord | undefined {
    const key = releaseName(name, version);
    if (this.#unreleased.get(key) === true) return undefined;
    const row = this.#release.get(name, version);
    if (row !== undefined) return recordOf(row);
    this.#unreleased.set(key, true);
    return undefined;
  }

  /** Releases of a package behind a version, in the order of their texts, at most so many. */
  releasesAfter(name: string, after: string, countMax: number): readonly VersionRow[] {
    return this.#releases
      .all(name, after, countMax)
      .map((row) => ({ version: row.version, record: recordOf(row) }));
  }

  versions(name: string): readonly VersionStatus[] {
    return this.#versions.all(name);
  }

  /** Leaf index of the entry with this payload hash, hex. */
  statementIndex(hash: string): number | undefined {
    const known = this.#knownStatements.get(hash);
    if (known !== undefined) return known ?? undefined;
    const index = this.#statement.get(decodeHex(hash));
    this.#knownStatements.set(hash, index ?? null);
    return index;
  }

  nameLike(folded: string): string | undefined {
    return this.#folded.get(folded);
  }
}

function recordOf({ leaf_index, statement, status, withdrawal }: ReleaseSqlRow): ReleaseRecord {
  return { index: leaf_index, statement: encodeHex(blobBytes(statement)), status, withdrawal };
}

// No version has a space in it.
function releaseName(name: string, version: string): string {
  return `${version} ${name}`;
}
