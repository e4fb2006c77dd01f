// View synchronisation (CONSENSUS.md 2.7): one wish per member, amplified by a weak quorum, obeyed
// when a quorum has it. A wish does not stop a replica from taking part in its present view (W8).
import type { Core } from './core.ts';
import { recheckOldest } from './fairness.ts';
import { enterView } from './view-change.ts';
import { broadcastStatus, wishFor } from './wishing.ts';

/** W1: the own wish counts like any other. */
function wishesWithOwn(core: Core): readonly number[] {
  const { self } = core.members;
  if (self === undefined) return core.wishes;
  const own = Math.max(core.wish, core.voter.view);
  return core.wishes.map((wish, index) => (index === self ? own : wish));
}

/** Whether anybody wants to leave this view; nearly always nobody does. */
function isAnybodyAhead(core: Core): boolean {
  const { view } = core.voter;
  return core.wish > view || core.wishes.some((wish) => wish > view);
}

/** W4: where a weak quorum wants to go, at least one correct member has a reason to. */
export function amplifyWishes(core: Core): void {
  if (!isAnybodyAhead(core) || core.mutant('wishes-not-amplified')) return;
  const view = core.members.reachedBy(wishesWithOwn(core), 'weak');
  wishFor(core, view, 'others');
}

/** W5. @returns whether a view was entered */
export function enterWishedView(core: Core): boolean {
  if (!isAnybodyAhead(core)) return false;
  const view = core.members.reachedBy(wishesWithOwn(core), 'quorum');
  if (view <= core.voter.view) return false;
  enterView(core, view);
  return true;
}

/** W6: whether there is anything that the view owes us. */
function isWaiting(core: Core): boolean {
  if (!core.isActive) return true;
  if (isInFlight(core)) return true;
  return core.pool.size > 0 && !core.mutant('timer-blind-to-pool');
}

/** Whether something has been proposed at the next height in this view. */
function isInFlight(core: Core): boolean {
  const { vote, prepared } = core.voter;
  return (
    core.proposals.current !== undefined ||
    core.proposal !== undefined ||
    core.decision !== undefined ||
    vote !== undefined ||
    prepared !== undefined
  );
}

/** Starts the view timer when there is something to wait for, stops it when there is not. */
export function adjustTimer(core: Core): void {
  if (core.members.self === undefined || !isWaiting(core)) {
    core.timerTick = undefined;
  } else {
    core.timerTick ??= core.tick + timerTicks(core);
  }
}

/** W6: doubles with each view that brought nothing, up to a maximum far above any real outage. */
function timerTicks(core: Core): number {
  const { viewTicks, viewDoublingsMax } = core.config.timing;
  if (core.mutant('timer-not-doubled')) return viewTicks;
  return viewTicks * 2 ** Math.min(core.timerRound, viewDoublingsMax);
}

/** W2 (i): the view timer. */
export function expireTimer(core: Core): void {
  if (core.timerTick === undefined || core.tick < core.timerTick) return;
  if (core.isActive && !isInFlight(core)) {
    // Only requests are waiting. They may have become invalid, which is not the leader's fault. If they are
    // being looked at for another reason, the timer has not asked yet: it asks in the next tick.
    if (core.recheck !== undefined) return;
    core.timerTick = undefined;
    recheckOldest(core);
    return;
  }
  core.timerTick = undefined;
  wishFor(core, core.voter.view + 1, 'timer');
}

/** W3: for ever, also after the view was entered; a lost wish would otherwise stall everybody. */
export function repeatStatus(core: Core): void {
  if (core.tick - core.statusTick < core.config.timing.statusTicks) return;
  if (core.mutant('wish-not-resent') && core.wish > 0) return;
  broadcastStatus(core);
}
