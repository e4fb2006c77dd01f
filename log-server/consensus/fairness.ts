// Requests on their way into a batch, and the suspicion of leaders that leave them out
// (CONSENSUS.md 2.5). Suspicion is counted in batches, per request: an overloaded honest leader is not
// accused, and a leader that serves everybody but one is found out.
import type { Core } from './core.ts';
import type {
  Digest,
  ForwardMessage,
  PeerId,
  Request,
} from '../../verifier/replication/messages.ts';
import { type PassingBatch, ROOMY_BATCHES_MAX } from './exposure.ts';
import { showWhatWaits } from './late-leader.ts';
import { dueLater, forgetRelay, isRelayed, relayValid, sendForward } from './relaying.ts';
import { RECHECK_MAX, recheck } from './rechecking.ts';
import type { AdmitAnswer, IgnoreReason } from './types.ts';
import { wishFor } from './wishing.ts';

// Largest exponent of the back-off j; 2^20 batches is as good as never.
const STARVATION_DOUBLINGS_MAX = 20;

/** Q1: takes a client's request, which the application has admitted. */
export function onSubmit(core: Core, request: Request): void {
  if (core.members.self === undefined) {
    core.ignore('not-member');
  } else if (core.pool.holds(core.config.self, request.id)) {
    core.ignore('duplicate');
  } else if (core.pool.add(core.config.self, request)) {
    dueLater(core, request.id);
  } else {
    core.ignore('pool-full');
  }
}

/** R1, R2 for FORWARD. */
export function wantsForward(
  core: Core,
  from: PeerId,
  message: ForwardMessage,
): IgnoreReason | undefined {
  if (message.epoch !== core.members.epoch) return 'other-epoch';
  if (core.members.indexOf(from) === undefined) return 'unknown-sender';
  if (core.pool.room(from) <= core.peer(from).admitting) return 'lane-full';
  return message.requests.some(({ id }) => !core.pool.holds(from, id)) ? undefined : 'duplicate';
}

/** Q3: hands a peer's requests to the application; only admitted ones enter its lane. */
export function onForward(core: Core, from: PeerId, message: ForwardMessage): void {
  const info = core.peer(from);
  // What finds no room is dropped; its owner sends it again (Q3).
  const requests = message.requests
    .filter(({ id }) => !core.pool.holds(from, id))
    .slice(0, core.pool.room(from) - info.admitting);
  info.admitting += requests.length;
  core.admit({ lane: from, recheck: false, requests });
}

/** Takes the application's answer about requests. */
export function onAdmitted(core: Core, answer: AdmitAnswer): void {
  if (answer.recheck) {
    onRechecked(core, answer);
    return;
  }
  const info = core.peer(answer.lane);
  info.admitting = Math.max(0, info.admitting - answer.accepted.length - answer.refused.length);
  if (core.members.indexOf(answer.lane) === undefined) return;
  for (const request of answer.accepted) {
    if (core.pool.add(answer.lane, request) && !isRelayed(core, request.id)) {
      dueLater(core, request.id);
    }
  }
}

/** Q2: keeps the leader supplied, at most as much as its lane for us holds. */
export function forwardToLeader(core: Core): void {
  if (core.members.self === undefined || !core.isActive || core.isLeader) return;
  const requests: Request[] = [];
  let since: number | undefined;
  for (;;) {
    const request = core.pool.nextToForward((next) =>
      core.exposed.hasRoomFor(next, isRelayedHere(core, next)),
    );
    if (request === undefined) break;
    if (core.exposed.has(request.id)) continue;
    since ??= knownHeight(core);
    core.exposed.add(request, since, core.tick, isRelayedHere(core, request));
    requests.push(request);
  }
  sendForward(core, [core.leaderPeer], requests);
  showWhatWaits(core);
}

function isRelayedHere({ pool, config }: Core, { id }: Request): boolean {
  return !pool.holds(config.self, id);
}

/**
 * The height that the log has surely reached: a weak quorum of the others says so, and one of them is
 * correct. 0 as long as too few have said anything since this process was started.
 */
function claimedHeight({ members, peers }: Core): number {
  const claims = members.peers.map((peer, index) =>
    index === members.self ? 0 : (peers.get(peer)?.height ?? 0),
  );
  return members.reachedBy(claims, 'weak');
}

/** A batch that was decided before the leader got a request did not leave it out. */
function knownHeight(core: Core): number {
  return Math.max(core.committedHeight, claimedHeight(core));
}

/**
 * Whoever was just started, or finds the log far ahead, was cut off: the batches that it is going to read
 * were decided before the leader got anything, and what it sent to the leader meanwhile may be lost.
 * Nothing counts until it is abreast of the log. Nobody faulty can make that last: how far the log is, is
 * what a correct member says.
 */
export function noticeLag(core: Core): void {
  if (core.mutant('old-batches-counted')) return;
  const claimed = claimedHeight(core);
  const lag = claimed - core.committedHeight;
  if (core.isCutOff) {
    core.exposed.restart(Math.max(claimed, core.committedHeight));
    core.isCutOff = claimed === 0 || lag > 1;
  } else if (lag >= ROOMY_BATCHES_MAX) {
    core.isCutOff = true;
    restartExposure(core);
  }
}

/** A new view: its leader knows nothing of what the one before was given. */
export function restartExposure(core: Core): void {
  core.exposed.clear();
  core.pace.restart();
  core.pool.restartForwarding();
}

/** Requests that are committed, or that break a rule now, are nobody's business any more (Q6). */
export function forgetRequests(core: Core, ids: readonly Digest[]): void {
  core.pool.remove(ids);
  for (const id of ids) {
    core.exposed.delete(id);
    forgetRelay(core, id);
  }
}

/** Q5, Q6: after a commit. */
export function onCommittedRequests(core: Core, ids: readonly Digest[], batch: PassingBatch): void {
  forgetRequests(core, ids);
  core.commitTick = core.tick;
  if (core.starvationWitness !== undefined && ids.includes(core.starvationWitness)) {
    core.starvationWitness = undefined;
    core.starvations = 0;
  }
  core.exposed.pass(batch);
  noticeLag(core);
  sendDropped(core);
  suspectStarvation(core);
}

/** The leader has room for what is with it now: what it dropped for want of room goes there again. */
function sendDropped(core: Core): void {
  if (!core.isActive || core.isLeader) return;
  const ids = new Set([
    ...core.exposed.drain(core.committedHeight, core.members.count),
    ...core.exposed.remind(),
  ]);
  const requests = [...ids].flatMap((id) => core.pool.find(id) ?? []);
  sendForward(core, [core.leaderPeer], requests);
}

/** The requests that have been with the leader for longest tell for all. */
function suspectStarvation(core: Core): void {
  if (core.isLeader || core.recheck !== undefined || core.mutant('starvation-blind')) return;
  const patience = 2 ** Math.min(core.starvations, STARVATION_DOUBLINGS_MAX);
  const { committedHeight, members } = core;
  const ids = core.exposed.starved(committedHeight, members.count, patience, RECHECK_MAX);
  const requests = ids.flatMap((id) => core.pool.find(id) ?? []);
  if (requests.length > 0) recheck(core, 'starved', requests);
}

/** The oldest requests, for a view timer that runs on their account alone. */
export function recheckOldest(core: Core): void {
  recheck(core, 'timer', core.pool.oldest(RECHECK_MAX));
}

function onRechecked(core: Core, answer: AdmitAnswer): void {
  const { recheck: question } = core;
  if (question === undefined) {
    core.ignore('stale-token');
    return;
  }
  core.recheck = undefined;
  forgetRequests(core, answer.refused);
  if (answer.refused.length > 0) core.foundInvalid = true;
  const waiting = answer.accepted.filter(({ id }) => core.pool.has(id));
  if (question.cause === 'overdue') {
    relayValid(core, waiting);
    return;
  }
  const [witness] = waiting;
  if (witness === undefined || question.view !== core.voter.view) return;
  if (question.cause === 'timer') {
    if (question.height === core.committedHeight) wishFor(core, core.voter.view + 1, 'timer');
    return;
  }
  if (core.wish > core.voter.view) return;
  core.starvations += 1;
  core.starvationWitness ??= witness.id;
  wishFor(core, core.voter.view + 1, 'starved');
}
