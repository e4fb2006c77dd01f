// Noticing that a member has signed what no correct one signs (CONSENSUS.md 2.13), from messages that
// pass by anyway. What is reported here convinces anybody: judge.ts verifies it offline.
import type { Core } from './core.ts';
import type {
  CommitMessage,
  PrepareMessage,
  ViewChange,
} from '../../verifier/replication/messages.ts';
import { hidesCommit, isAgainstOpening } from '../../verifier/replication/misbehaviour.ts';

/** X6, for a vote that has just arrived. */
export function accuseVote(core: Core, message: PrepareMessage | CommitMessage): void {
  if (message.kind !== 'prepare') return;
  const { opening, newViewSignature } = core;
  const { newView, active } = core.voter;
  if (opening === undefined || newView === undefined || newViewSignature === undefined) return;
  if (message.vote.nv !== active?.nv || !isAgainstOpening(message.vote, opening)) return;
  core.accuse('X6', message.signer, [
    { kind: 'new-view', newView: { content: newView, signature: newViewSignature } },
    message,
  ]);
}

/** X6, for the votes that were here before the NEW-VIEW. */
export function accuseVotesAgainstOpening(core: Core): void {
  for (const signed of core.votes.current('prepare'))
    accuseVote(core, { kind: 'prepare', ...signed });
}

/** X3: the signer's COMMIT of an earlier view is missing from its VIEW-CHANGE. */
export function accuseHiddenCommit(core: Core, viewChange: ViewChange): void {
  const { signer } = viewChange.content;
  const candidates = [
    core.votes.past('commit', signer),
    ...core.votes.current('commit').filter((signed) => signed.signer === signer),
  ];
  for (const signed of candidates) {
    if (signed === undefined || !hidesCommit(signed.vote, viewChange.content)) continue;
    core.accuse('X3', signer, [
      { kind: 'commit', ...signed },
      { kind: 'view-change', viewChange },
    ]);
  }
}
