// Saying which view one wants to be in (CONSENSUS.md 2.7). A wish is a number in STATUS; nothing else
// moves a view.
import type { Core } from './core.ts';
import type { ReplicaIndex } from '../../verifier/replication/messages.ts';
import type { StatusMessage } from '../../verifier/replication/messages.ts';
import type { WishCause } from './types.ts';

/** W2, W4: wants a view, if it is higher than what is wanted already, and tells everybody. */
export function wishFor(core: Core, view: number, cause: WishCause): void {
  if (view <= core.wish || core.members.self === undefined) return;
  core.wish = view;
  core.event({ event: 'wish', view, cause });
  broadcastStatus(core);
}

/** W3: the present STATUS to all members. */
export function broadcastStatus(core: Core): void {
  core.statusTick = core.tick;
  core.send(core.members.others, statusOf(core));
}

/** What this replica wants and has. */
export function statusOf(core: Core): StatusMessage {
  const { voter } = core;
  return {
    kind: 'status',
    epoch: voter.epoch,
    view: voter.view,
    active: core.isActive,
    // Never below the view (W3): it would say that the view is not wanted.
    wish: Math.max(core.wish, voter.view),
    height: core.committedHeight,
    digest: voter.committedDigest,
    prepares: signersOf(core, 'prepare'),
    commits: signersOf(core, 'commit'),
    proposed: core.proposals.current !== undefined || core.proposal !== undefined,
    cosigners: cosignersOf(core),
    proofs: [...core.proofs.keys()].sort((a, b) => a - b),
  };
}

/**
 * Whose votes count here, so that the others need not send theirs again. By what they voted for and
 * not by who they are: an equivocator's other vote must not hide the one that is needed (T1).
 */
function signersOf(core: Core, phase: 'prepare' | 'commit'): readonly ReplicaIndex[] {
  const nv = core.voter.active?.nv;
  return core.votes
    .current(phase)
    .filter(({ vote }) => vote.nv === nv)
    .map(({ signer }) => signer)
    .sort((a, b) => a - b);
}

function cosignersOf(core: Core): readonly ReplicaIndex[] {
  const { size } = core.voter.committed.header;
  const signers: ReplicaIndex[] = [];
  for (const [signer, messages] of core.cosigns) {
    if (messages.some((message) => message.size === size)) signers.push(signer);
  }
  return signers.sort((a, b) => a - b);
}
