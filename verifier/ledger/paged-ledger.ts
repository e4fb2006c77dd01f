// The ledger's state in pages, of which a fixed number is in memory: for auditors of logs of any length.
// It answers as the one in memory does (paged-ledger.test.ts holds it to that), with some 1,000 bytes per
// release instead of 5,000, and most of them in a file.
import { concat, utf8 } from '../bytes.ts';
import { statementHash, type Envelope } from '../dsse.ts';
import { decodeHex, encodeHex } from '../encoding.ts';
import { assert } from '../errors.ts';
import { EMPTY_MAP_ROOT } from '../map/node.ts';
import type { PackageRecord, ReleaseRecord, ReleaseStatus } from '../map/records.ts';
import type { MapNodes } from '../map/trie.ts';
import { CompactRange } from '../merkle/compact-range.ts';
import { EMPTY_ROOT, type Hash } from '../merkle/hash.ts';
import { foldName } from '../npm/name.ts';
import { numberBytes, type PagePool } from '../paging/pages.ts';
import { PagedRows } from '../paging/rows.ts';
import { parseRoster, type Roster } from '../roster.ts';
import { formatMaintainerSet, parseMaintainerSet } from '../statements/maintainers.ts';
import { decodeUtf8 } from '../text.ts';
import type { BatchExecution } from './batch.ts';
import { PagedNodes } from './paged-nodes.ts';
import { PagedTree } from './paged-tree.ts';
import type { LedgerRows, PackageRow, ReplayLedger, StatementRow } from './replay-ledger.ts';
import type { LedgerChanges, PackageChange, ReleaseChange, SetChange } from './scratch.ts';
import type { LedgerTip, PackageActivity, SetInForce, VersionStatus } from './view.ts';

/** Parsed maintainer sets that are remembered, some kilobytes each. */
const SETS_MAX = 2048;

/** Rows that are remembered, some 300 bytes each: the rules ask for those of a package five times. */
const PACKAGES_MAX = 4096;

const INDEX_BYTES = 7;

interface PackageState {
  readonly record: PackageRecord;
  readonly activity: PackageActivity;
  /** The version that was released last; each release says which one was before it. */
  readonly newest: string | null;
}

/** A log replayed from its beginning. */
export class PagedLedger implements ReplayLedger {
  readonly #tree: PagedTree;
  readonly #nodes: PagedNodes;
  readonly #statements: PagedRows;
  readonly #packages: PagedRows;
  readonly #folded: PagedRows;
  readonly #sets: PagedRows;
  readonly #releases: PagedRows;
  readonly #knownPackages = new Map<string, PackageState>();
  readonly #knownSets = new Map<string, SetInForce>();
  #tip: LedgerTip;
  #roster: Roster;
  #rosterEnvelope: Envelope;
  #range: CompactRange = CompactRange.EMPTY;

  /**
   * @param genesis the signed roster of epoch 0, whose signatures have been checked
   * @param salt random bytes that nobody else knows (paging/rows.ts)
   */
  constructor(genesis: Envelope, pool: PagePool, salt: Uint8Array) {
    this.#tree = new PagedTree(pool);
    this.#nodes = new PagedNodes(pool);
    const rows = (): PagedRows => new PagedRows(pool, salt);
    this.#statements = rows();
    this.#packages = rows();
    this.#folded = rows();
    this.#sets = rows();
    this.#releases = rows();
    this.#rosterEnvelope = genesis;
    this.#roster = parseRoster(genesis.payload);
    this.#tip = {
      epoch: this.#roster.epoch,
      height: 0,
      size: 0,
      root: EMPTY_ROOT,
      timeSeconds: 0,
      map: EMPTY_MAP_ROOT,
      commitLeaf: null,
    };
  }

  get tip(): LedgerTip {
    return this.#tip;
  }

  get roster(): Roster {
    return this.#roster;
  }

  get rosterEnvelope(): Envelope {
    return this.#rosterEnvelope;
  }

  get range(): CompactRange {
    return this.#range;
  }

  get mapNodes(): MapNodes {
    return this.#nodes;
  }

  /** How many map nodes are kept: those of the present map. */
  get mapNodeCount(): number {
    return this.#nodes.count;
  }

  advance(execution: BatchExecution): void {
    assert(execution.height === this.#tip.height + 1, 'batches come one after the other');
    const { changes, map, nodes, range } = execution;
    this.#tree.append(nodes);
    this.#nodes.apply(map);
    for (const { id, index } of changes.statements) {
      this.#statements.set(decodeHex(id), numberBytes(INDEX_BYTES, index));
    }
    for (const change of changes.sets) this.#putSet(change);
    this.#putReleases(changes);
    if (changes.roster !== undefined) {
      this.#roster = changes.roster.roster;
      this.#rosterEnvelope = changes.roster.envelope;
    }
    this.#range = range;
    this.#tip = {
      epoch: this.#roster.epoch,
      height: execution.height,
      size: range.size,
      root: execution.root,
      timeSeconds: execution.timeSeconds,
      map: map.root,
      commitLeaf: execution.commitLeaf,
    };
  }

  #putSet({ name, set, hash, index }: SetChange): void {
    const payload = formatMaintainerSet(set);
    assert(statementHash(payload) === hash, 'a statement has one spelling');
    this.#sets.set(utf8(name), concat(numberBytes(INDEX_BYTES, index), payload));
    this.#knownSets.delete(name);
  }

  // Releases first: a package says which one is its newest.
  #putReleases({ releases, packages }: LedgerChanges): void {
    const newest = new Map<string, string>();
    for (const { name, version, record } of releases) {
      const key = releaseRowKey(name, version);
      const known = this.#releases.get(key);
      let before = newest.get(name) ?? this.#package(name)?.newest ?? null;
      if (known === undefined) newest.set(name, version);
      else before = readRelease(known).before;
      this.#releases.set(key, formatRelease(record, before));
    }
    for (const [name, { record, activity, folded }] of packages) {
      const before = this.#package(name);
      const state = { record, activity, newest: newest.get(name) ?? before?.newest ?? null };
      if (before === undefined) this.#folded.set(utf8(folded), utf8(name));
      this.#packages.set(utf8(name), formatPackage(state));
      remember(this.#knownPackages, PACKAGES_MAX, name, state);
    }
  }

  #package(name: string): PackageState | undefined {
    const known = this.#knownPackages.get(name);
    if (known !== undefined) return known;
    const row = this.#packages.get(utf8(name));
    if (row === undefined) return undefined;
    return remember(this.#knownPackages, PACKAGES_MAX, name, readPackage(row));
  }

  statementIndex(hash: string): number | undefined {
    const row = this.#statements.get(decodeHex(hash));
    return row && readIndex(row);
  }

  packageRecord(name: string): PackageRecord | undefined {
    return this.#package(name)?.record;
  }

  activity(name: string): PackageActivity | undefined {
    return this.#package(name)?.activity;
  }

  releaseRecord(name: string, version: string): ReleaseRecord | undefined {
    const row = this.#releases.get(releaseRowKey(name, version));
    return row && readRelease(row).record;
  }

  maintainerSet(name: string): SetInForce | undefined {
    const known = this.#knownSets.get(name);
    if (known !== undefined) return known;
    const row = this.#sets.get(utf8(name));
    if (row === undefined) return undefined;
    const payload = row.subarray(INDEX_BYTES);
    const hash = statementHash(payload);
    const index = readIndex(row.subarray(0, INDEX_BYTES));
    assert(this.statementIndex(hash) === index, 'pages give back what was written');
    const set = parseMaintainerSet(payload);
    return remember(this.#knownSets, SETS_MAX, name, { set, hash, index });
  }

  versions(name: string): readonly VersionStatus[] {
    const versions: VersionStatus[] = [];
    const state = this.#package(name);
    for (let version = state?.newest ?? null; version !== null;) {
      assert(versions.length < (state?.record.releases ?? 0), 'a package has so many releases');
      const row = this.#releases.get(releaseRowKey(name, version));
      assert(row !== undefined, 'a package names a release of its own');
      const { record, before } = readRelease(row);
      versions.push({ version, status: record.status });
      version = before;
    }
    return versions;
  }

  nameLike(folded: string): string | undefined {
    const row = this.#folded.get(utf8(folded));
    return row && decodeUtf8(row);
  }

  rootAt(size: number): Hash | undefined {
    return size > this.#tip.size ? undefined : this.#tree.rootAt(size);
  }

  get rows(): LedgerRows {
    return {
      counts: {
        packages: this.#packages.count,
        releases: this.#releases.count,
        statements: this.#statements.count,
      },
      statements: () => this.#statementRows(),
      packages: () => this.#packageRows(),
      releases: () => this.#releaseRows(),
    };
  }

  *#statementRows(): Generator<StatementRow> {
    for (const { key, value } of this.#statements.all()) {
      yield { id: encodeHex(key), index: readIndex(value) };
    }
  }

  *#packageRows(): Generator<PackageRow> {
    for (const { key, value } of this.#packages.all()) {
      const name = decodeUtf8(key);
      const { record, activity } = readPackage(value);
      const change: PackageChange = { record, activity, folded: foldName(name) };
      yield { name, change };
    }
  }

  *#releaseRows(): Generator<ReleaseChange> {
    for (const { key, value } of this.#releases.all()) {
      const [version = '', name = ''] = decodeUtf8(key).split(' ');
      yield { name, version, record: readRelease(value).record };
    }
  }
}

function remember<T>(known: Map<string, T>, countMax: number, key: string, value: T): T {
  if (known.size >= countMax) known.clear();
  known.set(key, value);
  return value;
}

// No version has a space in it, and no name.
function releaseRowKey(name: string, version: string): Uint8Array {
  return utf8(`${version} ${name}`);
}

function readIndex(bytes: Uint8Array): number {
  let index = 0;
  for (const byte of bytes) index = index * 256 + byte;
  return index;
}

// Rows are our own: what is in them was written here, and no stranger's bytes are read as JSON.
type ReleaseFields = readonly [number, string, ReleaseStatus, number | null, string | null];

function formatRelease(
  { index, statement, status, withdrawal }: ReleaseRecord,
  before: string | null,
): Uint8Array {
  const fields: ReleaseFields = [index, statement, status, withdrawal, before];
  return utf8(JSON.stringify(fields));
}

function readRelease(row: Uint8Array): {
  readonly record: ReleaseRecord;
  readonly before: string | null;
} {
  const fields = JSON.parse(decodeUtf8(row)) as ReleaseFields;
  const [index, statement, status, withdrawal, before] = fields;
  return { record: { index, statement, status, withdrawal }, before };
}

type PackageFields = readonly [
  number,
  number,
  number,
  string | null,
  number,
  number,
  string | null,
];

function formatPackage({ record, activity, newest }: PackageState): Uint8Array {
  const { maintainers, sequence, releases, latest } = record;
  const { window, entries } = activity;
  const fields: PackageFields = [maintainers, sequence, releases, latest, window, entries, newest];
  return utf8(JSON.stringify(fields));
}

function readPackage(row: Uint8Array): PackageState {
  const fields = JSON.parse(decodeUtf8(row)) as PackageFields;
  const [maintainers, sequence, releases, latest, window, entries, newest] = fields;
  const record = { maintainers, sequence, releases, latest };
  return { record, activity: { window, entries }, newest };
}
