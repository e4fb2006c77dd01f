// Requests that wait for too long go to everybody (CONSENSUS.md Q3): alone nobody can bring down a leader that
// is dead, cut off from their owner, or unwilling.
//
// Time alone does not tell. A log that is busy, or whose machines are slow, lets every request wait for
// seconds, and each of them sent to everybody is n copies to be judged at the moment when there is the least to
// spare. So a request goes to everybody when the log stands still, or when it moves on without the request
// although the leader has been reminded of it or must have come to it: by batches, as Q5 counts. A replica that
// is behind sees only batches of long ago, which tell nothing: there time has to do.
import type { Core } from './core.ts';
import type { Digest, PeerId, Request } from '../../verifier/replication/messages.ts';
import { RECHECK_MAX, recheck } from './rechecking.ts';

// Bytes of requests in one FORWARD: small enough to go between two votes without delaying them.
const FORWARD_BYTES_MAX: number = 1024 * 1024;

// Requests per FORWARD.
const FORWARD_COUNT_MAX = 256;

/** Sends requests, as many messages as that takes. */
export function sendForward(core: Core, to: readonly PeerId[], requests: readonly Request[]): void {
  let part: Request[] = [];
  let bytes = 0;
  for (const request of requests) {
    part.push(request);
    bytes += request.bytes.length;
    if (part.length < FORWARD_COUNT_MAX && bytes < FORWARD_BYTES_MAX) continue;
    core.send(to, { kind: 'forward', epoch: core.members.epoch, requests: part });
    part = [];
    bytes = 0;
  }
  if (part.length === 0) return;
  core.send(to, { kind: 'forward', epoch: core.members.epoch, requests: part });
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
 * others go to the leader again: its FORWARD may have been lost, and their owner may be gone. All of them
 * are looked at again first (Q6): what a rival has made invalid would go round for ever.
 */
export function relayOverdue(core: Core): void {
  if (core.members.self === undefined) return;
  if (core.isActive) core.activeTick = core.tick;
  for (const [id, due] of core.relayDue) {
    if (due > core.tick) break;
    core.relayDue.delete(id);
    core.overdue.add(id);
  }
  if (core.recheck !== undefined) return;
  const isBlind = seesNothing(core) || core.foundInvalid;
  // Batches tell, so that each is looked at once.
  if (!isBlind && core.relayedHeight === core.committedHeight) return;
  const chosen: Request[] = [];
  for (const id of core.overdue) {
    // The next tick goes on.
    if (chosen.length >= RECHECK_MAX) {
      recheck(core, 'overdue', chosen);
      return;
    }
    const request = core.pool.find(id);
    if (request === undefined) core.overdue.delete(id);
    if (request === undefined || !(isBlind || isPassedBy(core, id))) continue;
    core.overdue.delete(id);
    dueLater(core, id);
    chosen.push(request);
  }
  core.relayedHeight = core.committedHeight;
  core.foundInvalid = false;
  if (chosen.length > 0) recheck(core, 'overdue', chosen);
}

/** Sends what is overdue and valid to those whom it concerns, as far as it still has a reason. */
export function relayValid(core: Core, requests: readonly Request[]): void {
  const isBlind = seesNothing(core);
  const chosen = requests.filter(({ id }) => isBlind || isPassedBy(core, id));
  // Without an open view there is no leader to ask: the others may be in one.
  const forAll = chosen.filter(({ id }) => core.pool.holds(core.config.self, id) || !core.isActive);
  // The leader gets what its lane has room for. More would take the place of what comes next.
  const forLeader = chosen.filter(({ id }) => core.exposed.has(id));
  const leader = core.isActive ? core.leaderPeer : undefined;
  const others = core.members.others.filter((peer) => peer !== leader);
  if (!core.mutant('relay-missing')) sendForward(core, others, forAll);
  if (leader !== undefined && !core.isLeader) sendForward(core, [leader], forLeader);
}

function isPassedBy({ exposed, committedHeight, members }: Core, id: Digest): boolean {
  return exposed.isPassedBy(id, committedHeight, members.count);
}

/**
 * Whether batches don't tell how a request fares: for too long nothing was committed, or there was no leader to
 * commit anything; or what is read now was decided long ago.
 */
function seesNothing({ tick, commitTick, activeTick, config, isCutOff }: Core): boolean {
  return isCutOff || tick - Math.min(commitTick, activeTick) >= config.timing.relayTicks;
}
