// Applying a decided batch and cosigning the checkpoint that it makes (N8, N9, P6, P7).
import { noteHeight } from './catch-up.ts';
import type { Core } from './core.ts';
import { CosignDoubts } from './cosign-doubts.ts';
import { doubtCommitted, doubtCosign, wantsPastCosign } from './doubting.ts';
import { isFullBatch } from './exposure.ts';
import { onCommittedRequests, restartExposure } from './fairness.ts';
import { obtain } from './fetching.ts';
import { notePace } from './late-leader.ts';
import { Members } from '../../verifier/replication/members.ts';
import type { CosignMessage, PeerId, ReplicaIndex } from '../../verifier/replication/messages.ts';
import { refileProposals } from './normal-case.ts';
import { forgetAhead } from './prefetching.ts';
import type { CheckedContent, CosignRequest, IgnoreReason } from './types.ts';
import { successorProblem } from '../../verifier/replication/validate.ts';
import { grantCosign } from './voter.ts';
import { commitTo, startEpoch } from './voter-state.ts';
import { VoteBook } from './votes.ts';

/** N8: applies the decision on the next height, once its body is here and found valid. */
export function applyDecision(core: Core): boolean {
  const { decision } = core;
  if (decision === undefined) return false;
  const { digest, certificate } = decision;
  const check = obtain(core, digest);
  const batch = core.bodies.get(digest);
  if (check?.kind === 'invalid') core.halt(`a decided batch is invalid here: ${check.reason}`);
  if (check?.kind !== 'valid' || batch === undefined) return false;
  const { header, body } = batch;
  const { committed, committedDigest, epoch } = core.voter;
  const problem = successorProblem(header, committed.header, committedDigest, epoch, core.mutants);
  if (problem !== undefined) {
    core.halt(`a decided batch does not follow the log: ${problem}`);
    return false;
  }
  core.write({
    kind: 'commit',
    digest,
    header,
    body,
    certificate,
    nextRoster: check.nextRoster,
  });
  core.announce({ header, digest, ids: check.ids, certificate });
  core.voter = commitTo(core.voter, { header, certificate }, digest);
  doubtCommitted(core, committed.header);
  startHeight(core);
  if (check.nextRoster !== undefined) startNextEpoch(core, check.nextRoster);
  const bytes = body.reduce((sum, entry) => sum + entry.length, 0);
  const isFull = isFullBatch(core.config.limits, check.ids.length, bytes);
  notePace(core, check.ids);
  onCommittedRequests(core, check.ids, { height: header.height, isFull });
  cosignNewest(core);
  reportCosigned(core);
  return true;
}

/** Nothing that was known about the height before is of use at the next. */
function startHeight(core: Core): void {
  core.decision = undefined;
  core.bodies.clear();
  core.durableBodies.clear();
  core.checks.clear();
  core.fetches.clear();
  core.building = undefined;
  core.rebuilds = 0;
  core.asked = { cosignTick: core.asked.cosignTick };
  core.own = { viewChange: core.own.viewChange };
  core.votes.moveTo(core.voter.view, core.nextHeight);
  refileProposals(core);
  forgetAhead(core);
  // W6: progress; the next timer starts from the beginning.
  core.timerTick = undefined;
  core.timerRound = 0;
  core.catchUp.behindTick = undefined;
}

/** P7: one transaction ends the old epoch and begins the new one. */
function startNextEpoch(core: Core, roster: NonNullable<CheckedContent['nextRoster']>): void {
  const { header } = core.voter.committed;
  const members = new Members(roster, core.config.self, core.mutants);
  core.members = members;
  core.epochStart = header;
  const { committedDigest, cosigned } = core.voter;
  core.voter = startEpoch(members.epoch, members.self, header, committedDigest, cosigned);
  core.opening = undefined;
  core.newViewSignature = undefined;
  core.votes = new VoteBook(members.count, 0, core.nextHeight);
  core.proposals = {};
  core.sentAhead = undefined;
  core.received = undefined;
  core.own = {};
  core.wish = 0;
  core.wishes = Array.from({ length: members.count }, () => 0);
  core.viewChanges.clear();
  core.cosigns.clear();
  core.doubts = new CosignDoubts(header);
  core.accused.clear();
  core.proofs.clear();
  core.recheck = undefined;
  core.catchUp = { ...core.catchUp, queue: [] };
  core.pool.retain(new Set(members.peers));
  restartExposure(core);
  core.event({ event: 'epoch-started', epoch: members.epoch, member: members.self !== undefined });
}

// ---- cosignatures

/** N9: asks for a cosignature on the newest checkpoint, unless a newer one is about to come. */
export function cosignNewest(core: Core): void {
  const { header } = core.voter.committed;
  if (header.height === 0 || core.members.self === undefined) return;
  if (core.catchUp.queue.some((batch) => batch.header.height > header.height)) return;
  const { height, size, root } = header;
  const grant = grantCosign(core.voter, size, root, core.mutants);
  if (grant.kind !== 'granted') return;
  core.voter = grant.next;
  core.asked.cosignTick = core.tick;
  core.sign({ key: 'cosign', epoch: core.members.epoch, height, size, root });
}

/** Keeps freshness up without a consensus round. */
export function cosignAgainIfDue(core: Core): void {
  if (core.tick - core.asked.cosignTick >= core.config.timing.cosignTicks) cosignNewest(core);
}

/** Sends and files an own cosignature. */
export function onSignedCosign(
  core: Core,
  request: CosignRequest,
  time: number,
  signature: Uint8Array,
): void {
  const signer = core.members.self;
  if (signer === undefined || request.epoch !== core.members.epoch) return;
  const { epoch, height, size, root } = request;
  const message: CosignMessage = {
    kind: 'cosign',
    epoch,
    height,
    size,
    root,
    time,
    signer,
    signature,
  };
  core.own.cosign = message;
  fileCosign(core, message);
  core.send(core.members.others, message);
}

/** R2 for COSIGN: the last two sizes of each member, newer times for the same size; what may be false. */
export function wantsCosign(
  core: Core,
  from: PeerId,
  message: CosignMessage,
): IgnoreReason | undefined {
  if (message.epoch !== core.members.epoch) return 'other-epoch';
  if (core.members.indexOf(from) !== message.signer) return 'wrong-signer';
  if (message.size < core.voter.committed.header.size) return wantsPastCosign(core, message);
  const kept = core.cosigns.get(message.signer) ?? [];
  const same = kept.find(({ size }) => size === message.size);
  if (same !== undefined) {
    if (same.root !== message.root) {
      return core.isAccused('X7', message.signer) ? 'known-offender' : undefined;
    }
    if (message.time <= same.time) return 'duplicate';
    // Each fresh one makes a new note on the disk. Members sign anew once in a minute or so.
    return isTooSoon(core, message.signer) ? 'too-often' : undefined;
  }
  const isOlder = kept.length >= 2 && kept.every(({ size }) => size > message.size);
  return isOlder ? 'slot-taken' : undefined;
}

function isTooSoon(core: Core, signer: ReplicaIndex): boolean {
  const peer = core.members.peers[signer];
  return (
    peer !== undefined && core.tick - core.peer(peer).cosignTick < core.config.timing.statusTicks
  );
}

/** Files a cosignature of somebody else. */
export function onCosign(core: Core, message: CosignMessage): void {
  const { size } = core.voter.committed.header;
  if (message.size <= size) doubtCosign(core, message);
  if (message.size < size) return;
  const peer = core.members.peers[message.signer];
  if (peer !== undefined) core.peer(peer).cosignTick = core.tick;
  noteHeight(core, message.signer, message.height);
  fileCosign(core, message);
}

function fileCosign(core: Core, message: CosignMessage): void {
  const kept = core.cosigns.get(message.signer) ?? [];
  const same = kept.find(({ size }) => size === message.size);
  if (same !== undefined && same.root !== message.root) {
    core.accuse('X7', message.signer, [same, message]);
    return;
  }
  const newest = [...kept.filter(({ size }) => size !== message.size), message].sort(
    (a, b) => b.size - a.size,
  );
  core.cosigns.set(message.signer, newest.slice(0, 2));
  // One for another size changes nothing about the note that is served: sizes to come cost nothing.
  if (message.size === core.voter.committed.header.size) reportCosigned(core);
}

/** Tells the driver when the newest checkpoint has a quorum of cosignatures, and of each fresh one. */
export function reportCosigned(core: Core): void {
  const { height, size, root } = core.voter.committed.header;
  const cosignatures = [];
  for (const [signer, messages] of core.cosigns) {
    const match = messages.find((message) => message.size === size && message.root === root);
    if (match !== undefined) {
      cosignatures.push({ signer, time: match.time, signature: match.signature });
    }
  }
  if (!core.members.isQuorum(cosignatures.map(({ signer }) => signer))) return;
  cosignatures.sort((a, b) => a.signer - b.signer);
  core.cosigned({ epoch: core.members.epoch, height, size, root, cosignatures });
}
