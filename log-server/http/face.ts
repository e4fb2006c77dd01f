// What the public HTTP face needs from the replica behind it. The routes know no consensus and no
// database: only this.
import type { JsonObject } from '../../verifier/json.ts';
import type { Refusal } from '../ledger/application.ts';
import type { ArtifactStore } from '../store/artifact-store.ts';
import type { Store } from '../store/store.ts';
import type { Metric } from './metrics.ts';

/** Where a submission stands. */
export type SubmissionState =
  /** In the log, and a checkpoint with a quorum of cosignatures covers it. */
  | { readonly kind: 'committed'; readonly id: string; readonly index: number }
  /** Taken in; not yet covered by a checkpoint. */
  | { readonly kind: 'pending'; readonly id: string }
  /** Was taken in, but the log moved on and it breaks a rule now. */
  | { readonly kind: 'refused'; readonly id: string; readonly refusal: Refusal };

/** One question about the replica's health and its answer. */
export interface HealthCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** A proof of misbehaviour in the list. Only the document proves anything. */
export interface MisbehaviourSummary {
  readonly id: string;
  readonly epoch: number;
  /** `X1` to `X8` (CONSENSUS 2.13). */
  readonly rule: string;
  /** Name of the accused in the present roster; `null` for one that has left it. */
  readonly replica: string | null;
  /** Vote key of the accused, hex. */
  readonly key: string;
}

/** A claim in the list of contradicted heads. Only the document proves anything. */
export interface ContradictionSummary {
  readonly id: string;
  /** Who says so: maintainers by a statement, or replicas by a note. */
  readonly kind: 'statement' | 'note';
}

/** What became of a head that somebody reported. */
export type HeadReport =
  /** It is kept under this id, now or before. */
  | { readonly kind: 'kept'; readonly id: string }
  /** It is a head of this log: nothing to prove. */
  | { readonly kind: 'consistent' }
  /** It is beyond this log's end: come again. */
  | { readonly kind: 'ahead' }
  /** Enough of this kind is kept already, or too many are being judged. */
  | { readonly kind: 'full' };

/** Proposals of releases that maintainers are still signing. */
export interface ProposalFace {
  /**
   * Takes a proposal, or more signatures for one; durable on return.
   *
   * @param envelope canonical envelope as received, at most 65,535 bytes
   * @throws {VerifyError} malformed, or no maintainer of the package has signed it
   * @throws {LedgerError} the log would refuse it
   * @throws {BusyError} no room
   */
  post(envelope: Uint8Array): Promise<{ readonly id: string; readonly signatures: number }>;
  /** Canonical envelopes of what there is to sign for a package. */
  listed(name: string): readonly string[];
  /** One of them; `undefined` for an unknown id. */
  find(id: string): string | undefined;
}

/** The replica has no room for one more thing of this kind at present. */
export class BusyError extends Error {
  override readonly name = 'BusyError';
}

/** The reads of the store that the public face makes. */
export type PublicStore = Pick<
  Store,
  | 'checkpoint'
  | 'tile'
  | 'entryBundle'
  | 'entry'
  | 'rosterEnvelopes'
  | 'package'
  | 'release'
  | 'evidence'
  | 'batches'
>;

/** The replica, as seen by the public. */
export interface PublicFace {
  readonly store: PublicStore;
  readonly artifacts: ArtifactStore;
  /** Whether a release in the log names the artifact. */
  isReleased(sha512: string): boolean;
  /** Public address of this replica, without a final slash: where its tarballs are. */
  readonly url: string;
  /**
   * Takes a submission in.
   *
   * @param envelope canonical envelope as received, at most 65,535 bytes
   * @param waitMs how long to wait for a checkpoint that covers it
   * @param gone aborted when nobody waits for the answer any more
   * @param network who it comes from (`networkOf`), whose turn it is to have signatures checked
   * @throws {VerifyError} malformed or badly signed
   * @throws {LedgerError} breaks a rule
   * @throws {BusyError} no room
   * @throws {SignaturePoolError} `POOL_OVERLOADED`: not judged
   */
  submit(
    envelope: Uint8Array,
    waitMs: number,
    gone: AbortSignal,
    network: string,
  ): Promise<SubmissionState>;
  /** Where a submission stands; `undefined` when this replica knows nothing of it. */
  submission(id: string): Promise<SubmissionState | undefined>;
  /** Proofs of misbehaviour that this replica keeps, by epoch and rule. */
  misbehaviour(): Promise<readonly MisbehaviourSummary[]>;
  /** One of them as a document that anybody can check; `undefined` for an unknown id. */
  misbehaviourDocument(id: string): Promise<string | undefined>;
  /** Heads kept that this log never had, by the age of the packages whose maintainers signed them. */
  contradictions(): Promise<readonly ContradictionSummary[]>;
  /** One of them as a document that anybody can check; `undefined` for an unknown id. */
  contradictionDocument(id: string): Promise<string | undefined>;
  /**
   * Takes a checkpoint note that somebody was shown, and keeps it when this log contradicts it.
   *
   * @throws {VerifyError} malformed, of another log, or signed by no replica of this one
   */
  reportHead(note: string): Promise<HeadReport>;
  readonly proposals: ProposalFace;
  /** Whether the process is alive and its store writable. */
  health(): readonly HealthCheck[];
  /** Whether clients should be sent here. */
  readiness(): readonly HealthCheck[];
  /** For people and dashboards; nobody may trust it. */
  status(): Promise<JsonObject>;
  /** The same in figures, for Prometheus. */
  metrics(): Promise<readonly Metric[]>;
}
