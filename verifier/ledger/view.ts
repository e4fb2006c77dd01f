// What the rules of the ledger read. The state is a pure function of the entries in the log, so any
// implementation (the replica's database, an auditor's memory) gives the same answers, and the rules
// decide alike everywhere.
import type { Envelope } from '../dsse.ts';
import type { PackageRecord, ReleaseRecord } from '../map/records.ts';
import type { MapNodes } from '../map/trie.ts';
import type { CompactRange } from '../merkle/compact-range.ts';
import type { Hash } from '../merkle/hash.ts';
import type { Roster } from '../roster.ts';
import type { MaintainerSet } from '../statements/maintainers.ts';

/** Where the log stands after its last batch. */
export interface LedgerTip {
  /** Epoch that the next batch belongs to. */
  readonly epoch: number;
  /** Height of the last batch; 0 before the first. */
  readonly height: number;
  /** Leaves in the log. */
  readonly size: number;
  readonly root: Hash;
  /** Agreed time of the last batch, Unix seconds; 0 before the first. The next is not smaller. */
  readonly timeSeconds: number;
  /** Root of the map. */
  readonly map: Hash;
  /** Leaf hash of the last commit entry; `null` before the first batch. */
  readonly commitLeaf: Hash | null;
}

/** A maintainer set and where it is in the log. */
export interface SetInForce {
  readonly set: MaintainerSet;
  /** SHA-256 of its payload, hex: what the next set names as `previous`. */
  readonly hash: string;
  readonly index: number;
}

/** How many entries touched a package in one window of agreed time. */
export interface PackageActivity {
  /** Number of the window: floor(seconds / RATE_WINDOW_SECONDS). */
  readonly window: number;
  readonly entries: number;
}

/** A version of a package and whether it may still be installed. */
export interface VersionStatus {
  readonly version: string;
  readonly status: ReleaseRecord['status'];
}

/** The state that one submission is judged against. Reads are synchronous and see one moment. */
export interface LedgerView {
  readonly tip: LedgerTip;
  readonly roster: Roster;
  /** The signed envelope of `roster`: where the chain goes on from. */
  readonly rosterEnvelope: Envelope;
  /** Leaf index of the entry with this payload hash (hex). */
  statementIndex(hash: string): number | undefined;
  packageRecord(name: string): PackageRecord | undefined;
  releaseRecord(name: string, version: string): ReleaseRecord | undefined;
  /** The set in force, i.e. the one with the highest sequence. */
  maintainerSet(name: string): SetInForce | undefined;
  /** All versions of a package, in any order. */
  versions(name: string): readonly VersionStatus[];
  /** A claimed name whose folded form (npm/name.ts `foldName`) is this one. */
  nameLike(folded: string): string | undefined;
  activity(name: string): PackageActivity | undefined;
  /** Root of the log at an earlier size; `undefined` above the present size. */
  rootAt(size: number): Hash | undefined;
}

/** The state that a batch is executed on. */
export interface BatchBase extends LedgerView {
  /** The log's right edge: the compact range [0, tip.size). */
  readonly range: CompactRange;
  readonly mapNodes: MapNodes;
}
