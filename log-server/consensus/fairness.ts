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
import type { AdmitAnswer, IgnoreReason } from './types.ts';
import { wishFor } from './wishing.ts';

// Bytes of requests in one FORWARD: small enough to go between two votes without delaying them.
const FORWARD_BYTES_MAX = 1024 * 1024;
// Requests per FORWARD and requests relayed per tick; the next tick takes the next ones.
const FORWARD_COUNT_MAX = 256;
// Requests that are looked at again before a silent leader is suspected on their account.
const RECHECK_MAX = 64;
// S2 of Q5: batches that may pass a request by although they had room for it.
const ROOMY_BATCHES_MAX = 8;
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
    if (core.pool.add(answer.lane, request) && !core.relayDue.has(request.id)) {
      dueLater(core, request.id);
    }
  }
}

/** Q2: keeps the leader supplied, at most as much as its lane for us holds. */
export function forwardToLeader(core: Core): void {
  if (core.members.self === undefined || !core.isActive || core.isLeader) return;
  const requests: Request[] = [];
  let bytes = 0;
  while (core.exposed.size < core.config.limits.laneRequestsMax) {
    const request = core.pool.nextToForward();
    if (request === undefined) break;
    if (core.exposed.has(request.id)) continue;
    core.exposed.set(request.id, core.committedHeight);
    requests.push(request);
    bytes += request.bytes.length;
    if (requests.length >= FORWARD_COUNT_MAX || bytes >= FORWARD_BYTES_MAX) {
      sendForward(core, [core.leaderPeer], requests.splice(0));
      bytes = 0;
    }
  }
  sendForward(core, [core.leaderPeer], requests);
}

function sendForward(core: Core, to: readonly PeerId[], requests: readonly Request[]): void {
  if (requests.length === 0) return;
  core.send(to, { kind: 'forward', epoch: core.members.epoch, requests });
}

function dueLater(core: Core, id: Digest): void {
  core.relayDue.set(id, core.tick + core.config.timing.relayTicks);
}

/**
 * Q3: own requests that wait for too long go to everybody, again and again until they commit. Those of
 * others go to the leader again: its FORWARD may have been lost, and their owner may be gone.
 */
export function relayOverdue(core: Core): void {
  if (core.members.self === undefined) return;
  const forAll: Request[] = [];
  const forLeader: Request[] = [];
  let bytes = 0;
  for (const [id, due] of core.relayDue) {
    const isFull =
      forAll.length + forLeader.length >= FORWARD_COUNT_MAX || bytes >= FORWARD_BYTES_MAX;
    if (due > core.tick || isFull) break;
    core.relayDue.delete(id);
    const request = core.pool.find(id);
    if (request === undefined) continue;
    dueLater(core, id);
    // Without an open view there is no leader to ask: the others may be in one.
    if (core.pool.holds(core.config.self, id) || !core.isActive) forAll.push(request);
    else if (core.exposed.has(id)) forLeader.push(request);
    bytes += request.bytes.length;
  }
  if (!core.mutant('relay-missing')) sendForward(core, core.members.others, forAll);
  if (core.isActive && !core.isLeader) sendForward(core, [core.leaderPeer], forLeader);
}

/** A new view: its leader knows nothing of what the one before was given. */
export function restartExposure(core: Core): void {
  core.exposed.clear();
  core.pool.restartForwarding();
}

/** Q5, Q6: after a commit. */
export function onCommittedRequests(core: Core, ids: readonly Digest[], wasFull: boolean): void {
  core.pool.remove(ids);
  for (const id of ids) {
    core.exposed.delete(id);
    core.relayDue.delete(id);
    if (id === core.starvationWitness) {
      core.starvationWitness = undefined;
      core.starvations = 0;
    }
  }
  suspectStarvation(core, wasFull);
}

/** The request that has been with the leader for longest tells for all: the others wait less. */
function suspectStarvation(core: Core, wasFull: boolean): void {
  if (core.isLeader || core.recheck !== undefined || core.mutant('starvation-blind')) return;
  for (const [id, since] of core.exposed) {
    const request = core.pool.find(id);
    if (request === undefined) {
      core.exposed.delete(id);
      continue;
    }
    if (!isStarved(core, since, wasFull)) return;
    recheck(core, 'starved', [request]);
    return;
  }
}

/** Q5. Heights since the leader got the request, against what its lane may hold before it. */
function isStarved(core: Core, since: number, wasFull: boolean): boolean {
  const { laneRequestsMax, batchRequestsMax } = core.config.limits;
  const patience = 2 ** Math.min(core.starvations, STARVATION_DOUBLINGS_MAX);
  const turns = Math.ceil((core.members.count * laneRequestsMax) / batchRequestsMax) + 2;
  const waited = core.committedHeight - since;
  return waited >= turns * patience || (!wasFull && waited >= ROOMY_BATCHES_MAX * patience);
}

/** Before anybody is suspected: the requests may have become invalid meanwhile (Q6). */
export function recheck(
  core: Core,
  cause: 'timer' | 'starved',
  requests: readonly Request[],
): void {
  core.recheck = { cause, view: core.voter.view, height: core.committedHeight };
  core.admit({ lane: core.config.self, recheck: true, requests });
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
  core.pool.remove(answer.refused);
  for (const id of answer.refused) {
    core.exposed.delete(id);
    core.relayDue.delete(id);
  }
  const waiting = answer.accepted.filter(({ id }) => core.pool.has(id));
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
