// The state of a replica. The files of the protocol's phases work on a `Core`; replica.ts decides who
// is called when, effects.ts keeps what a step asks of the driver.
import { assert } from '../../verifier/errors.ts';
import type { Restored } from './records.ts';
import { recordWrites } from './records.ts';
import type { Members } from '../../verifier/replication/members.ts';
import type {
  Batch,
  Certificate,
  CommitMessage,
  CommittedRecord,
  CosignMessage,
  Digest,
  Header,
  Message,
  PeerId,
  PrePrepareMessage,
  PrepareMessage,
  ReplicaIndex,
  Request,
  ViewChange,
} from '../../verifier/replication/messages.ts';
import { voteBytes, viewChangeBytes, newViewBytes } from '../../verifier/replication/encode.ts';
import { proofMark } from '../../verifier/replication/misbehaviour.ts';
import type { MutantName } from '../../verifier/replication/mutants.ts';
import { CosignDoubts } from './cosign-doubts.ts';
import { Effects } from './effects.ts';
import { Exposures } from './exposure.ts';
import { LeaderPace } from './leader-pace.ts';
import { Pool } from './pool.ts';
import type {
  CheckedContent,
  Config,
  Misbehaviour,
  Ready,
  SignRequest,
  SignedContent,
} from './types.ts';
import type { EpochContext, Opening } from '../../verifier/replication/validate.ts';
import { maySign } from './voter.ts';
import type { VoterState } from './voter-state.ts';
import { VoteBook } from './votes.ts';

/** What is known about the validity of a batch at the next height (N4). */
export type Check =
  | { readonly kind: 'pending'; readonly token: number; readonly decided: boolean }
  | ({ readonly kind: 'valid' } & CheckedContent)
  | { readonly kind: 'invalid'; readonly reason: string }
  | { readonly kind: 'unavailable'; readonly tick: number; readonly decided: boolean };

/** A batch that may be voted for in the present view at the next height. */
export interface Proposal {
  readonly digest: Digest;
  readonly header: Header;
  /** The leader's message; absent when this replica is the leader. */
  readonly message: PrePrepareMessage | undefined;
}

/** What a peer last said about itself. Unproven (R5). */
export interface PeerInfo {
  height: number;
  /** Ticks of our last answers to it: they are rationed (S5). */
  repliedTick: number;
  servedTick: number;
  bodyTick: number;
  /** Tick of its last cosignature that was taken. */
  cosignTick: number;
  /** Tick of the last proof that it was sent because it lacked it, and how many those were. */
  proofTick: number;
  proofTurn: number;
  /** Requests of it that are with the application now. */
  admitting: number;
}

/** A batch that is decided but not committed here yet. */
export interface Decision {
  readonly digest: Digest;
  readonly certificate: Certificate;
}

/** Own signed messages at the present view and height, for re-sending (T1). */
export interface OwnMessages {
  prePrepare?: PrePrepareMessage | undefined;
  prepare?: PrepareMessage | undefined;
  commit?: CommitMessage | undefined;
  viewChange?: ViewChange | undefined;
  cosign?: CosignMessage | undefined;
}

/** An outstanding question whether pooled requests are still valid, before somebody is suspected. */
export interface Recheck {
  readonly cause: 'timer' | 'starved' | 'overdue';
  readonly view: number;
  readonly height: number;
}

// Of replicas that are not members, only the newest few are remembered; they may only ask.
const STRANGERS_MAX = 64;
const NEVER = -1_000_000;

/** Requests that the leader of a view has sent ahead for one height, in their order. */
export interface Ahead {
  readonly view: number;
  readonly height: number;
  readonly requests: readonly Request[];
}

/** Everything that a replica knows. */
export class Core extends Effects {
  readonly config: Config;
  readonly mutants: ReadonlySet<MutantName>;

  // ---- the epoch
  members: Members;
  epochStart: Header;
  voter: VoterState;
  opening: Opening | undefined;
  newViewSignature: Uint8Array | undefined;

  // ---- the next height
  votes: VoteBook;
  proposals: {
    current?: PrePrepareMessage | undefined;
    next?: PrePrepareMessage | undefined;
    future?: PrePrepareMessage | undefined;
  } = {};
  proposal: Proposal | undefined;
  /** The leader's proposal here was refused; nothing more is expected of this view. */
  proposalRefused: boolean = false;
  readonly bodies: Map<Digest, Batch> = new Map();
  readonly durableBodies: Set<Digest> = new Set();
  readonly checks: Map<Digest, Check> = new Map();
  readonly fetches: Map<Digest, { tick: number; tries: number }> = new Map();
  decision: Decision | undefined;
  building: { readonly token: number; readonly view: number } | undefined;
  /** Builds for this height and view that were given up for what they had to leave out. */
  rebuilds: number = 0;
  /** Since when the leader has had something to propose. */
  batchTick: number | undefined;
  own: OwnMessages = {};
  /** Names of the signatures asked for in this process, by what they stand for. */
  asked: { vote?: string; commit?: string; cosignTick: number } = { cosignTick: NEVER };

  // ---- views
  wish: number;
  /** Highest wish by member index (W1). */
  wishes: number[];
  readonly viewChanges: Map<ReplicaIndex, ViewChange> = new Map();
  timerTick: number | undefined;
  timerRound: number = 0;
  statusTick: number = NEVER;
  recheck: Recheck | undefined;

  // ---- requests
  readonly pool: Pool;
  /** Requests with the present leader (Q5). */
  readonly exposed: Exposures;
  /** How long the present leader takes. */
  readonly pace: LeaderPace;
  /** Just started, or found far behind the log, and not abreast of it since. */
  isCutOff: boolean = true;
  /** When it begins to matter how requests fare (Q3, relaying.ts), soonest first. */
  readonly relayDue: Map<Digest, number> = new Map();
  /** For which it matters. */
  readonly overdue: Set<Digest> = new Set();
  /** The last look at what waits has found something invalid: there may be more of it. */
  foundInvalid: boolean = false;
  /** Height up to which batches have told which of these were passed by. */
  relayedHeight: number = 0;
  /** When the last batch was committed here, and when there was a leader last. */
  commitTick: number = 0;
  activeTick: number = 0;
  starvations: number = 0;
  starvationWitness: Digest | undefined;

  // ---- the batch after the next (prefetching.ts)
  /** What this replica has sent ahead as the leader, and what it was sent by one. */
  sentAhead: Ahead | undefined;
  received: Ahead | undefined;
  aheadTick: number = NEVER;
  /** Requests sent ahead, taken in, and found in proposals without being sent again. */
  readonly prefetched: { sent: number; taken: number; used: number } = {
    sent: 0,
    taken: 0,
    used: 0,
  };

  // ---- others
  readonly peers: Map<PeerId, PeerInfo> = new Map();
  readonly cosigns: Map<ReplicaIndex, readonly CosignMessage[]> = new Map();
  doubts: CosignDoubts;
  catchUp: {
    queue: readonly CommittedRecord[];
    asked: { readonly peer: PeerId; readonly tick: number } | undefined;
    turn: number;
    /** Everybody asked since the last answer: at most one late answer each is taken. */
    unanswered: ReadonlySet<PeerId>;
    /** Since when somebody has claimed to be ahead of the present height. */
    behindTick: number | undefined;
  } = { queue: [], asked: undefined, turn: 0, unanswered: new Set(), behindTick: undefined };
  /** Who was accused of what in this epoch, by `proofMark`. */
  readonly accused: Set<number> = new Set();
  /** The proofs among them that are durable here, by `proofMark`: the others are told of these. */
  readonly proofs: Map<number, Misbehaviour> = new Map();

  // ---- the process
  tick: number = 0;
  wallMs: number = 0;
  halted: string | undefined;
  /** The kernel's state as the driver has been told to keep it. */
  #kept: VoterState;

  constructor(config: Config, members: Members, epochStart: Header, restored: Restored) {
    super();
    this.config = config;
    this.mutants = config.mutants;
    this.members = members;
    this.epochStart = epochStart;
    this.voter = restored.voter;
    this.#kept = restored.voter;
    this.opening = restored.opening;
    this.newViewSignature = restored.newViewSignature;
    this.wish = restored.voter.view;
    this.wishes = Array.from({ length: members.count }, () => 0);
    this.votes = new VoteBook(
      members.count,
      restored.voter.view,
      this.nextHeight,
      config.mutants.has('commit-in-old-view'),
    );
    this.doubts = new CosignDoubts(restored.voter.committed.header);
    this.pool = new Pool(config.self, config.limits, config.mutants);
    this.exposed = new Exposures(config.limits);
    this.pace = new LeaderPace(config.timing.viewTicks);
  }

  // ---- questions

  mutant(name: MutantName): boolean {
    return this.mutants.has(name);
  }

  get committedHeight(): number {
    return this.voter.committed.header.height;
  }

  get nextHeight(): number {
    return this.committedHeight + 1;
  }

  get isActive(): boolean {
    return this.voter.active !== undefined;
  }

  get base(): number {
    return this.voter.active?.base ?? this.epochStart.height;
  }

  /** Whether this replica leads the view it is in. */
  get isLeader(): boolean {
    return this.members.self === this.members.leader(this.voter.view);
  }

  get leaderPeer(): PeerId {
    const peer = this.members.peers[this.members.leader(this.voter.view)];
    assert(peer !== undefined, 'each view has a leader');
    return peer;
  }

  /** What is needed to judge messages of this epoch. */
  get context(): EpochContext {
    return { members: this.members, epochStart: this.epochStart, mutants: this.mutants };
  }

  /** What is remembered of a peer; strangers are forgotten, oldest first. */
  peer(id: PeerId): PeerInfo {
    let info = this.peers.get(id);
    if (info === undefined) {
      info = {
        height: 0,
        repliedTick: NEVER,
        servedTick: NEVER,
        bodyTick: NEVER,
        cosignTick: NEVER,
        proofTick: NEVER,
        proofTurn: 0,
        admitting: 0,
      };
      this.peers.set(id, info);
      if (this.peers.size > this.members.count + STRANGERS_MAX) this.#forgetStranger(id);
    }
    return info;
  }

  #forgetStranger(except: PeerId): void {
    for (const id of this.peers.keys()) {
      if (id === except || this.members.indexOf(id) !== undefined) continue;
      this.peers.delete(id);
      return;
    }
  }

  // ---- effects that need the state

  /** Asks for a vote-key signature, once everything that it rests on is durable. */
  signVote(content: SignedContent): void {
    this.sign({ key: 'vote', bytes: this.#bytesOf(content), content });
  }

  #bytesOf(content: SignedContent): Uint8Array {
    const { origin } = this.members.roster;
    switch (content.kind) {
      case 'pre-prepare':
      case 'prepare':
        return voteBytes('prepare', origin, content.vote);
      case 'commit':
        return voteBytes('commit', origin, content.vote);
      case 'view-change':
        return viewChangeBytes(origin, content.content);
      case 'new-view':
        break;
    }
    return newViewBytes(origin, content.content);
  }

  /** Reports a proof of guilt, once per rule, member and epoch: a flood of proofs proves no more. */
  accuse(rule: Misbehaviour['rule'], signer: ReplicaIndex, messages: readonly Message[]): void {
    const accused = this.members.peers[signer];
    if (accused === undefined) return;
    this.accuseBy({ rule, accused, epoch: this.members.epoch, messages }, signer);
  }

  /** The same with a report as it was handed on. */
  accuseBy(report: Misbehaviour, signer: ReplicaIndex): void {
    if (this.isAccused(report.rule, signer)) return;
    this.accused.add(proofMark(report.rule, signer));
    this.report(report);
  }

  isAccused(rule: Misbehaviour['rule'], signer: ReplicaIndex): boolean {
    return this.accused.has(proofMark(rule, signer)) && !this.mutant('accused-again');
  }

  /** N12: signs nothing more, ever. */
  halt(reason: string): void {
    if (this.halted !== undefined) return;
    this.halted = reason;
    this.event({ event: 'halted', reason });
  }

  /** All writes up to this token are durable: what waited for them may leave. */
  persisted(token: number): void {
    this.release(token, (request) => this.#stillStands(request));
  }

  #stillStands(request: SignRequest): boolean {
    if (request.key === 'vote') return maySign(this.voter, request.content, this.mutants);
    return request.epoch === this.members.epoch;
  }

  /** Ends the step: everything that it asks of the driver. */
  finish(): Ready {
    if (this.halted !== undefined) return this.collectHalted();
    this.write(...recordWrites(this.#kept, this.voter, this.newViewSignature, this.mutants));
    this.#kept = this.voter;
    return this.collect(
      (request) => this.#stillStands(request),
      !this.mutants.has('sign-before-durable'),
    );
  }
}
