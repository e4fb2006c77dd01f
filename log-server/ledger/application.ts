// The port between whoever orders batches (the embedded consensus driver, or another engine) and the
// ledger. Everything is asynchronous and everything that crosses is plain data, so that the ledger and
// its database can live in a worker thread.
import type { Hash } from '../../verifier/merkle/hash.ts';
import type { LedgerErrorCode } from '../../verifier/ledger/errors.ts';
import type { VerifyErrorCode } from '../../verifier/errors.ts';
import type { Roster } from '../../verifier/roster.ts';
import type { Body, Digest, Header } from '../consensus/types.ts';

/** Where the log stands after its last durable batch. */
export interface Tip {
  readonly epoch: number;
  /** 0 before the first batch. */
  readonly height: number;
  /** Leaves in the log. */
  readonly size: number;
  readonly root: Hash;
  /** Digest of the last header, hex: the next one's `parent`. The genesis header's before the first. */
  readonly headerDigest: Digest;
  /** Timestamp of the last header, milliseconds; 0 before the first. */
  readonly timeMs: number;
  readonly map: Hash;
  /** Leaf hash of the last commit entry; `null` before the first batch. */
  readonly commitLeaf: Hash | null;
}

/** A submission that the consensus core may pool and order. */
export interface LedgerRequest {
  /** SHA-256 of the statement's payload, lower-case hex: the identity of a submission. */
  readonly id: string;
  /** The canonical envelope as it came in. */
  readonly bytes: Uint8Array;
}

/** Who hands a submission in: each has a turn of its own when signatures wait to be checked. */
export interface Asker {
  /** A replica that hands on what others gave it, or anybody. */
  readonly kind: 'peer' | 'client';
  /** Vote key, or the network that the client is in. */
  readonly name: string;
}

/** What became of a submission when it came in. A refusal is thrown. */
export type Admission =
  | { readonly kind: 'accepted'; readonly request: LedgerRequest }
  | { readonly kind: 'committed'; readonly id: string; readonly index: number };

/** Why a submission was refused, as data that can be sent to its publisher. */
export interface Refusal {
  readonly code: LedgerErrorCode | VerifyErrorCode;
  readonly message: string;
  readonly hint?: string;
  /** The leaf that stands against it, if any. */
  readonly index?: number;
  /** The artifacts that are missing (SHA-512, hex). */
  readonly artifacts: readonly string[];
  /** The same bytes may be accepted later: their publisher may send them again. */
  readonly temporary: boolean;
}

/** How much a batch may hold; agreed by all replicas. */
export interface BatchLimits {
  /** Statement entries, the commit entry not counted. */
  readonly entriesMax: number;
  /** Bytes of all entries together, the commit entry included. */
  readonly bytesMax: number;
}

/** What is in a valid body, for the consensus core. */
export interface BatchContent {
  /** Ids of its statements, in the order of their entries. */
  readonly ids: readonly Digest[];
  /** The roster that it puts in force; its hash is `header.nextRoster`. */
  readonly nextRoster: Roster | undefined;
}

/** A batch ready to be proposed, and what was left out of it. */
export interface BuiltBatch {
  /** Absent when no request is valid now: propose nothing. */
  readonly proposal: (BatchContent & { readonly header: Header; readonly body: Body }) | undefined;
  /** Why requests were left out. Those neither here nor in the proposal did not fit. */
  readonly refused: readonly { readonly id: Digest; readonly refusal: Refusal }[];
}

/** The outcome of checking somebody else's batch (CONSENSUS N4). */
export type Validation =
  | ({ readonly ok: true } & BatchContent)
  | {
      readonly ok: false;
      readonly code: LedgerErrorCode | VerifyErrorCode;
      readonly reason: string;
      /**
       * Artifacts to fetch by digest before asking again (SHA-512, hex). Not empty only with code
       * `ARTIFACT_MISSING`, in which case everything else about the batch is right.
       */
      readonly missingArtifacts: readonly string[];
    };

/** The deterministic ledger, as the driver uses it. */
export interface Application {
  tip(): Promise<Tip>;
  /**
   * Checks a submission against the present state: shape, rules, signatures, artifacts held.
   *
   * @param asker whose turn it is to have signatures checked; this replica's own when absent
   * @throws {VerifyError} malformed or badly signed
   * @throws {LedgerError} breaks a rule; `temporary` ones may be sent again
   * @throws {SignaturePoolError} `POOL_OVERLOADED`: it was not judged, too many signatures wait
   */
  admit(envelopeBytes: Uint8Array, asker?: Asker): Promise<Admission>;
  /**
   * Executes requests on a scratch copy of the state and makes a header and body of the valid ones,
   * in the order given. Leaves the state alone.
   *
   * @param timeMs timestamp of the batch; raised to just above the tip's when it is not larger
   */
  build(
    requests: readonly LedgerRequest[],
    timeMs: number,
    limits: BatchLimits,
  ): Promise<BuiltBatch>;
  /**
   * Executes a proposed body on the present state and compares every result with the header. Does not
   * judge the timestamp against any clock (CONSENSUS N5 is the voter's).
   *
   * @param options.artifacts `held` (default) asks that each release's artifact be here and equal to its
   *        statement: needed before a vote. `skip` is for a body that already has a commit certificate:
   *        a quorum held the artifacts, and this replica fetches them afterwards.
   */
  validate(
    header: Header,
    body: Body,
    limits: BatchLimits,
    options?: { readonly artifacts: 'held' | 'skip' },
  ): Promise<Validation>;
}
