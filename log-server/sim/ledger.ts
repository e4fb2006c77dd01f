// The application below the consensus core, as the simulator needs it: what to build, what is valid,
// what the log looks like. Two implementations: toy-ledger.ts (fast, almost no rules) and
// real-ledger.ts (the rules of DESIGN 5).
import type { Roster } from '../../verifier/roster.ts';
import type {
  Batch,
  BuildRequest,
  BuildResult,
  CommittedRecord,
  Digest,
  Request,
} from '../consensus/types.ts';

/** Whether a batch may be voted for, the artifacts left aside. */
export type Validity =
  | {
      readonly kind: 'valid';
      readonly ids: readonly Digest[];
      readonly nextRoster: Roster | undefined;
      /** Ids of the requests in it that name an artifact. */
      readonly artifacts: readonly Digest[];
    }
  | { readonly kind: 'invalid'; readonly reason: string };

/** What became of a submission. */
export type AdmitOutcome = 'accepted' | 'refused';

/** One replica's log and what follows from it. */
export interface SimLedger {
  readonly height: number;
  /** Leaves. */
  readonly size: number;
  isCommitted(id: Digest): boolean;
  admit(request: Request): AdmitOutcome | Promise<AdmitOutcome>;
  /** @param timeMs the wall clock of the machine; raised above the parent's time */
  build(
    request: BuildRequest,
    timeMs: number,
    limits: BatchBounds,
  ): BuildResult | Promise<BuildResult>;
  check(batch: Batch, limits: BatchBounds): Validity | Promise<Validity>;
  /** The entry that a request becomes in a batch of this time. */
  readonly entryOf: (request: Request, timestampMs: number) => Uint8Array | undefined;
  /** Appends a committed batch. */
  apply(record: CommittedRecord, nextRoster: Roster | undefined): void | Promise<void>;
  /** The same state, independent of this one: a restart from disk. */
  copy(): SimLedger;
}

/** Limits of a batch. */
export interface BatchBounds {
  readonly batchRequestsMax: number;
  readonly batchBytesMax: number;
}
