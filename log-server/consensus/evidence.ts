// Noticing that a member has signed what no correct one signs (CONSENSUS.md 2.13), from messages that
// pass by anyway, and telling the others (message 12). What is reported here convinces anybody: judge.ts
// verifies it offline.
import type { Core } from './core.ts';
import type {
  CommitMessage,
  EvidenceMessage,
  Misbehaviour,
  PeerId,
  PrepareMessage,
  StatusMessage,
  ViewChange,
} from '../../verifier/replication/messages.ts';
import {
  hidesCommit,
  isAgainstOpening,
  proofMark,
} from '../../verifier/replication/misbehaviour.ts';
import type { IgnoreReason } from './types.ts';

/**
 * How many times `statusTicks` lie between two proofs for one peer that says that it lacks some: whoever
 * says so for ever gets a proof, of a megabyte at most, every two seconds.
 */
const REPEAT_STATUSES = 4;

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

// ---- telling the others

/**
 * R1, R2 for EVIDENCE: once per rule and member, like what is noticed here. Not X8, which says that a
 * proposal was invalid: its signature proves only that it was made, and whoever is to vote on it executes
 * it. A peer could have every proposal of a correct leader pass for a crime.
 */
export function wantsEvidence(
  core: Core,
  from: PeerId,
  { report }: EvidenceMessage,
): IgnoreReason | undefined {
  const { members } = core;
  if (report.epoch !== members.epoch) return 'other-epoch';
  if (members.indexOf(from) === undefined) return 'unknown-sender';
  const accused = members.indexOf(report.accused);
  if (accused === undefined) return 'not-member';
  if (isHearsay(core, report)) return 'hearsay';
  return core.isAccused(report.rule, accused) ? 'known-offender' : undefined;
}

/** Whether it convinces nobody who has not executed the proposal. */
function isHearsay(core: Core, { rule }: Misbehaviour): boolean {
  return rule === 'X8' && !core.mutant('hearsay-believed');
}

/** A proof that a peer keeps, checked like the peer's own messages: as good as one noticed here. */
export function onEvidence(core: Core, { report }: EvidenceMessage): void {
  const accused = core.members.indexOf(report.accused);
  if (accused !== undefined) core.accuseBy(withoutBodies(report), accused);
}

/** No signature covers a body or its end: the accused's friends could make its proofs megabytes long. */
function withoutBodies(report: Misbehaviour): Misbehaviour {
  if (report.rule === 'X8') return report;
  const messages = report.messages.map((message) =>
    message.kind === 'pre-prepare' ? { ...message, body: undefined, tail: undefined } : message,
  );
  return { ...report, messages };
}

/** A proof is durable here, now or since before this process was started: everybody is told, once. */
export function onEvidenceKept(core: Core, report: Misbehaviour): void {
  const { members } = core;
  const accused = members.indexOf(report.accused);
  if (report.epoch !== members.epoch || accused === undefined) {
    core.ignore('other-epoch');
    return;
  }
  const mark = proofMark(report.rule, accused);
  if (core.proofs.has(mark)) {
    core.ignore('duplicate');
    return;
  }
  core.accused.add(mark);
  if (isHearsay(core, report)) return;
  core.proofs.set(mark, report);
  if (!core.mutant('evidence-not-told')) core.send(members.others, { kind: 'evidence', report });
}

/** A proof that the disk did not take is none that is here: the others, who have it, are asked again (T1). */
export function onEvidenceLost(core: Core, report: Misbehaviour): void {
  const accused = core.members.indexOf(report.accused);
  if (report.epoch !== core.members.epoch || accused === undefined) return;
  const mark = proofMark(report.rule, accused);
  if (!core.proofs.has(mark)) core.accused.delete(mark);
}

/** T1: a proof that a member lacks, now this one, now that one. */
export function evidenceFor(core: Core, peer: PeerId, status: StatusMessage): EvidenceMessage[] {
  if (core.proofs.size === 0 || core.mutant('evidence-not-told')) return [];
  const info = core.peer(peer);
  if (core.tick - info.proofTick < REPEAT_STATUSES * core.config.timing.statusTicks) return [];
  const lacking = [...core.proofs].filter(([mark]) => !status.proofs.includes(mark));
  const [, report] = lacking[info.proofTurn % Math.max(lacking.length, 1)] ?? [];
  if (report === undefined) return [];
  info.proofTick = core.tick;
  info.proofTurn += 1;
  return [{ kind: 'evidence', report }];
}
