// A scratch copy of the ledger's state: reads go through to the base, changes stay here. A later entry
// of a batch sees what an earlier one did, and nothing is lost when the batch is thrown away.
import type { Envelope } from '../dsse.ts';
import { assert } from '../errors.ts';
import type { PackageRecord, ReleaseRecord, ReleaseStatus } from '../map/records.ts';
import type { Hash } from '../merkle/hash.ts';
import { foldName } from '../npm/name.ts';
import type { Roster } from '../roster.ts';
import type { Effect } from './effect.ts';
import { RankedVersions, latestWith } from './latest.ts';
import { activityAfter } from './limits.ts';
import type { LedgerTip, LedgerView, PackageActivity, SetInForce, VersionStatus } from './view.ts';

/** Everything that a batch changed, in the state's own terms. */
export interface LedgerChanges {
  /** By name. */
  readonly packages: ReadonlyMap<string, PackageChange>;
  readonly releases: readonly ReleaseChange[];
  /** New maintainer sets, in log order. */
  readonly sets: readonly SetChange[];
  readonly statements: readonly StatementChange[];
  /** The roster that the batch puts in force. */
  readonly roster: { readonly roster: Roster; readonly envelope: Envelope } | undefined;
}

/** A package's state after the batch. */
export interface PackageChange {
  readonly record: PackageRecord;
  readonly activity: PackageActivity;
  /** `foldName` of its name. */
  readonly folded: string;
}

/** A release's state after the batch. */
export interface ReleaseChange {
  readonly name: string;
  readonly version: string;
  readonly record: ReleaseRecord;
}

/** A maintainer set that the batch put in force. */
export interface SetChange extends SetInForce {
  readonly name: string;
}

/** A statement and its leaf. */
export interface StatementChange {
  readonly id: string;
  readonly index: number;
}

/** The state with the changes of some entries. */
export class Scratch implements LedgerView {
  readonly #base: LedgerView;
  readonly #timeSeconds: number;
  readonly #packages = new Map<string, PackageChange>();
  readonly #folded = new Map<string, string>();
  // By name, then version.
  readonly #releases = new Map<string, Map<string, ReleaseRecord>>();
  /** Installable versions of packages that lost their latest, by name; kept up to date from then on. */
  readonly #ranked = new Map<string, RankedVersions>();
  readonly #inForce = new Map<string, SetInForce>();
  readonly #sets: SetChange[] = [];
  readonly #statements = new Map<string, number>();
  #next: { readonly roster: Roster; readonly envelope: Envelope } | undefined;

  /** @param timeSeconds agreed time of the batch */
  constructor(base: LedgerView, timeSeconds: number) {
    this.#base = base;
    this.#timeSeconds = timeSeconds;
  }

  // Heads that signers saw are those of committed batches: the batch in the making has no size yet.
  get tip(): LedgerTip {
    return this.#base.tip;
  }

  // A new roster takes effect after its batch (CONSENSUS E2).
  get roster(): Roster {
    return this.#base.roster;
  }

  get rosterEnvelope(): Envelope {
    return this.#base.rosterEnvelope;
  }

  rootAt(size: number): Hash | undefined {
    return this.#base.rootAt(size);
  }

  statementIndex(hash: string): number | undefined {
    return this.#statements.get(hash) ?? this.#base.statementIndex(hash);
  }

  packageRecord(name: string): PackageRecord | undefined {
    return this.#packages.get(name)?.record ?? this.#base.packageRecord(name);
  }

  releaseRecord(name: string, version: string): ReleaseRecord | undefined {
    return this.#releases.get(name)?.get(version) ?? this.#base.releaseRecord(name, version);
  }

  maintainerSet(name: string): SetInForce | undefined {
    return this.#inForce.get(name) ?? this.#base.maintainerSet(name);
  }

  versions(name: string): readonly VersionStatus[] {
    const changed = this.#releases.get(name);
    if (changed === undefined) return this.#base.versions(name);
    const unchanged = this.#base.versions(name).filter(({ version }) => !changed.has(version));
    return [...unchanged, ...[...changed].map(([version, { status }]) => ({ version, status }))];
  }

  nameLike(folded: string): string | undefined {
    return this.#folded.get(folded) ?? this.#base.nameLike(folded);
  }

  activity(name: string): PackageActivity | undefined {
    return this.#packages.get(name)?.activity ?? this.#base.activity(name);
  }

  /**
   * Makes an entry's changes.
   *
   * @param id    hash of its payload
   * @param index the leaf that the entry becomes
   */
  apply(effect: Effect, id: string, index: number): void {
    this.#statements.set(id, index);
    switch (effect.kind) {
      case 'maintainers':
        return this.#putSet({ name: effect.name, set: effect.set, hash: effect.hash, index });
      case 'release':
        return this.#putReleases(effect.releases, effect.statement, index);
      case 'withdrawal':
        return this.#putStatus(effect.name, effect.version, effect.status, index);
      case 'roster':
        this.#next = { roster: effect.roster, envelope: effect.envelope };
        return;
    }
  }

  /** What has changed. */
  changes(): LedgerChanges {
    return {
      packages: this.#packages,
      releases: [...this.#releases].flatMap(([name, versions]) =>
        [...versions].map(([version, record]) => ({ name, version, record })),
      ),
      sets: this.#sets,
      statements: [...this.#statements].map(([id, index]) => ({ id, index })),
      roster: this.#next,
    };
  }

  #putSet(change: SetChange): void {
    const { name, set, index } = change;
    const before = this.packageRecord(name);
    this.#inForce.set(name, change);
    this.#sets.push(change);
    this.#putPackage(name, {
      maintainers: index,
      sequence: set.sequence,
      releases: before?.releases ?? 0,
      latest: before?.latest ?? null,
    });
  }

  #putReleases(
    releases: readonly { readonly name: string; readonly version: string }[],
    statement: string,
    index: number,
  ): void {
    const records = new Map<string, PackageRecord>();
    for (const { name, version } of releases) {
      const before = records.get(name) ?? this.#requirePackage(name);
      this.#putRelease(name, version, { index, statement, status: 'active', withdrawal: null });
      records.set(name, {
        ...before,
        releases: before.releases + 1,
        latest: latestWith(before.latest, version),
      });
    }
    // Once for each package: an entry counts once against a package's rate, however many versions it
    // binds.
    for (const [name, record] of records) this.#putPackage(name, record);
  }

  #putStatus(name: string, version: string, status: ReleaseStatus, index: number): void {
    const before = this.releaseRecord(name, version);
    assert(before !== undefined, 'a withdrawal that was admitted names a release');
    this.#putRelease(name, version, { ...before, status, withdrawal: index });
    const record = this.#requirePackage(name);
    this.#putPackage(name, { ...record, latest: this.#latestAfter(name, version, status) });
  }

  // Only losing the latest version needs a look at all of them, and only the first time.
  #latestAfter(name: string, version: string, status: ReleaseStatus): string | null {
    const { latest } = this.#requirePackage(name);
    if (status === 'active') return latestWith(latest, version);
    if (latest !== version) return latest;
    let ranked = this.#ranked.get(name);
    if (ranked === undefined) {
      const active = this.versions(name).filter((other) => other.status === 'active');
      ranked = new RankedVersions(active.map((other) => other.version));
      this.#ranked.set(name, ranked);
    }
    return ranked.latest((other) => this.releaseRecord(name, other)?.status === 'active');
  }

  #putRelease(name: string, version: string, record: ReleaseRecord): void {
    const versions = this.#releases.get(name) ?? new Map<string, ReleaseRecord>();
    versions.set(version, record);
    this.#releases.set(name, versions);
    if (record.status === 'active') this.#ranked.get(name)?.add(version);
  }

  #putPackage(name: string, record: PackageRecord): void {
    const folded = foldName(name);
    this.#folded.set(folded, name);
    const activity = activityAfter(this.activity(name), this.#timeSeconds);
    this.#packages.set(name, { record, activity, folded });
  }

  #requirePackage(name: string): PackageRecord {
    const record = this.packageRecord(name);
    assert(
      record !== undefined,
      'a release or withdrawal that was admitted is of a claimed package',
    );
    return record;
  }
}
