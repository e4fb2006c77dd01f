// The ledger's state in memory, for tests, simulators, and audits that go on from a saved one. Memory grows
// with the log, 5,000 bytes with each release: a replica uses its tables instead, an auditor pages.
import { statementHash, type Envelope } from '../dsse.ts';
import { encodeHex } from '../encoding.ts';
import { assert } from '../errors.ts';
import { EMPTY_MAP_ROOT, type MapNode } from '../map/node.ts';
import type { PackageRecord, ReleaseRecord } from '../map/records.ts';
import { updateMap, type MapNodes, type MapUpdate } from '../map/trie.ts';
import { CompactRange } from '../merkle/compact-range.ts';
import { EMPTY_ROOT, type Hash } from '../merkle/hash.ts';
import { rangeRoot } from '../merkle/ranges.ts';
import { parseRoster, type Roster } from '../roster.ts';
import { mapChanges, type BatchExecution } from './batch.ts';
import type { LedgerRows, PackageRow, ReplayLedger, StatementRow } from './replay-ledger.ts';
import type { PackageChange, ReleaseChange } from './scratch.ts';
import type { LedgerTip, PackageActivity, SetInForce, VersionStatus } from './view.ts';

/** A ledger's state as plain tables, to be kept between two audits. */
export interface LedgerContents {
  readonly tip: Omit<LedgerTip, 'size' | 'root' | 'epoch'>;
  /** The roster in force for the next batch, signed. */
  readonly rosterEnvelope: Envelope;
  /** Indexes of statements by payload hash, hex. */
  readonly statements: ReadonlyMap<string, number>;
  /** By name; each has a set in force. */
  readonly packages: ReadonlyMap<string, PackageChange>;
  readonly sets: ReadonlyMap<string, SetInForce>;
  /** By name, then version. */
  readonly releases: ReadonlyMap<string, ReadonlyMap<string, ReleaseRecord>>;
}

/** A log replayed from its beginning. */
export class MemoryLedger implements ReplayLedger {
  #tip: LedgerTip;
  #roster: Roster;
  #rosterEnvelope: Envelope;
  #range: CompactRange = CompactRange.EMPTY;
  readonly #nodes = new Map<string, Hash>();
  readonly #mapNodes = new Map<string, MapNode>();
  readonly #statements = new Map<string, number>();
  readonly #packages = new Map<string, PackageChange>();
  readonly #folded = new Map<string, string>();
  readonly #sets = new Map<string, SetInForce>();
  // By name, then version.
  readonly #releases = new Map<string, Map<string, ReleaseRecord>>();

  /** @param genesis the signed roster of epoch 0, whose signatures have been checked */
  constructor(genesis: Envelope) {
    this.#rosterEnvelope = genesis;
    this.#roster = parseRoster(genesis.payload);
    assert(this.#roster.hash === statementHash(genesis.payload), 'a roster has its own hash');
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

  /**
   * A ledger with the state that another one had. Whoever kept it checks it: that the leaves lead to a
   * cosigned root, and that the tables lead to the map root in the last commit entry.
   *
   * @param leaves all leaf hashes of the log, in order
   * @returns the ledger, and the map root that its tables lead to
   */
  static restore(
    contents: LedgerContents,
    leaves: Iterable<Hash>,
  ): { readonly ledger: MemoryLedger; readonly mapRoot: Hash } {
    const ledger = new MemoryLedger(contents.rosterEnvelope);
    for (const leaf of leaves) {
      ledger.#range = ledger.#range.append(leaf, (level, index, hash) => {
        ledger.#nodes.set(`${level}/${index}`, hash);
      });
    }
    ledger.#putAll(contents);
    const { range } = ledger;
    const { epoch } = ledger.#roster;
    ledger.#tip = { ...contents.tip, epoch, size: range.size, root: range.root() };
    const map = ledger.#wholeMap();
    ledger.#putMapNodes(map);
    return { ledger, mapRoot: map.root };
  }

  #putAll({ statements, packages, sets, releases }: LedgerContents): void {
    for (const [id, index] of statements) this.#statements.set(id, index);
    for (const [name, set] of sets) this.#sets.set(name, set);
    for (const [name, change] of packages) {
      this.#packages.set(name, change);
      this.#folded.set(change.folded, name);
    }
    for (const [name, versions] of releases) this.#releases.set(name, new Map(versions));
  }

  #putMapNodes({ added, removed }: MapUpdate): void {
    // Nobody reads an older map here. With the nodes of all of them, a long replay would need many
    // times the memory.
    for (const hash of removed) this.#mapNodes.delete(encodeHex(hash));
    for (const node of added) this.#mapNodes.set(encodeHex(node.hash), node);
  }

  /** The state as tables; views, not copies. The tree's hashes are the caller's to keep. */
  contents(): LedgerContents {
    return {
      tip: this.#tip,
      rosterEnvelope: this.#rosterEnvelope,
      statements: this.#statements,
      packages: this.#packages,
      sets: this.#sets,
      releases: this.#releases,
    };
  }

  get rows(): LedgerRows {
    let releases = 0;
    for (const versions of this.#releases.values()) releases += versions.size;
    const [packages, statements] = [this.#packages.size, this.#statements.size];
    return {
      counts: { packages, releases, statements },
      statements: () => this.#statementRows(),
      packages: () => this.#packageRows(),
      releases: () => this.#releaseRows(),
    };
  }

  *#statementRows(): Generator<StatementRow> {
    for (const [id, index] of this.#statements) yield { id, index };
  }

  *#packageRows(): Generator<PackageRow> {
    for (const [name, change] of this.#packages) yield { name, change };
  }

  *#releaseRows(): Generator<ReleaseChange> {
    for (const [name, versions] of this.#releases) {
      for (const [version, record] of versions) yield { name, version, record };
    }
  }

  /** How many map nodes are held: those of the present map. */
  get mapNodeCount(): number {
    return this.#mapNodes.size;
  }

  #wholeMap(): MapUpdate {
    const releases = [...this.#releases].flatMap(([name, versions]) =>
      [...versions].map(([version, record]) => ({ name, version, record })),
    );
    const none: MapNodes = { get: () => undefined };
    return updateMap(none, EMPTY_MAP_ROOT, mapChanges({ packages: this.#packages, releases }));
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
    return { get: (hash) => this.#mapNodes.get(encodeHex(hash)) };
  }

  advance(execution: BatchExecution): void {
    assert(execution.height === this.#tip.height + 1, 'batches come one after the other');
    const { changes, map, nodes, range } = execution;
    for (const { level, index, hash } of nodes) this.#nodes.set(`${level}/${index}`, hash);
    this.#putMapNodes(map);
    for (const { id, index } of changes.statements) this.#statements.set(id, index);
    for (const [name, change] of changes.packages) {
      this.#packages.set(name, change);
      this.#folded.set(change.folded, name);
    }
    for (const { name, ...set } of changes.sets) this.#sets.set(name, set);
    for (const { name, version, record } of changes.releases) {
      const versions = this.#releases.get(name) ?? new Map<string, ReleaseRecord>();
      versions.set(version, record);
      this.#releases.set(name, versions);
    }
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

  statementIndex(hash: string): number | undefined {
    return this.#statements.get(hash);
  }

  packageRecord(name: string): PackageRecord | undefined {
    return this.#packages.get(name)?.record;
  }

  releaseRecord(name: string, version: string): ReleaseRecord | undefined {
    return this.#releases.get(name)?.get(version);
  }

  maintainerSet(name: string): SetInForce | undefined {
    return this.#sets.get(name);
  }

  versions(name: string): readonly VersionStatus[] {
    const releases = this.#releases.get(name) ?? new Map<string, ReleaseRecord>();
    return [...releases].map(([version, { status }]) => ({ version, status }));
  }

  nameLike(folded: string): string | undefined {
    return this.#folded.get(folded);
  }

  activity(name: string): PackageActivity | undefined {
    return this.#packages.get(name)?.activity;
  }

  rootAt(size: number): Hash | undefined {
    if (size > this.#tip.size) return undefined;
    return rangeRoot(0, size, (level, index) => {
      const hash = this.#nodes.get(`${level}/${index}`);
      assert(hash !== undefined, 'a perfect subtree below the size is complete');
      return hash;
    });
  }
}
