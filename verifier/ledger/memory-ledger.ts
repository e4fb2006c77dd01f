// The ledger's state in memory, for whoever replays a log without a database: auditors and tests.
// Memory grows with the log; a replica uses its tables instead.
import { statementHash, type Envelope } from '../dsse.ts';
import { encodeHex } from '../encoding.ts';
import { assert } from '../errors.ts';
import { EMPTY_MAP_ROOT, type MapNode } from '../map/node.ts';
import type { PackageRecord, ReleaseRecord } from '../map/records.ts';
import type { MapNodes } from '../map/trie.ts';
import { CompactRange } from '../merkle/compact-range.ts';
import { EMPTY_ROOT, type Hash } from '../merkle/hash.ts';
import { rangeRoot } from '../merkle/ranges.ts';
import { parseRoster, type Roster } from '../roster.ts';
import type { BatchExecution } from './batch.ts';
import type { PackageChange } from './scratch.ts';
import type { BatchBase, LedgerTip, PackageActivity, SetInForce, VersionStatus } from './view.ts';

/** A log replayed from its beginning. */
export class MemoryLedger implements BatchBase {
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

  /** Moves on to a batch that was executed on the present state. */
  advance(execution: BatchExecution): void {
    assert(execution.height === this.#tip.height + 1, 'batches come one after the other');
    const { changes, map, nodes, range } = execution;
    for (const { level, index, hash } of nodes) this.#nodes.set(`${level}/${index}`, hash);
    for (const node of map.added) this.#mapNodes.set(encodeHex(node.hash), node);
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
