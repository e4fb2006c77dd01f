// The signing kernel: the only module that decides whether a PREPARE, COMMIT, VIEW-CHANGE, NEW-VIEW or
// COSIGN may be signed. All other code of the core may be wrong without two correct replicas ever
// deciding differently. Pure: each grant returns the state that has to be durable *before* the
// signature exists (C1), and `maySign` asks once more at the moment of signing.
import { assert } from '../../verifier/errors.ts';
import type {
  CertifiedHeader,
  Digest,
  NewViewContent,
  ViewChangeContent,
  Vote,
} from '../../verifier/replication/messages.ts';
import type { MutantName } from '../../verifier/replication/mutants.ts';
import type { SignedContent } from './types.ts';
import type { ActiveView, VoterState } from './voter-state.ts';

/** A decision about one signature. */
export type Grant =
  | { readonly kind: 'granted'; readonly next: VoterState }
  /** The same was granted before: sign it again, nothing new to keep (C3). */
  | { readonly kind: 'repeated' }
  | { readonly kind: 'refused'; readonly reason: string };

type Mutants = ReadonlySet<MutantName>;

/** N2, N6: a PREPARE, the leader's PRE-PREPARE included. */
export function grantPrepare(state: VoterState, vote: Vote, mutants: Mutants): Grant {
  const problem = voteProblem(state, vote, mutants);
  if (problem !== undefined) return refused(problem);
  const { mandate, base } = state.active ?? { mandate: undefined, base: 0 };
  if (mandate !== undefined && vote.height === base + 1 && vote.digest !== mandate) {
    if (!mutants.has('mandate-ignored')) return refused('contradicts the mandate');
  }
  const { vote: last } = state;
  if (last !== undefined && last.view === vote.view && last.height === vote.height) {
    if (last.digest === vote.digest) return { kind: 'repeated' };
    if (!mutants.has('double-vote')) return refused('another digest has the vote of this view');
  }
  assert(last === undefined || last.view <= vote.view, 'votes never go back (I7)');
  const { view, height, digest } = vote;
  return { kind: 'granted', next: { ...state, vote: { view, height, digest } } };
}

/** N7: a COMMIT, on a prepare certificate whose body was found valid here. */
export function grantCommit(state: VoterState, prepared: CertifiedHeader, mutants: Mutants): Grant {
  const { vote } = prepared.certificate;
  const problem = voteProblem(state, vote, mutants);
  if (problem !== undefined) return refused(problem);
  const known = state.prepared?.certificate.vote;
  if (known !== undefined && known.view === vote.view) {
    // Two certificates in one view need more than F faulty members (Lemma A).
    return known.digest === vote.digest ? { kind: 'repeated' } : refused('two certificates');
  }
  assert(known === undefined || known.view < vote.view, 'certificates never go back');
  return { kind: 'granted', next: { ...state, prepared } };
}

/** What every vote needs: membership, the promised view, opened, the next height above the base. */
function voteProblem(state: VoterState, vote: Vote, mutants: Mutants): string | undefined {
  if (state.signer === undefined) return 'not a member';
  if (vote.epoch !== state.epoch) return 'another epoch';
  if (vote.view < state.view && mutants.has('commit-in-old-view')) return undefined;
  if (vote.view !== state.view) return 'another view than the promised one';
  if (state.active === undefined) return 'the view is not open';
  if (vote.nv !== state.active.nv && !mutants.has('nv-unchecked')) return 'another NEW-VIEW';
  if (vote.height !== state.committed.header.height + 1) return 'not the next height';
  if (vote.height <= state.active.base && !mutants.has('vote-at-base'))
    return 'at or below the base';
  return undefined;
}

/**
 * V1: promises a higher view and freezes the VIEW-CHANGE into it. The certificate of any COMMIT ever
 * signed at the next height goes along (I8): that is what protects decided batches.
 */
export function grantViewChange(
  state: VoterState,
  view: number,
  mutants: Mutants,
): Extract<Grant, { kind: 'granted' | 'refused' }> {
  if (view <= state.view) return refused('not a higher view');
  const { epoch, signer, committed, prepared } = state;
  assert(
    prepared === undefined || prepared.header.height === committed.header.height + 1,
    'a prepare certificate is for the next height (V2)',
  );
  assert(prepared === undefined || prepared.certificate.vote.view < view, 'views only grow');
  const content: ViewChangeContent | undefined =
    signer === undefined
      ? undefined
      : {
          epoch,
          view,
          signer,
          last: committed,
          prepared: mutants.has('view-change-forgets-prepared') ? undefined : prepared,
        };
  const next = { ...state, view, active: undefined, viewChange: content, newView: undefined };
  return { kind: 'granted', next };
}

/** V4: the leader's one NEW-VIEW for a view; opens the view for itself too. */
export function grantNewView(
  state: VoterState,
  content: NewViewContent,
  active: ActiveView,
): Grant {
  if (state.signer === undefined) return refused('not a member');
  if (content.epoch !== state.epoch || content.view !== state.view) return refused('another view');
  if (state.newView === content) return { kind: 'repeated' };
  if (state.newView !== undefined || state.active !== undefined) return refused('already opened');
  return { kind: 'granted', next: { ...state, newView: content, active } };
}

/** V7: opens a view by somebody else's valid NEW-VIEW; joining a higher view this way is a promise too. */
export function grantActivation(
  state: VoterState,
  content: NewViewContent,
  active: ActiveView,
  mutants: Mutants,
): Grant {
  if (content.epoch !== state.epoch) return refused('another epoch');
  if (content.view < state.view) return refused('a lower view');
  if (content.view === state.view && state.active !== undefined) return refused('already opened');
  const viewChange = content.view === state.view ? state.viewChange : undefined;
  const prepared = mutants.has('prepared-cleared-on-new-view') ? undefined : state.prepared;
  const next = { ...state, view: content.view, active, viewChange, prepared, newView: content };
  return { kind: 'granted', next };
}

/** N9: cosigning the newest committed checkpoint. Sizes never go back, a size has one root (I6). */
export function grantCosign(
  state: VoterState,
  size: number,
  root: Digest,
  mutants: Mutants,
): Grant {
  if (state.signer === undefined) return refused('not a member');
  const { header } = state.committed;
  if (header.size !== size || header.root !== root) {
    if (!mutants.has('cosign-at-commit-vote')) return refused('not the committed checkpoint');
  }
  const { cosigned } = state;
  if (cosigned !== undefined) {
    if (size < cosigned.size) return refused('a larger size was cosigned');
    if (size === cosigned.size && root !== cosigned.root)
      return refused('another root was cosigned');
  }
  return { kind: 'granted', next: { ...state, cosigned: { size, root } } };
}

/**
 * The last question, asked when the records are durable and the key is about to be used: is this
 * still what was granted? By then a higher view may have been promised.
 */
export function maySign(state: VoterState, content: SignedContent, mutants: Mutants): boolean {
  switch (content.kind) {
    case 'pre-prepare':
    case 'prepare':
      return (
        inPromisedView(state, content.vote, mutants) && holdsVote(state, content.vote, mutants)
      );
    case 'commit':
      return inPromisedView(state, content.vote, mutants) && isPreparedOrDone(state, content.vote);
    case 'view-change':
      return state.viewChange === content.content;
    case 'new-view':
      break;
  }
  return state.newView === content.content;
}

function inPromisedView(state: VoterState, vote: Vote, mutants: Mutants): boolean {
  return (
    vote.epoch === state.epoch &&
    (vote.view === state.view || mutants.has('commit-in-old-view')) &&
    state.signer !== undefined
  );
}

function holdsVote(state: VoterState, vote: Vote, mutants: Mutants): boolean {
  const { vote: last } = state;
  if (last === undefined) return vote.digest === state.committedDigest;
  return last.digest === vote.digest || mutants.has('double-vote');
}

/** Also after the batch has committed here: others may need this vote to get there. */
function isPreparedOrDone(state: VoterState, vote: Vote): boolean {
  return (
    state.prepared?.certificate.vote.digest === vote.digest || state.committedDigest === vote.digest
  );
}

function refused(reason: string): Extract<Grant, { kind: 'refused' }> {
  return { kind: 'refused', reason };
}
