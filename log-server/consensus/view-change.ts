// VIEW-CHANGE and NEW-VIEW (CONSENSUS.md 2.8).
import { assert } from '../../verifier/errors.ts';
import type { Core } from './core.ts';
import { newViewBytes, viewChangeBytes } from '../../verifier/replication/encode.ts';
import { accuseHiddenCommit, accuseVotesAgainstOpening } from './evidence.ts';
import { restartExposure } from './fairness.ts';
import { equalBytes } from '../../verifier/bytes.ts';
import type {
  NewView,
  NewViewContent,
  NewViewMessage,
  PeerId,
  ViewChange,
  ViewChangeMessage,
} from '../../verifier/replication/messages.ts';
import { refileProposals } from './normal-case.ts';
import { forgetAhead } from './prefetching.ts';
import { activeView } from './records.ts';
import type { IgnoreReason } from './types.ts';
import { type Opening, openingOf } from '../../verifier/replication/validate.ts';
import { grantActivation, grantNewView, grantViewChange } from './voter.ts';
import { wishFor } from './wishing.ts';

/** V1: leaves the present view for good. The VIEW-CHANGE goes out once the promise is durable. */
export function enterView(core: Core, view: number): void {
  const grant = grantViewChange(core.voter, view, core.mutants);
  if (grant.kind === 'refused') return;
  core.voter = grant.next;
  core.opening = undefined;
  core.newViewSignature = undefined;
  startView(core);
  core.timerRound += 1;
  const { viewChange } = core.voter;
  if (viewChange !== undefined) core.signVote({ kind: 'view-change', content: viewChange });
  core.event({ event: 'view-entered', epoch: core.members.epoch, view });
}

/** What belonged to the view before is filed anew or forgotten; the height goes on. */
function startView(core: Core): void {
  const { view } = core.voter;
  core.wish = Math.max(core.wish, view);
  core.building = undefined;
  core.rebuilds = 0;
  core.own = { cosign: core.own.cosign };
  core.asked = { cosignTick: core.asked.cosignTick };
  core.timerTick = undefined;
  core.votes.moveTo(view, core.nextHeight);
  refileProposals(core);
  forgetAhead(core);
  for (const [signer, { content }] of core.viewChanges) {
    if (content.view < view) core.viewChanges.delete(signer);
  }
}

// ---- VIEW-CHANGE

/** R1, R2: only its leader collects them, one per member. */
export function wantsViewChange(
  core: Core,
  from: PeerId,
  { viewChange: { content } }: ViewChangeMessage,
): IgnoreReason | undefined {
  const { members, voter } = core;
  if (content.epoch !== members.epoch) return 'other-epoch';
  if (members.indexOf(from) !== content.signer) return 'wrong-signer';
  if (members.leader(content.view) !== members.self) return 'not-leader';
  if (content.view < voter.view) return 'old-view';
  const known = core.viewChanges.get(content.signer)?.content;
  if (known !== undefined) {
    if (content.view < known.view) return 'slot-taken';
    if (content.view === known.view) {
      if (equalContents(core, content, known)) return 'duplicate';
      return core.isAccused('X4', content.signer) ? 'known-offender' : undefined;
    }
  }
  return content.view === voter.view && core.isActive ? 'duplicate' : undefined;
}

function equalContents(core: Core, a: ViewChange['content'], b: ViewChange['content']): boolean {
  const { origin } = core.members.roster;
  return equalBytes(viewChangeBytes(origin, a), viewChangeBytes(origin, b));
}

/** Files a valid VIEW-CHANGE. */
export function onViewChange(core: Core, { viewChange }: ViewChangeMessage): void {
  fileViewChange(core, viewChange);
}

function fileViewChange(core: Core, viewChange: ViewChange): void {
  const { content } = viewChange;
  const known = core.viewChanges.get(content.signer);
  if (known !== undefined && known.content.view === content.view) {
    if (equalContents(core, known.content, content)) return;
    core.accuse('X4', content.signer, [
      { kind: 'view-change', viewChange: known },
      { kind: 'view-change', viewChange },
    ]);
    return;
  }
  accuseHiddenCommit(core, viewChange);
  core.viewChanges.set(content.signer, viewChange);
}

/** Sends and files the own VIEW-CHANGE. */
export function onSignedViewChange(
  core: Core,
  content: ViewChange['content'],
  signature: Uint8Array,
): void {
  if (core.voter.viewChange !== content) return;
  const viewChange: ViewChange = { content, signature };
  core.own.viewChange = viewChange;
  if (core.isLeader) fileViewChange(core, viewChange);
  else sendViewChange(core);
}

/** V1, T1: to the leader, again until the view is open. */
export function sendViewChange(core: Core): void {
  const { viewChange } = core.own;
  if (viewChange === undefined || core.isActive || core.isLeader) return;
  core.send([core.leaderPeer], { kind: 'view-change', viewChange });
}

// ---- NEW-VIEW

/** V4: opens the view as its leader, on a quorum of VIEW-CHANGEs, the own one among them. */
export function issueNewView(core: Core): boolean {
  const { voter, members } = core;
  if (!core.isLeader || core.isActive || voter.newView !== undefined) return false;
  if (members.self === undefined || !core.viewChanges.has(members.self)) return false;
  const viewChanges = [...core.viewChanges.values()]
    .filter(({ content }) => content.view === voter.view)
    .sort((a, b) => a.content.signer - b.content.signer);
  const signers = viewChanges.map(({ content }) => content.signer);
  const enough = core.mutant('new-view-weak-quorum')
    ? members.isWeakQuorum(signers)
    : members.isQuorum(signers);
  if (!enough) return false;
  const content: NewViewContent = { epoch: members.epoch, view: voter.view, viewChanges };
  const opening = openingOf(content, core.mutants);
  assert(opening !== undefined, 'a quorum is not empty');
  const grant = grantNewView(voter, content, activeView(members, content, opening));
  if (grant.kind !== 'granted') return false;
  core.voter = grant.next;
  core.newViewSignature = undefined;
  core.signVote({ kind: 'new-view', content });
  activate(core, opening);
  return true;
}

/** R1, R2: the leader's, for a view that is not open here yet; from anybody (V11). */
export function wantsNewView(
  core: Core,
  { newView: { content } }: NewViewMessage,
): IgnoreReason | undefined {
  const { members, voter } = core;
  if (content.epoch !== members.epoch) return 'other-epoch';
  if (content.view < voter.view) return 'old-view';
  if (content.view > voter.view || !core.isActive) return undefined;
  const known = voter.newView;
  if (known === undefined || equalNewViews(core, known, content)) return 'duplicate';
  return core.isAccused('X5', members.leader(content.view)) ? 'known-offender' : undefined;
}

function equalNewViews(core: Core, a: NewViewContent, b: NewViewContent): boolean {
  const { origin } = core.members.roster;
  return equalBytes(newViewBytes(origin, a), newViewBytes(origin, b));
}

/** V5, V7: opens the view that a valid NEW-VIEW is for. */
export function onNewView(core: Core, { newView }: NewViewMessage): void {
  const { content, signature } = newView;
  const { voter, members } = core;
  if (content.view === voter.view && core.isActive) {
    accuseSecondNewView(core, newView);
    return;
  }
  const opening = openingOf(content, core.mutants);
  if (opening === undefined) return;
  const isJoining = content.view > voter.view;
  const active = activeView(members, content, opening);
  const grant = grantActivation(voter, content, active, core.mutants);
  if (grant.kind !== 'granted') return;
  core.voter = grant.next;
  core.newViewSignature = signature;
  if (isJoining) {
    startView(core);
    core.timerRound += 1;
  }
  for (const viewChange of content.viewChanges) accuseHiddenCommit(core, viewChange);
  activate(core, opening);
}

function accuseSecondNewView(core: Core, newView: NewView): void {
  const { newView: known } = core.voter;
  const signature = core.newViewSignature;
  if (known === undefined || signature === undefined) return;
  if (equalNewViews(core, known, newView.content)) return;
  core.accuse('X5', core.members.leader(newView.content.view), [
    { kind: 'new-view', newView: { content: known, signature } },
    { kind: 'new-view', newView },
  ]);
  wishFor(core, core.voter.view + 1, 'equivocation');
}

function activate(core: Core, opening: Opening): void {
  const { view, active } = core.voter;
  core.opening = opening;
  core.timerTick = undefined;
  restartExposure(core);
  accuseVotesAgainstOpening(core);
  core.event({
    event: 'view-active',
    epoch: core.members.epoch,
    view,
    base: opening.base,
    mandate: active?.mandate,
  });
  // V8: a leader that would keep everybody waiting while it catches up lets the next one lead.
  const lag = opening.base - core.committedHeight;
  if (core.isLeader && lag > core.config.limits.leaderLagMax) {
    wishFor(core, view + 1, 'behind');
  }
}

/** Files the own NEW-VIEW's signature and sends it to everybody. */
export function onSignedNewView(core: Core, content: NewViewContent, signature: Uint8Array): void {
  if (core.voter.newView !== content) return;
  core.newViewSignature = signature;
  core.send(core.members.others, { kind: 'new-view', newView: { content, signature } });
}
