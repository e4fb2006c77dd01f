// Which heights go on the leader's account (leader-pace.ts), what becomes of one that owes too much, and how all
// of the others come to see what one gateway sees.
import type { Core } from './core.ts';
import type { Digest } from '../../verifier/replication/messages.ts';
import { sendForward } from './relaying.ts';
import { wishFor } from './wishing.ts';

/**
 * After a commit, before its requests are forgotten. Only a height at which the leader had something of ours
 * counts, from when it had it; and only when something that has waited for long is in this very batch the
 * leader is suspected, because that was valid all the time. If it leaves those out instead, Q5 counts.
 */
export function notePace(core: Core, ids: readonly Digest[]): void {
  const { exposed, pace, tick } = core;
  const since = exposed.oldestTick();
  if (since === undefined || !core.isActive || core.isLeader || core.isCutOff) return;
  pace.pass(tick - Math.max(since, core.commitTick));
  if (core.mutant('delays-forgiven')) pace.restart();
  if (!pace.isTooLate || core.wish > core.voter.view) return;
  const isProven = ids.some((id) => {
    const given = exposed.tickOf(id);
    return given !== undefined && pace.isLong(tick - given);
  });
  if (isProven) wishFor(core, core.voter.view + 1, 'slow');
}

/**
 * A leader could be late only when nobody but one gateway has given it anything, and one wish moves nobody.
 * So as long as it owes, one own request at a time goes to everybody at once: then all of them wait for it.
 */
export function showWhatWaits(core: Core): void {
  const { exposed, pace, pool, config } = core;
  if (!pace.isLate || !core.isActive || core.isLeader) return;
  if (pace.shown !== undefined && pool.has(pace.shown)) return;
  const id = exposed.oldest((one) => pool.holds(config.self, one));
  const request = id === undefined ? undefined : pool.find(id);
  pace.shown = request?.id;
  if (request === undefined || core.mutant('relay-missing')) return;
  const others = core.members.others.filter((peer) => peer !== core.leaderPeer);
  sendForward(core, others, [request]);
}
