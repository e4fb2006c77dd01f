// The storage port of a replica: one atomic durable write, and reads. The default behind it is SQLite
// and a folder of artifacts (sqlite-store.ts, artifacts.ts); a large deployment can put a database
// server and object storage behind the same interface.
import type { EvidenceQuery } from '../../verifier/evidence/build.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import type { PackageRecord, ReleaseRecord } from '../../verifier/map/records.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import type { Roster } from '../../verifier/roster.ts';
import type {
  Certificate,
  CommittedRecord,
  DurableState,
  Header,
  Write,
} from '../consensus/types.ts';

/** What became of a submission that was committed. */
export interface CommittedSubmission {
  readonly id: string;
  readonly index: number;
}

/** A signed checkpoint that has a quorum of cosignatures. */
export interface StoredCheckpoint {
  readonly size: number;
  readonly height: number;
  /** The note, as clients get it. */
  readonly note: string;
}

/** Everything the public registry view says about a version. */
export interface VersionRow {
  readonly version: string;
  readonly record: ReleaseRecord;
}

/** A package as the registry view needs it. */
export interface PackageRow {
  readonly name: string;
  readonly record: PackageRecord;
  /** In the order of their texts; of more than ten thousand the ones that were released last. */
  readonly versions: readonly VersionRow[];
}

/** Who wrote this database; compared with the key file before anything is signed (CONSENSUS C5). */
export interface StoreIdentity {
  readonly origin: string;
  readonly replica: string;
  /** Hash of the epoch 0 roster. */
  readonly genesis: string;
  /** Random name of this database, 32 hex digits, made once: what the key file remembers. */
  readonly generation: string;
}

/**
 * Durable state.
 *
 * Consistency: every read sees the result of all writes whose promise has resolved and of none that
 * has not. `write` is all or nothing, also across a power failure; when its promise resolves the data
 * is on the disk (fsync returned). After one failed write `halted` is set for good, every later write
 * is refused and reads go on: what an fsync that failed has lost is unknown, so nothing may be signed
 * on top of it (CONSENSUS C6).
 */
export interface Store {
  readonly identity: StoreIdentity;
  /** Why writing has stopped; `undefined` while all is well. */
  readonly halted: Error | undefined;

  /** Stops writing for good: somebody found that what is stored can't be trusted. */
  halt(error: Error): void;
  /**
   * Gives the database a name that no keys know, durably: nobody ever votes with it again, whatever it
   * learns from others from here on.
   */
  disown(): Promise<void>;
  /** Calls `listener` when writing stops, at once when it has. */
  onHalted(listener: (error: Error) => void): void;

  /** One durable transaction. @throws {Error} on the first failure and ever after */
  write(writes: readonly Write[]): Promise<void>;
  /** What the consensus core goes on from after a restart. */
  consensusState(): Promise<DurableState>;

  /** Committed batches from `fromHeight` upwards: at least one if there is one, at most `bytesMax` of bodies. */
  batches(fromHeight: number, bytesMax: number): Promise<readonly CommittedRecord[]>;
  header(height: number): Promise<{ header: Header; certificate: Certificate } | undefined>;

  /** The newest checkpoint with a quorum of cosignatures. */
  checkpoint(): Promise<StoredCheckpoint | undefined>;
  /** Makes a note the newest checkpoint; durable. An older size than the present one is ignored. */
  putCheckpoint(note: string, size: number): Promise<void>;

  /** Bytes of a Merkle tile: `width` (1 to 256) hashes; `undefined` when the log is too small. */
  tile(level: number, index: number, width: number): Promise<Uint8Array | undefined>;
  /** Bytes of an entry bundle of `width` (1 to 256) entries. */
  entryBundle(index: number, width: number): Promise<Uint8Array | undefined>;
  entry(index: number): Promise<Uint8Array | undefined>;
  rootAt(size: number): Promise<Hash | undefined>;

  /** All roster envelopes from epoch 0. */
  rosterEnvelopes(): Promise<readonly Envelope[]>;
  /** The roster that the next batch belongs to. */
  roster(): Promise<Roster>;

  submission(id: string): Promise<CommittedSubmission | undefined>;
  /** Others get their turn while it is read: each version is as it was at one moment since. */
  package(name: string): Promise<PackageRow | undefined>;
  release(name: string, version: string): Promise<ReleaseRecord | undefined>;

  /**
   * Evidence for subjects under the newest checkpoint.
   *
   * @returns the document's text in pieces, most of which are shared with other answers; `undefined` before the
   *          first checkpoint or for an unknown pin
   */
  evidence(request: EvidenceQuery): Promise<readonly string[] | undefined>;

  close(): Promise<void>;
}
