// PRE-PREPARE, PREPARE, COMMIT (CONSENSUS.md 2.6): handlers only file what they are given; the rules
// below look at the state and take the next step, so the order in which messages arrive is irrelevant.
import { type SignedVote, assembleCertificate } from '../../verifier/replication/certificates.ts';
import type { Core } from './core.ts';
import { headerDigest, voteOfProposal } from '../../verifier/replication/encode.ts';
import { noteHeight } from './catch-up.ts';
import { accuseVote } from './evidence.ts';
import { holdBatch, keepBody, obtain } from './fetching.ts';
import type {
  CommitMessage,
  Digest,
  PeerId,
  PrePrepareMessage,
  PrepareMessage,
  Vote,
} from '../../verifier/replication/messages.ts';
import { shortened } from './prefetching.ts';
import type { IgnoreReason, SignedContent } from './types.ts';
import { successorProblem } from '../../verifier/replication/validate.ts';
import { grantCommit, grantPrepare } from './voter.ts';
import { type Placement, countsAs } from './votes.ts';
import { wishFor } from './wishing.ts';

// ---- filing what arrives

/** R1, R2 for PREPARE and COMMIT. */
export function wantsVote(
  core: Core,
  from: PeerId,
  message: PrepareMessage | CommitMessage,
): IgnoreReason | undefined {
  const { vote, signer, kind } = message;
  if (vote.epoch !== core.members.epoch && !core.mutant('epoch-unchecked')) return 'other-epoch';
  if (core.members.indexOf(from) !== signer) return 'wrong-signer';
  return uselessness(
    core,
    kind === 'prepare' ? 'X1' : 'X2',
    signer,
    core.votes.placement(kind, signer, vote),
  );
}

function uselessness(
  core: Core,
  rule: 'X1' | 'X2',
  signer: number,
  placement: Placement,
): IgnoreReason | undefined {
  switch (placement.kind) {
    case 'stored':
      return undefined;
    case 'useless':
      return placement.reason;
    case 'conflict':
      break;
  }
  // Worth its signature check once, as evidence.
  return core.isAccused(rule, signer) ? 'known-offender' : undefined;
}

/** Files a vote. */
export function onVote(core: Core, message: PrepareMessage | CommitMessage): void {
  // Nobody correct votes at a height before it has committed the one below.
  if (message.vote.epoch === core.members.epoch)
    noteHeight(core, message.signer, message.vote.height - 1);
  const placement = core.votes.store(message.kind, message);
  if (placement.kind === 'conflict') {
    const { earlier } = placement;
    core.accuse(message.kind === 'prepare' ? 'X1' : 'X2', message.signer, [
      { kind: message.kind, ...earlier },
      message,
    ]);
  }
  accuseVote(core, message);
}

/** R1, R2 for PRE-PREPARE. */
export function wantsPrePrepare(
  core: Core,
  from: PeerId,
  message: PrePrepareMessage,
): IgnoreReason | undefined {
  if (message.epoch !== core.members.epoch) return 'other-epoch';
  const leader = core.members.leader(message.view);
  if (core.members.indexOf(from) !== leader) return 'not-leader';
  const vote = voteOfProposal(message);
  const placement = core.votes.placement('prepare', leader, vote);
  const useless = uselessness(core, 'X1', leader, placement);
  if (useless === undefined) return undefined;
  // The leader's vote may have come before its proposal, by another message.
  return useless === 'duplicate' && !holdsProposal(core, vote) ? undefined : useless;
}

function holdsProposal(core: Core, { view, height, digest }: Vote): boolean {
  return Object.values(core.proposals).some(
    (held) =>
      held !== undefined &&
      held.view === view &&
      held.header.height === height &&
      headerDigest(held.header) === digest,
  );
}

/** Files a proposal, its vote, and its body if it is for the present view and the next height. */
export function onPrePrepare(core: Core, message: PrePrepareMessage): void {
  const vote = voteOfProposal(message);
  const signer = core.members.leader(message.view);
  const { signature } = message;
  const prepare: PrepareMessage = { kind: 'prepare', vote, signer, signature };
  onVote(core, prepare);
  if (core.isAccused('X1', signer) && message.view === core.voter.view) {
    wishFor(core, core.voter.view + 1, 'equivocation');
  }
  fileProposal(core, message);
}

function fileProposal(core: Core, message: PrePrepareMessage): void {
  const { view } = core.voter;
  const { height } = message.header;
  if (message.view > view) {
    // Without its body: nobody may fill our memory with views that may never come (2.14).
    const known = core.proposals.future;
    if (known === undefined || known.view < message.view) {
      core.proposals.future = { ...message, body: undefined };
    }
  } else if (message.view === view && height === core.nextHeight) {
    core.proposals.current ??= message;
  } else if (message.view === view && height === core.nextHeight + 1) {
    if (!core.mutant('early-proposal-dropped')) core.proposals.next ??= message;
  }
}

/** Files the slots anew after the view or the height has changed (N10). */
export function refileProposals(core: Core): void {
  const { current, next, future } = core.proposals;
  core.proposals = {};
  core.proposal = undefined;
  core.proposalRefused = false;
  for (const message of [current, next, future]) {
    if (message !== undefined && message.view >= core.voter.view) fileProposal(core, message);
  }
}

// ---- rules

/** N3: looks at the leader's proposal for the next height once the view is open. */
export function considerProposal(core: Core): boolean {
  const message = core.proposals.current;
  const { active } = core.voter;
  if (message === undefined || active === undefined || core.proposal !== undefined) return false;
  if (core.proposalRefused) return false;
  if (message.nv !== active.nv || core.isLeader) return false;
  if (core.nextHeight <= active.base && !core.mutant('vote-at-base')) return false;
  const { header } = message;
  const digest = headerDigest(header);
  const { committed, committedDigest, epoch } = core.voter;
  const problem =
    successorProblem(header, committed.header, committedDigest, epoch, core.mutants) ??
    mandateProblem(core, digest);
  if (problem !== undefined) {
    core.event({ event: 'proposal-refused', height: header.height, reason: problem });
    wishFor(core, core.voter.view + 1, 'bad-proposal');
    core.proposalRefused = true;
    return true;
  }
  if (message.body !== undefined) holdBatch(core, digest, { header, body: message.body });
  core.proposal = { digest, header, message };
  return true;
}

function mandateProblem(core: Core, digest: Digest): string | undefined {
  const { active } = core.voter;
  if (active?.mandate === undefined || core.nextHeight !== active.base + 1) return undefined;
  if (digest === active.mandate || core.mutant('mandate-ignored')) return undefined;
  return 'contradicts the mandate of the view';
}

/** N2, N6: votes for a proposal that was found valid. */
export function voteForProposal(core: Core): boolean {
  const { proposal } = core;
  const { active, signer, view, epoch } = core.voter;
  if (proposal === undefined || active === undefined || signer === undefined) return false;
  const name = `${view}/${proposal.digest}`;
  if (core.asked.vote === name) return false;
  if (obtain(core, proposal.digest)?.kind !== 'valid' || isFromFuture(core)) return false;
  const { digest, header } = proposal;
  const vote: Vote = { epoch, view, nv: active.nv, height: header.height, digest };
  const grant = grantPrepare(core.voter, vote, core.mutants);
  if (grant.kind === 'refused') return false;
  if (grant.kind === 'granted') core.voter = grant.next;
  keepBody(core, digest);
  core.asked.vote = name;
  core.signVote({ kind: core.isLeader ? 'pre-prepare' : 'prepare', vote });
  return true;
}

/** N5: a voting rule for fresh proposals only, or a slow re-proposal could become unproposable. */
function isFromFuture(core: Core): boolean {
  const { proposal } = core;
  if (proposal === undefined || core.mutant('clock-unchecked')) return false;
  if (core.voter.active?.mandate === proposal.digest || core.isLeader) return false;
  return proposal.header.timestampMs > core.wallMs + core.config.limits.clockSkewMaxMs;
}

/** N7: commits to a batch once a quorum is known to hold it. */
export function commitToPrepared(core: Core): boolean {
  // One COMMIT per view and height; a second certificate would need more than F faulty members.
  if (core.asked.commit !== undefined) return false;
  if (core.nextHeight <= core.base && !core.mutant('vote-at-base')) return false;
  const certificate = assembleCertificate(
    core.members,
    'prepare',
    countedPrepares(core),
    countsAs(core.mutant('nv-unchecked') || core.mutant('epoch-unchecked')),
  );
  if (certificate === undefined) return false;
  const { digest } = certificate.vote;
  if (obtain(core, digest)?.kind !== 'valid') return false;
  const header = core.bodies.get(digest)?.header;
  if (header === undefined) return false;
  const grant = grantCommit(core.voter, { header, certificate }, core.mutants);
  if (grant.kind === 'refused') return false;
  if (grant.kind === 'granted') core.voter = grant.next;
  keepBody(core, digest);
  core.asked.commit = `${core.voter.view}/${digest}`;
  core.signVote({ kind: 'commit', vote: { ...certificate.vote } });
  if (core.mutant('cosign-at-commit-vote')) {
    const { epoch, height, size, root } = header;
    core.sign({ key: 'cosign', epoch, height, size, root });
  }
  return true;
}

/** PREPAREs of the open view; none while there is no open view. */
function countedPrepares(core: Core): readonly SignedVote[] {
  if (core.isActive) return core.votes.current('prepare').filter(({ vote }) => hasNv(core, vote));
  return core.mutant('commit-in-old-view') ? core.votes.allPast('prepare') : [];
}

function hasNv(core: Core, vote: Vote): boolean {
  return vote.nv === core.voter.active?.nv || core.mutant('nv-unchecked');
}

/** N8, first half: notices that a batch is decided, by COMMITs of any one view. */
export function noticeDecision(core: Core): boolean {
  if (core.decision !== undefined) return false;
  const pooled = core.mutant('commit-votes-pooled');
  const votes: SignedVote[] = [...core.votes.current('commit')];
  if (pooled) {
    const signers = new Set(votes.map(({ signer }) => signer));
    votes.push(...core.votes.allPast('commit').filter(({ signer }) => !signers.has(signer)));
  }
  const certificate = assembleCertificate(
    core.members,
    'commit',
    votes,
    countsAs(pooled || core.mutant('epoch-unchecked')),
  );
  if (certificate === undefined) return false;
  core.decision = { digest: certificate.vote.digest, certificate };
  return true;
}

// ---- own signatures

/** Sends and files an own vote, now that it is signed. */
export function onSignedVote(
  core: Core,
  content: Extract<SignedContent, { kind: 'pre-prepare' | 'prepare' | 'commit' }>,
  signature: Uint8Array,
): void {
  const signer = core.members.self;
  const { vote } = content;
  if (signer === undefined || vote.epoch !== core.members.epoch) return;
  // The height may have been decided while it was being signed: others still want the vote.
  const isLive = vote.view === core.voter.view && vote.height === core.nextHeight;
  if (content.kind === 'commit') {
    const message: CommitMessage = { kind: 'commit', vote, signer, signature };
    if (isLive) core.own.commit = message;
    core.votes.store('commit', message);
    core.send(core.members.others, message);
    return;
  }
  const prepare: PrepareMessage = { kind: 'prepare', vote, signer, signature };
  core.votes.store('prepare', prepare);
  const batch = core.bodies.get(vote.digest);
  if (content.kind === 'prepare' || batch === undefined) {
    if (isLive) core.own.prepare = prepare;
    core.send(core.members.others, prepare);
    return;
  }
  const { epoch, view, nv } = vote;
  const { header } = batch;
  const bare = {
    kind: 'pre-prepare',
    epoch,
    view,
    nv,
    header,
    body: undefined,
    signature,
  } as const;
  if (isLive) core.own.prePrepare = bare;
  // Those who voted for a re-proposed batch before have its body; the others ask for it (N11).
  const isFresh = core.voter.active?.mandate !== vote.digest;
  const body = isFresh ? shortened(core, view, header, batch.body) : {};
  core.send(core.members.others, { ...bare, ...body });
}
