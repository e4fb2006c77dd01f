// Requests that wait for too long go to everybody (CONSENSUS.md Q3): alone nobody can bring down a leader that
// is dead, cut off from their owner, or unwilling.
//
// Time alone does not tell. A log that is busy, or whose machines are slow, lets every request wait for
// seconds, and each of them sent to everybody is n copies to be judged at the moment when there is the least to
// spare. So a request goes to everybody when the log stands still, or when it moves on without the request
// although the leader has been reminded of it or must have come to it: by batches, as Q5 counts.
import type { Core } from './core.ts';
import type { Digest, PeerId, Request } from '../../verifier/replication/messages.ts';

/** Bytes of requests in one FORWARD: small enough to go between two votes without delaying them. */
export const FORWARD_BYTES_MAX: number = 1024 * 1024;

/** Requests per FORWARD and requests relayed per tick; the next tick takes the next ones. */
export const FORWARD_COUNT_MAX = 256;

/** Sends requests, if there are any. */
export function sendForward(core: Core, to: readonly PeerId[], requests: readonly Request[]): void {
  if (requests.length === 0) return;
  core.send(to, { kind: 'forward', epoch: core.members.epoch, requests });
}

/** From when on it counts how a request fares. */
export function dueLater(core: Core, id: Digest): void {
  core.relayDue.set(id, core.tick + core.config.timing.relayTicks);
}

/** Whether somebody has an eye on a request already. */
export function isRelayed(core: Core, id: Digest): boolean {
  return core.relayDue.has(id) || core.overdue.has(id);
}

/** It is committed, or invalid now. */
export function forgetRelay(core: Core, id: Digest): void {
  core.relayDue.delete(id);
  core.overdue.delete(id);
}

/**
 * Q3: own requests that wait for too long go to everybody, again and again until they commit. Those of
 * others go to the leader again: its FORWARD may have been lost, and their owner may be gone.
 */
export function relayOverdue(core: Core): void {
  if (core.members.self === undefined) return;
  if (core.isActive) core.activeTick = core.tick;
  for (const [id, due] of core.relayDue) {
    if (due > core.tick) break;
    core.relayDue.delete(id);
    core.overdue.add(id);
  }
  const isStill = standsStill(core);
  // Batches tell, so that each is looked at once.
  if (!isStill && core.relayedHeight === core.committedHeight) return;
  const forAll: Request[] = [];
  const forLeader: Request[] = [];
  let bytes = 0;
  for (const id of core.overdue) {
    // The next tick goes on.
    if (forAll.length + forLeader.length >= FORWARD_COUNT_MAX || bytes >= FORWARD_BYTES_MAX) {
      relay(core, forAll, forLeader);
      return;
    }
    const request = core.pool.find(id);
    if (request === undefined) core.overdue.delete(id);
    if (request === undefined || !(isStill || isPassedBy(core, id))) continue;
    core.overdue.delete(id);
    dueLater(core, id);
    // Without an open view there is no leader to ask: the others may be in one.
    if (core.pool.holds(core.config.self, id) || !core.isActive) forAll.push(request);
    // The leader gets what its lane has room for. More would take the place of what comes next.
    if (core.exposed.has(id)) forLeader.push(request);
    bytes += request.bytes.length;
  }
  core.relayedHeight = core.committedHeight;
  relay(core, forAll, forLeader);
}

function isPassedBy({ exposed, committedHeight, members }: Core, id: Digest): boolean {
  return exposed.isPassedBy(id, committedHeight, members.count);
}

/** Whether for too long nothing was committed, or there was no leader to commit anything. */
function standsStill({ tick, commitTick, activeTick, config }: Core): boolean {
  return tick - Math.min(commitTick, activeTick) >= config.timing.relayTicks;
}

function relay(core: Core, forAll: readonly Request[], forLeader: readonly Request[]): void {
  const leader = core.isActive ? core.leaderPeer : undefined;
  const others = core.members.others.filter((peer) => peer !== leader);
  if (!core.mutant('relay-missing')) sendForward(core, others, forAll);
  if (leader !== undefined && !core.isLeader) sendForward(core, [leader], forLeader);
}
