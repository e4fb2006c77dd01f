// Judging a report of misbehaviour without having been there (CONSENSUS.md 2.13): anybody with the
// roster of the epoch can do it, and nobody has to believe the reporter.
import { decodeHex } from '../encoding.ts';
import { VerifyError } from '../errors.ts';
import { checkConsistency } from '../merkle/consistency.ts';
import type { SignaturePlan } from '../signatures.ts';
import { type IncrementalHash, newViewDigest, voteOfProposal } from './encode.ts';
import { EVIDENCE_MESSAGES_MAX } from './encode-evidence.ts';
import { encodeMessage } from './encode-message.ts';
import { messageJobs } from './message-jobs.ts';
import type { CosignMessage, Message, PeerId, ReplicaIndex, Vote } from './messages.ts';
import {
  hidesCommit,
  isAgainstOpening,
  isDoubleCosign,
  isDoubleVote,
  type Misbehaviour,
} from './misbehaviour.ts';
import { type EpochContext, openingOf } from './validate.ts';

/** What a report proves. */
export interface Guilt {
  readonly rule: Misbehaviour['rule'];
  readonly accused: PeerId;
  /**
   * X8 only: the leader did sign this proposal; that its body is invalid is for whoever executes it on
   * the batch before.
   */
  readonly needsExecution: boolean;
}

/**
 * Plans the check of a report.
 *
 * @param context the members of the epoch that the report names, and where that epoch started
 * @throws {VerifyError} `MESSAGE_REFUSED`, here or when finishing: it proves nothing
 */
export function planEvidence(
  report: Misbehaviour,
  context: EpochContext,
  createHash?: () => IncrementalHash,
): SignaturePlan<Guilt> {
  const { rule, accused, messages } = report;
  if (report.epoch !== context.members.epoch) throw refused('it is about another epoch');
  const signer = context.members.indexOf(accused);
  if (signer === undefined) throw refused('the accused is not a member');
  // No signature covers it: whoever hands a proof on could make it megabytes long.
  if (messages.some((message) => message.kind === 'pre-prepare' && message.tail !== undefined)) {
    throw refused('a proposal says how its body ends, which proves nothing');
  }
  const isProven = proves(report, signer, context);
  if (!isProven) throw refused(`the messages do not show ${rule}`);
  const jobs = messages.flatMap((message) => messageJobs(message, context, createHash));
  return {
    jobs,
    finish(valid) {
      if (jobs.some((_, i) => valid[i] !== true)) throw refused('a signature is not valid');
      return { rule, accused, needsExecution: rule === 'X8' };
    },
  };
}

/** Whether these messages, if the accused signed them, can't be a correct replica's. */
function proves(report: Misbehaviour, signer: ReplicaIndex, context: EpochContext): boolean {
  const [first, second] = report.messages;
  if (first === undefined || report.messages.length > EVIDENCE_MESSAGES_MAX) return false;
  if (signerOf(second ?? first, context) !== signer) return false;
  switch (report.rule) {
    case 'X1':
    case 'X2':
      return isVotePair(report.rule, first, second) && signerOf(first, context) === signer;
    case 'X3':
      return (
        first.kind === 'commit' &&
        second?.kind === 'view-change' &&
        first.signer === signer &&
        hidesCommit(first.vote, second.viewChange.content)
      );
    case 'X4':
    case 'X5':
      return isSecondOf(report.rule, first, second) && signerOf(first, context) === signer;
    case 'X6':
      return isVoteAgainstItsView(first, second, context);
    case 'X7':
      return (
        first.kind === 'cosign' &&
        second?.kind === 'cosign' &&
        first.signer === signer &&
        (isDoubleCosign(first, second) || isInconsistent(first, second, report.consistency))
      );
    case 'X8':
      break;
  }
  return second === undefined && first.kind === 'pre-prepare' && first.body !== undefined;
}

function isVotePair(rule: 'X1' | 'X2', first: Message, second: Message | undefined): boolean {
  const [a, b] = [voteIn(rule, first), second && voteIn(rule, second)];
  return a !== undefined && b !== undefined && isDoubleVote(a, b);
}

function voteIn(rule: 'X1' | 'X2', message: Message): Vote | undefined {
  if (rule === 'X2') return message.kind === 'commit' ? message.vote : undefined;
  if (message.kind === 'pre-prepare') return voteOfProposal(message);
  return message.kind === 'prepare' ? message.vote : undefined;
}

/** Two contents for one view. A second signature on one content would prove nothing. */
function isSecondOf(rule: 'X4' | 'X5', first: Message, second: Message | undefined): boolean {
  if (rule === 'X4') {
    if (first.kind !== 'view-change' || second?.kind !== 'view-change') return false;
    const [a, b] = [first.viewChange, second.viewChange];
    return a.content.view === b.content.view && !sameUnsigned(first, second);
  }
  if (first.kind !== 'new-view' || second?.kind !== 'new-view') return false;
  return first.newView.content.view === second.newView.content.view && !sameUnsigned(first, second);
}

/** Whether two messages differ in their signature alone: it is the last field of both kinds. */
function sameUnsigned(a: Message, b: Message): boolean {
  const [left, right] = [encodeMessage(a).subarray(0, -64), encodeMessage(b).subarray(0, -64)];
  return left.length === right.length && left.every((byte, i) => byte === right[i]);
}

function isVoteAgainstItsView(
  first: Message,
  second: Message | undefined,
  context: EpochContext,
): boolean {
  if (first.kind !== 'new-view') return false;
  const vote = second && voteIn('X1', second);
  const { content } = first.newView;
  const opening = openingOf(content, context.mutants);
  return (
    vote !== undefined &&
    opening !== undefined &&
    vote.epoch === content.epoch &&
    vote.view === content.view &&
    vote.nv === newViewDigest(context.members.roster.origin, content) &&
    isAgainstOpening(vote, opening)
  );
}

/** X7: the larger tree that was cosigned did not begin with the smaller one that was cosigned. */
function isInconsistent(
  a: CosignMessage,
  b: CosignMessage,
  consistency: Misbehaviour['consistency'],
): boolean {
  if (consistency === undefined || a.size >= b.size || consistency.root === a.root) return false;
  const { root, hashes } = consistency;
  const proof = hashes.map((hash) => decodeHex(hash));
  try {
    checkConsistency(a.size, decodeHex(root), b.size, decodeHex(b.root), proof);
    return true;
  } catch (error) {
    if (error instanceof VerifyError) return false;
    throw error;
  }
}

function signerOf(message: Message, { members }: EpochContext): ReplicaIndex | undefined {
  switch (message.kind) {
    case 'prepare':
    case 'commit':
    case 'cosign':
      return message.signer;
    case 'pre-prepare':
      return members.leader(message.view);
    case 'view-change':
      return message.viewChange.content.signer;
    case 'new-view':
      return members.leader(message.newView.content.view);
    case 'status':
    case 'forward':
    case 'prefetch':
    case 'get-body':
    case 'body':
    case 'get-batches':
    case 'batches':
    case 'evidence':
      break;
  }
  return undefined;
}

function refused(problem: string): VerifyError {
  return new VerifyError('MESSAGE_REFUSED', `evidence refused: ${problem}`);
}
