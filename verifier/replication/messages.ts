// The objects and messages of the replication protocol (CONSENSUS.md 2.1 and 2.3). What goes in and
// out of the state machine (inputs, effects, durable records, configuration) is in types.ts, which
// re-exports this file; the bytes of everything here are in encode.ts.

/** 32 bytes as lower-case hex: an identity that can be compared and used as a map key. */
export type Digest = string;

/** A replica's vote key as hex. Stable over epochs, unlike its index in a roster. */
export type PeerId = string;

/** Position in the roster of the epoch that the value belongs to, from 0. */
export type ReplicaIndex = number;

/** Entries of a batch in log order. Opaque here; the ledger knows what is in them. */
export type Body = readonly Uint8Array[];

/**
 * What a batch is, without its view, so that a re-proposal in a later view has the same digest (O1).
 * The digest (encode.ts, `headerDigest`) is the batch's identity.
 */
export interface Header {
  readonly origin: string;
  readonly epoch: number;
  /** 1 for the first batch; 0 is the genesis header, which nobody votes on. */
  readonly height: number;
  /** Digest of the header at `height - 1`. */
  readonly parent: Digest;
  /** Leaves before and after this batch: `size = prevSize + body.length`, body.length >= 1. */
  readonly prevSize: number;
  readonly size: number;
  /** RFC 6962 root of the log at `size`. */
  readonly root: Digest;
  /** Hash over the length-prefixed entries (encode.ts, `bodyHash`). */
  readonly entriesHash: Digest;
  /** Agreed time of the batch, milliseconds since 1970; greater than the parent's. */
  readonly timestampMs: number;
  /** Set in the last batch of an epoch: hash of the next epoch's roster (E1). */
  readonly nextRoster: Digest | undefined;
}

/** A batch as it is proposed, fetched and kept. */
export interface Batch {
  readonly header: Header;
  readonly body: Body;
}

/** What a PREPARE or a COMMIT says. Identical bytes are what makes votes add up (R4). */
export interface Vote {
  readonly epoch: number;
  readonly view: number;
  /** Hash of the NEW-VIEW that opened the view; `ZERO_DIGEST` in view 0. */
  readonly nv: Digest;
  readonly height: number;
  readonly digest: Digest;
}

/** One replica's signature inside a certificate. */
export interface VoteSignature {
  readonly signer: ReplicaIndex;
  readonly signature: Uint8Array;
}

/**
 * Signatures of quorum weight on identical vote bytes: a prepare certificate (PC) or a commit
 * certificate (CC). `signatures` is strictly ascending by signer, so a signer can't be there twice.
 */
export interface Certificate {
  readonly phase: 'prepare' | 'commit';
  readonly vote: Vote;
  readonly signatures: readonly VoteSignature[];
}

/** A certificate of COMMITs: the replicas' proof of a batch (O2). */
export type CommitCertificate = Certificate;

/** A header with the certificate for its digest. */
export interface CertifiedHeader {
  readonly header: Header;
  readonly certificate: Certificate;
}

/** The newest committed header that a replica reports. */
export interface LastCommitted {
  readonly header: Header;
  /** Absent only for the header that the epoch started from, which all its members know. */
  readonly certificate: Certificate | undefined;
}

/** What the signature on a VIEW-CHANGE covers. Frozen: one per (epoch, view, signer) ever (V1). */
export interface ViewChangeContent {
  readonly epoch: number;
  /** The view to be entered, >= 1. */
  readonly view: number;
  readonly signer: ReplicaIndex;
  readonly last: LastCommitted;
  /** The highest-view prepare certificate at `last.header.height + 1` (V2). */
  readonly prepared: CertifiedHeader | undefined;
}

/** A signed VIEW-CHANGE. */
export interface ViewChange {
  readonly content: ViewChangeContent;
  readonly signature: Uint8Array;
}

/** What the signature on a NEW-VIEW covers; its hash is `nv` in every vote of the view. */
export interface NewViewContent {
  readonly epoch: number;
  readonly view: number;
  /** Strictly ascending by signer. Everything else is recomputed from these by everyone (V6). */
  readonly viewChanges: readonly ViewChange[];
}

/** A signed NEW-VIEW; the signer is the leader of (epoch, view). */
export interface NewView {
  readonly content: NewViewContent;
  readonly signature: Uint8Array;
}

/** A submission in the pool: `id` is its payload's hash, `bytes` its envelope. */
export interface Request {
  readonly id: Digest;
  readonly bytes: Uint8Array;
}

/** A body without what its receivers were sent ahead (PREFETCH). */
export interface ProposalTail {
  /** How many of those requests the body begins with, >= 1. */
  readonly prefetched: number;
  readonly entries: Body;
}

/** PRE-PREPARE: the leader's proposal; its signature is its PREPARE for the header's digest. */
export interface PrePrepareMessage {
  readonly kind: 'pre-prepare';
  readonly epoch: number;
  readonly view: number;
  readonly nv: Digest;
  readonly header: Header;
  /** Left out in re-sends and re-proposals; whoever lacks it asks for it by digest (N11). */
  readonly body: Body | undefined;
  /** Instead of a body: what follows the entries of requests that the leader has sent ahead. */
  readonly tail?: ProposalTail | undefined;
  readonly signature: Uint8Array;
}

/** PREPARE. */
export interface PrepareMessage {
  readonly kind: 'prepare';
  readonly vote: Vote;
  readonly signer: ReplicaIndex;
  readonly signature: Uint8Array;
}

/** COMMIT. */
export interface CommitMessage {
  readonly kind: 'commit';
  readonly vote: Vote;
  readonly signer: ReplicaIndex;
  readonly signature: Uint8Array;
}

/** COSIGN: a C2SP cosignature/v1 on the checkpoint (origin, size, root), by the cosign key. */
export interface CosignMessage {
  readonly kind: 'cosign';
  readonly epoch: number;
  /** Height of the batch that ends at `size`; a hint, not signed. */
  readonly height: number;
  readonly size: number;
  readonly root: Digest;
  /** Unix seconds. */
  readonly time: number;
  readonly signer: ReplicaIndex;
  readonly signature: Uint8Array;
}

/** WISH and STATUS in one: what I want, what I have. Only the transport vouches for it (R5). */
export interface StatusMessage {
  readonly kind: 'status';
  readonly epoch: number;
  readonly view: number;
  /** Whether the NEW-VIEW of `view` has arrived. */
  readonly active: boolean;
  /** The view that the sender wants to be in, >= view. */
  readonly wish: number;
  readonly height: number;
  readonly digest: Digest;
  /** Signers whose PREPAREs (COMMITs) for (view, height + 1) the sender counts; ascending. */
  readonly prepares: readonly ReplicaIndex[];
  readonly commits: readonly ReplicaIndex[];
  /** Whether the leader's proposal for (view, height + 1) has arrived. */
  readonly proposed: boolean;
  /** Signers whose cosignatures for `height` the sender has; ascending. */
  readonly cosigners: readonly ReplicaIndex[];
  /** Marks of the proofs of misbehaviour in `epoch` that the sender keeps (`proofMark`); ascending. */
  readonly proofs: readonly number[];
}

/** FORWARD: submissions handed on to the leader (Q2) or to everybody (Q3). */
export interface ForwardMessage {
  readonly kind: 'forward';
  readonly epoch: number;
  readonly requests: readonly Request[];
}

/** PREFETCH: what the leader of a view will probably propose at a height to come. Never a promise. */
export interface PrefetchMessage {
  readonly kind: 'prefetch';
  readonly epoch: number;
  readonly view: number;
  readonly height: number;
  /** How many requests for this height were sent before. */
  readonly start: number;
  readonly requests: readonly Request[];
}

/** GET a body by its header's digest. */
export interface GetBodyMessage {
  readonly kind: 'get-body';
  readonly digest: Digest;
}

/** PUT a body; authenticated by its digest. */
export interface BodyMessage {
  readonly kind: 'body';
  readonly batch: Batch;
}

/** GET committed batches from a height on. */
export interface GetBatchesMessage {
  readonly kind: 'get-batches';
  readonly fromHeight: number;
}

/** A committed batch with its commit certificate. */
export interface CommittedRecord extends Batch {
  readonly certificate: Certificate;
}

/** PUT committed batches: consecutive heights of one epoch, each with its certificate. */
export interface BatchesMessage {
  readonly kind: 'batches';
  readonly batches: readonly CommittedRecord[];
}

export interface ViewChangeMessage {
  readonly kind: 'view-change';
  readonly viewChange: ViewChange;
}

export interface NewViewMessage {
  readonly kind: 'new-view';
  readonly newView: NewView;
}

/** The rules of CONSENSUS.md 2.13, each a pair of statements that no correct replica signs. */
export type MisbehaviourRule = 'X1' | 'X2' | 'X3' | 'X4' | 'X5' | 'X6' | 'X7' | 'X8';

/** Messages that no correct replica signs; anybody can check them (judge.ts). */
export interface Misbehaviour {
  readonly rule: MisbehaviourRule;
  readonly accused: PeerId;
  readonly epoch: number;
  readonly messages: readonly Message[];
  /**
   * Only with X7 over two sizes: the root that the larger tree had at the smaller size, and the
   * RFC 6962 consistency proof for it. Whoever has the log can add it; the core does not look for it.
   */
  readonly consistency?: { readonly root: Digest; readonly hashes: readonly Digest[] };
}

/** EVIDENCE: a proof of misbehaviour, handed on by whoever keeps it. It needs nobody's word. */
export interface EvidenceMessage {
  readonly kind: 'evidence';
  readonly report: Misbehaviour;
}

/** Everything that replicas say to each other. */
export type Message =
  | PrePrepareMessage
  | PrepareMessage
  | CommitMessage
  | CosignMessage
  | StatusMessage
  | ForwardMessage
  | PrefetchMessage
  | GetBodyMessage
  | BodyMessage
  | GetBatchesMessage
  | BatchesMessage
  | ViewChangeMessage
  | NewViewMessage
  | EvidenceMessage;

declare const verified: unique symbol;

/**
 * A message whose structure and signatures, nested ones too, have been checked against the roster of
 * its epoch. Only verify-message.ts makes one, so the core can't be handed unchecked input.
 */
export interface VerifiedMessage<M extends Message = Message> {
  readonly from: PeerId;
  readonly message: M;
  readonly [verified]: true;
}
