// A package with its versions out of the tables. Rows of the state carry no hash: each is compared with the map, which
// says the same and has one for every node. That is some twenty nodes for each version, and anybody may give a package
// of his own as many versions as he likes, so it is done step by step: ten thousand at once made a replica deaf for
// half a second, and a million, which is a day's publishing, for a minute.
import { equalBytes } from '../../verifier/bytes.ts';
import { packageKey, releaseKey } from '../../verifier/map/keys.ts';
import {
  formatPackageRecord,
  formatReleaseRecord,
  type PackageRecord,
} from '../../verifier/map/records.ts';
import { lookupMap, type MapNodes } from '../../verifier/map/trie.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { DamagedStoreError } from './damage.ts';
import type { StateTables } from './state-tables.ts';
import type { PackageRow, VersionRow } from './store.ts';

/** How a package is read. */
export interface PackageReadBounds {
  /** Versions in an answer; of more the ones that were released last, with those of the same statement. */
  readonly versionsMax: number;
  /** Rows compared with the map before others get a turn: a few milliseconds. */
  readonly stepCount: number;
  /** Rows that are only looked through. */
  readonly pageCount: number;
  /** Times that a package is read which changes meanwhile. */
  readonly attemptsMax: number;
}

/** npm's largest packages have some thousand versions. Who releases all the time is shown a moment between two others. */
const BOUNDS: PackageReadBounds = {
  versionsMax: 10_000,
  stepCount: 64,
  pageCount: 2048,
  attemptsMax: 3,
};

/** Reads packages. */
export class PackageReads {
  readonly #state: Pick<StateTables, 'packageRecord' | 'releaseRecord' | 'releasesAfter'>;
  readonly #map: MapNodes;
  readonly #root: () => Hash;
  readonly #bounds: PackageReadBounds;

  /** @param root of the map after the last durable batch */
  constructor(
    state: Pick<StateTables, 'packageRecord' | 'releaseRecord' | 'releasesAfter'>,
    map: MapNodes,
    root: () => Hash,
    bounds: PackageReadBounds = BOUNDS,
  ) {
    this.#state = state;
    this.#map = map;
    this.#root = root;
    this.#bounds = bounds;
  }

  /**
   * The package, step by step. Batches may be committed between two steps: each version is as it was at one of these
   * moments, and the record is that of the first one, so all versions that it counts are there, up to `versionsMax`.
   *
   * @throws {DamagedStoreError} a row is not what the map says
   */
  *read(name: string): Generator<undefined, PackageRow | undefined, undefined> {
    for (let attempt = 1; ; attempt++) {
      const record = this.#state.packageRecord(name);
      this.requireSame(packageKey(name), record && formatPackageRecord(record));
      if (record === undefined) return undefined;
      const versions = yield* this.#versions(name);
      const isSame = isSameRecord(record, this.#state.packageRecord(name));
      if (isSame || attempt === this.#bounds.attemptsMax) return { name, record, versions };
    }
  }

  *#versions(name: string): Generator<undefined, readonly VersionRow[], undefined> {
    const { stepCount } = this.#bounds;
    const chosen = yield* this.#newest(name);
    const versions: VersionRow[] = [];
    for (const [i, version] of chosen.entries()) {
      if (i > 0 && i % stepCount === 0) yield;
      // Read again: it may have been withdrawn since, and is compared with the map of this moment.
      const record = this.#state.releaseRecord(name, version);
      this.requireSame(releaseKey(name, version), record && formatReleaseRecord(record));
      if (record !== undefined) versions.push({ version, record });
    }
    return versions;
  }

  /** Versions in the order of their names; of too many the ones that were released last. */
  *#newest(name: string): Generator<undefined, readonly string[], undefined> {
    const { versionsMax, pageCount } = this.#bounds;
    let kept: VersionRow[] = [];
    for (let after = ''; ;) {
      const page = this.#state.releasesAfter(name, after, pageCount);
      kept.push(...page);
      if (kept.length > 2 * versionsMax) kept = lastReleased(kept, versionsMax);
      const last = page.at(-1);
      if (last === undefined || page.length < pageCount) break;
      after = last.version;
      yield;
    }
    const left = kept.length > versionsMax ? lastReleased(kept, versionsMax) : kept;
    return left.map(({ version }) => version);
  }

  /**
   * Compares a row's value with the map after the last durable batch.
   *
   * @param value `undefined` when there is no row
   * @throws {DamagedStoreError} they are not the same
   */
  requireSame(key: Uint8Array, value: Uint8Array | undefined): void {
    const expected = lookupMap(this.#map, this.#root(), key);
    const isSame =
      expected === undefined || value === undefined
        ? expected === value
        : equalBytes(expected, value);
    if (!isSame) throw new DamagedStoreError('a row of the state is not what the map says');
  }
}

/** The rows with the highest leaves, in the order in which they are; a few more when one statement released them. */
function lastReleased(rows: readonly VersionRow[], countMax: number): VersionRow[] {
  const leaves = rows.map(({ record }) => record.index).sort((a, b) => b - a);
  const least = leaves[countMax - 1] ?? 0;
  return rows.filter(({ record }) => record.index >= least);
}

function isSameRecord(a: PackageRecord, b: PackageRecord | undefined): boolean {
  return b !== undefined && equalBytes(formatPackageRecord(a), formatPackageRecord(b));
}
