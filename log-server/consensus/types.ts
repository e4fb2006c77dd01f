// The border between the pure core and its driver (CONSENSUS.md 2.17).
//
// The driver owns the only `Replica` of a process and calls `step(input)` one at a time. Each call
// returns one `Ready`. The driver's whole duty is:
//
//  1. persist: write `persist.writes` in one atomic transaction, *in the order of the tokens* (several
//     requests may share a transaction), wait until it is durable (fsync), then step `persisted`.
//     On any failure step `persist-failed` and never retry (C6).
//  2. sign: sign each request at once and step `signed`. A request appears here only after the records
//     that it depends on are durable: the core holds it back until `persisted`. That is all of P1-P7;
//     the driver need not know which message depends on which record.
//  3. send: encode each message once and queue it for each of `to`. Losing it is harmless (T1).
//  4. build, check, admit, serve: hand to the application, step the answer. They see the state of all
//     earlier `persist` writes: queue them behind those writes. lookAhead has no answer, and may be late.
//  5. committed, contradicted, cosigned, evidence, events: news. The first two only once durable.
//     Evidence is made durable, and then stepped as `evidence-kept`: from then on the others get it.
//
// A message from a peer goes: decodeMessage (bounded) -> replica.wants(from, message) -> planMessage
// and its signatures -> step `receive`. At most one verification per peer and kind is in flight.
import type { Roster } from '../../verifier/roster.ts';
import type {
  Batch,
  Certificate,
  CommittedRecord,
  CosignMessage,
  Digest,
  Header,
  LastCommitted,
  Message,
  NewViewContent,
  PeerId,
  ReplicaIndex,
  Request,
  VerifiedMessage,
  ViewChangeContent,
  Vote,
} from '../../verifier/replication/messages.ts';
import type { IncrementalHash } from '../../verifier/replication/encode.ts';
import type { Misbehaviour } from '../../verifier/replication/misbehaviour.ts';
import type { MutantName } from '../../verifier/replication/mutants.ts';

export type * from '../../verifier/replication/messages.ts';
export type { Misbehaviour } from '../../verifier/replication/misbehaviour.ts';

// ---- inputs -------------------------------------------------------------------------------------

/** Everything that can happen to a replica. */
export type Input =
  /** A checked message of a peer. */
  | { readonly kind: 'receive'; readonly message: VerifiedMessage }
  /** One tick has passed. `wallMs` is the wall clock, used for N5 and nothing else. */
  | { readonly kind: 'tick'; readonly wallMs: number }
  /** A client's submission that the application has admitted (Q1). */
  | { readonly kind: 'submit'; readonly request: Request }
  | { readonly kind: 'admitted'; readonly answer: AdmitAnswer }
  | { readonly kind: 'built'; readonly token: number; readonly result: BuildResult }
  | { readonly kind: 'checked'; readonly token: number; readonly result: CheckResult }
  /** The writes of this token, and of every token before it, are durable. */
  | { readonly kind: 'persisted'; readonly token: number }
  | { readonly kind: 'persist-failed' }
  /** A proof from `Ready.evidence` is durable; also, after a start, each one kept before, checked again. */
  | { readonly kind: 'evidence-kept'; readonly report: Misbehaviour }
  /** It could not be made durable: whoever has it may tell it again. */
  | { readonly kind: 'evidence-lost'; readonly report: Misbehaviour }
  | SignedInput;

/** A signature that was asked for; `time` (unix seconds) only with a cosignature. */
export type SignedInput =
  | {
      readonly kind: 'signed';
      readonly request: VoteSignRequest;
      readonly signature: Uint8Array;
    }
  | {
      readonly kind: 'cosigned';
      readonly request: CosignRequest;
      readonly time: number;
      readonly signature: Uint8Array;
    };

/** The application's answer to a `BuildRequest`. */
export interface BuildResult {
  /** What to propose; absent when none of the requests is valid now. */
  readonly proposal: (Batch & CheckedContent) | undefined;
  /** Requests that broke a rule: they leave the pool. Those merely left out stay. */
  readonly refused: readonly Digest[];
}

/** What the application read out of a body that it found valid. */
export interface CheckedContent {
  /** The requests that the body carries. */
  readonly ids: readonly Digest[];
  /** The roster that the body puts in force; its hash is `header.nextRoster`. */
  readonly nextRoster: Roster | undefined;
}

/** The application's answer to a `CheckRequest`. */
export type CheckResult =
  | ({ readonly kind: 'valid' } & CheckedContent)
  /** Breaks a rule on every correct replica, whatever it holds (N4). */
  | { readonly kind: 'invalid'; readonly reason: string }
  /** Could not be checked here, now: an artifact could not be fetched within the driver's bound. */
  | { readonly kind: 'unavailable'; readonly reason: string };

/** The application's answer to an `AdmitRequest`. */
export interface AdmitAnswer {
  readonly lane: PeerId;
  readonly recheck: boolean;
  readonly accepted: readonly Request[];
  /** Ids of those that are invalid, or committed already. */
  readonly refused: readonly Digest[];
}

// ---- effects ------------------------------------------------------------------------------------

/** What the driver has to do after a step. Absent and empty mean nothing. */
export interface Ready {
  readonly persist: PersistRequest | undefined;
  readonly sign: readonly SignRequest[];
  readonly send: readonly Outbound[];
  readonly build: BuildRequest | undefined;
  readonly check: readonly CheckRequest[];
  readonly admit: readonly AdmitRequest[];
  readonly serve: readonly ServeRequest[];
  readonly lookAhead: readonly LookAheadRequest[];
  readonly committed: readonly CommittedBatch[];
  /** Cosignatures of roots that the log has not, or may not have, at sizes that are durable here. */
  readonly contradicted: readonly CosignMessage[];
  readonly cosigned: CosignedCheckpoint | undefined;
  readonly evidence: readonly Misbehaviour[];
  readonly events: readonly CoreEvent[];
  /** Why the input changed nothing; counted by the driver, never an error. */
  readonly ignored: IgnoreReason | undefined;
}

export interface PersistRequest {
  /** Grows with every request of a process; `persisted` covers all requests up to its token. */
  readonly token: number;
  readonly writes: readonly Write[];
}

/** Names of the single-value durable records (2.2); each value replaces the one before. */
export type RecordName = 'promise' | 'prepared' | 'view-change' | 'new-view';

/** One durable change. Those of one request are applied together or not at all. */
export type Write =
  /** Sets or (undefined) deletes one record. The value is opaque to the store. */
  | {
      readonly kind: 'record';
      readonly name: RecordName;
      readonly value: Uint8Array | undefined;
    }
  /** Keeps a proposed batch, so that a prepare certificate implies copies of its body (P1). */
  | ({ readonly kind: 'body'; readonly digest: Digest } & Batch)
  | { readonly kind: 'drop-body'; readonly digest: Digest }
  /**
   * The batch is decided (N8): append its entries, tree nodes and map changes, keep
   * (header, certificate) under its height, and delete every kept body. With `nextRoster` this ends
   * the epoch (P7): keep that roster under its epoch too.
   */
  | ({
      readonly kind: 'commit';
      readonly digest: Digest;
      readonly nextRoster: Roster | undefined;
    } & CommittedRecord)
  /** Audit trail of view changes; the store keeps the newest thousand. */
  | {
      readonly kind: 'transcript';
      readonly epoch: number;
      readonly view: number;
      readonly newView: Uint8Array;
    };

/** What the driver hands to the core at start: the state after the last durable transaction. */
export interface DurableState {
  /** In force for the next height. */
  readonly roster: Roster;
  /** Header that the epoch started from: the closing one of the epoch before, or genesis. */
  readonly epochStart: Header;
  readonly committed: LastCommitted;
  readonly records: ReadonlyMap<RecordName, Uint8Array>;
  readonly bodies: readonly Batch[];
}

export type SignRequest = VoteSignRequest | CosignRequest;

/** Sign `bytes` with the vote key and answer with `signed`. */
export interface VoteSignRequest {
  readonly key: 'vote';
  readonly bytes: Uint8Array;
  readonly content: SignedContent;
}

/** What a vote-key signature is about. */
export type SignedContent =
  | { readonly kind: 'pre-prepare'; readonly vote: Vote }
  | { readonly kind: 'prepare'; readonly vote: Vote }
  | { readonly kind: 'commit'; readonly vote: Vote }
  | { readonly kind: 'view-change'; readonly content: ViewChangeContent }
  | { readonly kind: 'new-view'; readonly content: NewViewContent };

/**
 * Sign C2SP `cosignature/v1` for this checkpoint with the cosign key at the present time and answer
 * with `cosigned`.
 */
export interface CosignRequest {
  readonly key: 'cosign';
  readonly epoch: number;
  readonly height: number;
  readonly size: number;
  readonly root: Digest;
}

export interface Outbound {
  readonly to: readonly PeerId[];
  readonly message: Message;
}

/** Execute these requests, in this order, on a scratch copy and fill a header (N1). */
export interface BuildRequest {
  readonly token: number;
  readonly epoch: number;
  readonly height: number;
  readonly parent: Digest;
  /** The header's `timestampMs` must be greater than this. */
  readonly parentTimestampMs: number;
  readonly requests: readonly Request[];
}

/** Execute this body against the committed state and compare with its header (N4). */
export interface CheckRequest extends Batch {
  readonly token: number;
  readonly digest: Digest;
  /** A commit certificate is known: the artifacts may be fetched later. */
  readonly decided: boolean;
  /** Who probably holds the artifacts, best first. */
  readonly holders: readonly PeerId[];
}

/** Check these submissions by the ledger's rules and answer with `admitted`. */
export interface AdmitRequest {
  readonly lane: PeerId;
  /** Asks again about requests already in the pool, before somebody is suspected of censoring them. */
  readonly recheck: boolean;
  readonly requests: readonly Request[];
}

/** Send `to` the committed batches from this height on (catch-up.ts, `collectBatches`). */
export interface ServeRequest {
  readonly to: PeerId;
  readonly fromHeight: number;
}

/**
 * Look at requests that the leader will probably propose: check their signatures, fetch their artifacts.
 * Behind everything that somebody waits for, and without an answer.
 */
export interface LookAheadRequest {
  readonly from: PeerId;
  readonly requests: readonly Request[];
}

export interface CommittedBatch {
  readonly header: Header;
  readonly digest: Digest;
  readonly ids: readonly Digest[];
  readonly certificate: Certificate;
}

/** A checkpoint with cosignatures of quorum weight; all are verified, so one bad line can't spoil it. */
export interface CosignedCheckpoint {
  readonly epoch: number;
  readonly height: number;
  readonly size: number;
  readonly root: Digest;
  readonly cosignatures: readonly {
    readonly signer: ReplicaIndex;
    readonly time: number;
    readonly signature: Uint8Array;
  }[];
}

/** What happened, for logs and transcripts. */
export type CoreEvent =
  | { readonly event: 'view-entered'; readonly epoch: number; readonly view: number }
  | {
      readonly event: 'view-active';
      readonly epoch: number;
      readonly view: number;
      readonly base: number;
      readonly mandate: Digest | undefined;
    }
  | { readonly event: 'wish'; readonly view: number; readonly cause: WishCause }
  | { readonly event: 'proposal-refused'; readonly height: number; readonly reason: string }
  | { readonly event: 'epoch-started'; readonly epoch: number; readonly member: boolean }
  | { readonly event: 'halted'; readonly reason: string };

/** W2, W4. */
export type WishCause =
  | 'timer'
  | 'starved'
  | 'slow'
  | 'bad-proposal'
  | 'unavailable'
  | 'equivocation'
  | 'behind'
  | 'others';

/** Why an input was of no use. One counter each. */
export type IgnoreReason =
  | 'halted'
  | 'not-member'
  | 'unknown-sender'
  | 'other-epoch'
  | 'wrong-signer'
  | 'old-view'
  | 'old-height'
  | 'far-height'
  | 'duplicate'
  | 'slot-taken'
  | 'not-leader'
  | 'not-asked'
  | 'not-held'
  | 'too-often'
  | 'lane-full'
  | 'pool-full'
  | 'known-offender'
  | 'hearsay'
  | 'stale-token'
  | 'malformed';

/** The answer of `Replica.wants`. */
export type Usefulness =
  | { readonly useful: true }
  | { readonly useful: false; readonly reason: IgnoreReason };

// ---- configuration ------------------------------------------------------------------------------

/** Limits that every replica of a log must share: they are part of what a valid batch is. */
export interface Limits {
  /** Requests in a batch, not counting the commit entry that ends it. */
  readonly batchRequestsMax: number;
  /** Bytes of all entries of a batch. */
  readonly batchBytesMax: number;
  /** Requests and bytes waiting in the own lane (Q1). */
  readonly poolRequestsMax: number;
  readonly poolBytesMax: number;
  /** Requests and bytes kept for one other replica (Q3, Q4); also how many are in flight to the leader. */
  readonly laneRequestsMax: number;
  readonly laneBytesMax: number;
  /** Proposed bodies kept at the next height. */
  readonly bodiesMax: number;
  /** Batches a new leader may be behind before it gives the view up (V8, G). */
  readonly leaderLagMax: number;
  /** How far a fresh proposal's time may be ahead of the own clock (N5). */
  readonly clockSkewMaxMs: number;
}

/** Durations in ticks; the driver decides what a tick is (20 ms by default). */
export interface Timing {
  /** WISH/STATUS to everybody (T_status). */
  readonly statusTicks: number;
  /** First view timer (T0) and how often it doubles (kmax). */
  readonly viewTicks: number;
  readonly viewDoublingsMax: number;
  /** How long the leader waits for a fuller batch (T_batch); 0 proposes at once. */
  readonly batchTicks: number;
  /** When an uncommitted request goes to everybody (T_relay). */
  readonly relayTicks: number;
  /** How long an answer to GET may take before another replica is asked. */
  readonly fetchTicks: number;
  /** Re-cosigning of the newest checkpoint, so that it stays fresh (N9). */
  readonly cosignTicks: number;
}

/** Everything that a replica is told once. */
export interface Config {
  /** Own vote key; decides whether and where this replica stands in a roster. */
  readonly self: PeerId;
  readonly limits: Limits;
  readonly timing: Timing;
  /**
   * The entry that the ledger makes of a request in a batch of this time, the same at every replica;
   * undefined for what it makes none of. Without it all of a body is sent with its proposal.
   */
  readonly entryOf?: (request: Request, timestampMs: number) => Uint8Array | undefined;
  /** SHA-256 for bodies; native in production. */
  readonly createHash?: () => IncrementalHash;
  /** Deliberate bugs for testing the simulator; empty in production. */
  readonly mutants: ReadonlySet<MutantName>;
}
