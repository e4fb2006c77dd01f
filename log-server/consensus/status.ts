// STATUS and re-sending (CONSENSUS.md 2.11): no link is relied on. Whoever hears where somebody stands
// sends what is missing there; the same answer serves lost messages, restarts and late joiners.
import type { Core } from './core.ts';
import { evidenceFor } from './evidence.ts';
import { noticeLag } from './fairness.ts';
import type { Message, PeerId, StatusMessage } from '../../verifier/replication/messages.ts';
import type { IgnoreReason } from './types.ts';
import { statusOf } from './wishing.ts';

/**
 * R2: one slot per peer, always overwritten. Nothing bounds how many come: one costs no signature check, answers
 * to it are rationed (`onStatus`), and the driver hears its sender no more often than the others.
 */
export function wantsStatus(core: Core, from: PeerId): IgnoreReason | undefined {
  return from === core.config.self ? 'unknown-sender' : undefined;
}

/** W1, T1. */
export function onStatus(core: Core, from: PeerId, status: StatusMessage): void {
  const index = core.members.indexOf(from);
  const info = core.peer(from);
  info.height = status.height;
  noticeLag(core);
  const isOurEpoch = status.epoch === core.members.epoch;
  if (index !== undefined && isOurEpoch) {
    core.wishes[index] = Math.max(core.wishes[index] ?? 0, status.wish, status.view);
  }
  // Rationed, or every STATUS would be answered with megabytes (S5).
  if (core.tick - info.repliedTick < replyTicks(core)) return;
  info.repliedTick = core.tick;
  if (index === undefined || !isOurEpoch) {
    // Tells a stranger, or one left behind in an old epoch, whom to ask for batches.
    if (status.height < core.committedHeight) core.send([from], statusOf(core));
    return;
  }
  for (const message of missingAt(core, status)) core.send([from], message);
  for (const message of evidenceFor(core, from, status)) core.send([from], message);
}

/** At most two answers per peer in the time in which it sends one STATUS by itself. */
function replyTicks(core: Core): number {
  return Math.max(1, Math.floor(core.config.timing.statusTicks / 2));
}

/** Own messages that a member at this status lacks. */
function missingAt(core: Core, status: StatusMessage): Message[] {
  const { voter, own, members } = core;
  const missing: Message[] = [];
  const isBehindView = status.view < voter.view || (status.view === voter.view && !status.active);
  if (isBehindView && core.isActive) missing.push(...newViewMessage(core));
  const sameHeight = status.height === core.committedHeight;
  const { self } = members;
  if (self === undefined) return missing;
  if (sameHeight && status.view === voter.view) {
    if (own.prePrepare !== undefined && !status.proposed) missing.push(own.prePrepare);
    if (own.prepare !== undefined && !status.prepares.includes(self)) missing.push(own.prepare);
    if (own.commit !== undefined && !status.commits.includes(self)) missing.push(own.commit);
  }
  if (sameHeight && own.cosign !== undefined && !status.cosigners.includes(self)) {
    missing.push(own.cosign);
  }
  return missing;
}

/** V11: the NEW-VIEW of the present view proves to anybody that it was entered legitimately. */
function newViewMessage({ voter: { newView }, newViewSignature }: Core): Message[] {
  if (newView === undefined || newViewSignature === undefined) return [];
  return [{ kind: 'new-view', newView: { content: newView, signature: newViewSignature } }];
}
