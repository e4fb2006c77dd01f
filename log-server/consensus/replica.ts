// The replica as a pure state machine: `step(input) -> Ready`. No clock, no sockets, no disk, no
// randomness, no promises; see types.ts for the driver's duties. This file only says who is called
// when: handlers file what arrives, then the rules run until none of them has anything to do.
import { AssertionError, assert } from '../../verifier/errors.ts';
import {
  decideFromQueue,
  onBatches,
  onGetBatches,
  requestBatches,
  wantsBatches,
  wantsGetBatches,
} from './catch-up.ts';
import {
  applyDecision,
  cosignAgainIfDue,
  onCosign,
  onSignedCosign,
  wantsCosign,
} from './committing.ts';
import { Core } from './core.ts';
import { forwardToLeader, onAdmitted, onForward, onSubmit, wantsForward } from './fairness.ts';
import { onEvidence, onEvidenceKept, onEvidenceLost, wantsEvidence } from './evidence.ts';
import { onBody, onChecked, onGetBody, wantsBody, wantsGetBody } from './fetching.ts';
import { Members } from '../../verifier/replication/members.ts';
import type { Message, PeerId, VerifiedMessage } from '../../verifier/replication/messages.ts';
import {
  commitToPrepared,
  considerProposal,
  noticeDecision,
  onPrePrepare,
  onSignedVote,
  onVote,
  voteForProposal,
  wantsPrePrepare,
  wantsVote,
} from './normal-case.ts';
import { completed, onPrefetch, sendAhead, wantsPrefetch } from './prefetching.ts';
import { onBuilt, proposeIfDue } from './proposing.ts';
import { relayOverdue } from './relaying.ts';
import { restoreVoter } from './records.ts';
import { resume } from './resuming.ts';
import { keptBytes } from './kept-bytes.ts';
import { type StateSummary, summarize } from './summary.ts';
import { onStatus, wantsStatus } from './status.ts';
import {
  adjustTimer,
  amplifyWishes,
  enterWishedView,
  expireTimer,
  repeatStatus,
} from './synchronizer.ts';
import type {
  Config,
  DurableState,
  IgnoreReason,
  Input,
  Ready,
  SignedInput,
  Usefulness,
} from './types.ts';
import type { EpochContext } from '../../verifier/replication/validate.ts';
import {
  issueNewView,
  onNewView,
  onSignedNewView,
  onSignedViewChange,
  onViewChange,
  sendViewChange,
  wantsNewView,
  wantsViewChange,
} from './view-change.ts';

// Each round of the rules takes at least one step of the protocol; a step of one input never needs
// more than a few. Reaching this is a bug, and a replica that spins is worse than one that stops.
const RULE_ROUNDS_MAX = 100;

/** One replica. */
export class Replica {
  readonly #core: Core;

  /**
   * @param durable the state after the last durable transaction; see `genesisState` for a new log
   * @throws {VerifyError} `MESSAGE_MALFORMED` when the own records are damaged: don't vote, re-key (C5)
   */
  constructor(config: Config, durable: DurableState) {
    const members = new Members(durable.roster, config.self, config.mutants);
    const restored = restoreVoter(durable, members, config.mutants);
    this.#core = new Core(config, members, durable.epochStart, restored);
    resume(this.#core, durable.bodies);
  }

  /** The epoch that messages are judged by; changes when an epoch ends. For `planMessage`. */
  get context(): EpochContext {
    return this.#core.context;
  }

  /** Why the replica stopped for good; undefined while all is well. */
  get halted(): string | undefined {
    return this.#core.halted;
  }

  /** What a test, a log line or a status page may see. */
  get summary(): StateSummary {
    return summarize(this.#core);
  }

  /** Every byte string that is held on to: for the simulator. Looks at all of the state. */
  keptBytes(): readonly Uint8Array[] {
    return keptBytes(this.#core);
  }

  /** Whether a request of this size would find room in the own lane; ask before admitting it (Q1). */
  hasRoomFor(bytes: number): boolean {
    const { poolBytesMax } = this.#core.config.limits;
    const own = this.#core.pool.sizes().find(({ peer }) => peer === this.#core.config.self);
    return (
      this.#core.pool.room(this.#core.config.self) > 0 && (own?.bytes ?? 0) + bytes <= poolBytesMax
    );
  }

  /**
   * Whether a message is worth verifying (R1, R2): cheap, changes nothing, needs no signature.
   *
   * @param from vote key of whoever the connection belongs to
   */
  wants(from: PeerId, message: Message): Usefulness {
    const reason = this.#core.halted === undefined ? useOf(this.#core, from, message) : 'halted';
    return reason === undefined ? { useful: true } : { useful: false, reason };
  }

  /** Takes one input and says what to do. Never throws: a bug of ours halts the replica (N12). */
  step(input: Input): Ready {
    const core = this.#core;
    if (core.halted !== undefined) {
      core.ignore('halted');
      return core.finish();
    }
    try {
      handle(core, input);
      settle(core);
    } catch (error) {
      if (!(error instanceof AssertionError)) throw error;
      core.clearEffects();
      core.halt(error.message);
    }
    return core.finish();
  }
}

/** R1, R2. @returns why the message is of no use, or undefined */
function useOf(core: Core, from: PeerId, message: Message): IgnoreReason | undefined {
  if (from === core.config.self) return 'unknown-sender';
  switch (message.kind) {
    case 'pre-prepare':
      return wantsPrePrepare(core, from, message);
    case 'prepare':
    case 'commit':
      return wantsVote(core, from, message);
    case 'cosign':
      return wantsCosign(core, from, message);
    case 'status':
      return wantsStatus(core, from);
    case 'forward':
      return wantsForward(core, from, message);
    case 'get-body':
      return wantsGetBody(core, from, message);
    case 'body':
      return wantsBody(core, message);
    case 'get-batches':
      return wantsGetBatches(core, from, message);
    case 'batches':
      return wantsBatches(core, from, message);
    case 'view-change':
      return wantsViewChange(core, from, message);
    case 'new-view':
      return wantsNewView(core, message);
    case 'evidence':
      return wantsEvidence(core, from, message);
    case 'prefetch':
      break;
  }
  return wantsPrefetch(core, from, message);
}

function handle(core: Core, input: Input): void {
  switch (input.kind) {
    case 'receive':
      receive(core, input.message);
      return;
    case 'tick':
      onTick(core, input.wallMs);
      return;
    case 'submit':
      onSubmit(core, input.request);
      return;
    case 'admitted':
      onAdmitted(core, input.answer);
      return;
    case 'built':
      onBuilt(core, input.token, input.result);
      return;
    case 'checked':
      onChecked(core, input.token, input.result);
      return;
    case 'persisted':
      core.persisted(input.token);
      return;
    case 'persist-failed':
      core.halt('a write could not be made durable');
      return;
    case 'evidence-kept':
      onEvidenceKept(core, input.report);
      return;
    case 'evidence-lost':
      onEvidenceLost(core, input.report);
      return;
    case 'signed':
    case 'cosigned':
      onSigned(core, input);
  }
}

/** The state may have moved on since `wants` said yes, so it is asked again (R6). */
function receive(core: Core, { from, message }: VerifiedMessage): void {
  const reason = useOf(core, from, message);
  if (reason !== undefined) {
    core.ignore(reason);
    return;
  }
  switch (message.kind) {
    case 'pre-prepare':
      onPrePrepare(core, completed(core, message));
      return;
    case 'prepare':
    case 'commit':
      onVote(core, message);
      return;
    case 'cosign':
      onCosign(core, message);
      return;
    case 'status':
      onStatus(core, from, message);
      return;
    case 'forward':
      onForward(core, from, message);
      return;
    case 'get-body':
      onGetBody(core, from, message);
      return;
    case 'body':
      onBody(core, message);
      return;
    case 'get-batches':
      onGetBatches(core, from, message);
      return;
    case 'batches':
      onBatches(core, message);
      return;
    case 'view-change':
      onViewChange(core, message);
      return;
    case 'new-view':
      onNewView(core, message);
      return;
    case 'evidence':
      onEvidence(core, message);
      return;
    case 'prefetch':
      onPrefetch(core, from, message);
  }
}

function onTick(core: Core, wallMs: number): void {
  core.tick += 1;
  core.wallMs = wallMs;
  expireTimer(core);
  if (core.tick - core.statusTick >= core.config.timing.statusTicks) sendViewChange(core);
  repeatStatus(core);
  relayOverdue(core);
  cosignAgainIfDue(core);
}

function onSigned(core: Core, input: SignedInput): void {
  const { request, signature } = input;
  if (request.key === 'cosign') {
    assert(input.kind === 'cosigned', 'a cosignature has a time');
    onSignedCosign(core, request, input.time, signature);
    return;
  }
  const { content } = request;
  switch (content.kind) {
    case 'pre-prepare':
    case 'prepare':
    case 'commit':
      onSignedVote(core, content, signature);
      return;
    case 'view-change':
      onSignedViewChange(core, content.content, signature);
      return;
    case 'new-view':
      onSignedNewView(core, content.content, signature);
  }
}

/** The rules, each "if this holds, take that step"; true when something changed. */
const RULES: readonly ((core: Core) => boolean)[] = [
  enterWishedView,
  issueNewView,
  decideFromQueue,
  noticeDecision,
  applyDecision,
  considerProposal,
  proposeIfDue,
  voteForProposal,
  commitToPrepared,
];

function settle(core: Core): void {
  amplifyWishes(core);
  let rounds = 0;
  for (let changed = true; changed && core.halted === undefined; rounds++) {
    assert(rounds < RULE_ROUNDS_MAX, 'the rules come to rest');
    changed = false;
    for (const rule of RULES) changed = rule(core) || changed;
    if (changed) amplifyWishes(core);
  }
  if (core.halted !== undefined) return;
  requestBatches(core);
  forwardToLeader(core);
  sendAhead(core);
  adjustTimer(core);
}
