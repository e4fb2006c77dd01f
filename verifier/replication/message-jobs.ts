// Which signatures a message needs, once its structure has been found right against the roster: nested ones
// too (R3, R4). Used for what peers send and for what they are accused of.
import { equalBytes } from '../bytes.ts';
import { formatCheckpoint } from '../checkpoint.ts';
import { cosignatureMessage } from '../cosignature.ts';
import { decodeHex, encodeHex } from '../encoding.ts';
import { VerifyError } from '../errors.ts';
import type { Replica } from '../roster.ts';
import type { SignatureJob } from '../signatures.ts';
import { certificateJobs, certificateProblem } from './certificates.ts';
import {
  type IncrementalHash,
  bodyHash,
  headerDigest,
  newViewBytes,
  viewChangeBytes,
  voteBytes,
} from './encode.ts';
import type { Members } from './members.ts';
import type {
  Batch,
  BatchesMessage,
  CommitMessage,
  CosignMessage,
  Message,
  NewView,
  PrePrepareMessage,
  PrepareMessage,
  ReplicaIndex,
  ViewChange,
  Vote,
} from './messages.ts';
import {
  type EpochContext,
  batchShapeProblem,
  newViewProblem,
  viewChangeProblem,
} from './validate.ts';

/**
 * Distinct signature checks of a message whose structure is right; none for what the connection vouches
 * for, and none for EVIDENCE, which is judged by judge.ts.
 *
 * @param createHash SHA-256 for bodies; native in production
 * @throws {VerifyError} `MESSAGE_REFUSED`
 */
export function messageJobs(
  message: Message,
  context: EpochContext,
  createHash?: () => IncrementalHash,
): readonly SignatureJob[] {
  switch (message.kind) {
    case 'pre-prepare':
      return prePrepareJobs(message, context.members, createHash);
    case 'prepare':
    case 'commit':
      return [signedVoteJob(message, context)];
    case 'cosign':
      return [cosignJob(message, context.members)];
    case 'view-change':
      refuse(viewChangeProblem(context, message.viewChange.content));
      return distinct(viewChangeJobs(message.viewChange, context));
    case 'new-view':
      refuse(newViewProblem(context, message.newView.content));
      return distinct(newViewJobs(message.newView, context));
    case 'body':
      refuseBatch(message.batch, createHash);
      return [];
    case 'batches':
      return distinct(batchesJobs(message, context, createHash));
    case 'status':
    case 'forward':
    case 'prefetch':
    case 'get-body':
    case 'get-batches':
    case 'evidence':
      break;
  }
  return [];
}

function prePrepareJobs(
  message: PrePrepareMessage,
  members: Members,
  createHash?: () => IncrementalHash,
): readonly SignatureJob[] {
  const { header, body, epoch, view, nv } = message;
  refuse(epoch === members.epoch ? undefined : 'proposal of another epoch');
  if (body !== undefined) refuseBatch({ header, body }, createHash);
  const vote: Vote = { epoch, view, nv, height: header.height, digest: headerDigest(header) };
  return [voteJob('prepare', vote, members.leader(view), message.signature, members)];
}

function signedVoteJob(
  { kind, vote, signer, signature }: PrepareMessage | CommitMessage,
  { members, mutants }: EpochContext,
): SignatureJob {
  if (!mutants.has('epoch-unchecked')) {
    refuse(vote.epoch === members.epoch ? undefined : 'vote of another epoch');
  }
  return voteJob(kind, vote, signer, signature, members);
}

function voteJob(
  phase: 'prepare' | 'commit',
  vote: Vote,
  signer: ReplicaIndex,
  signature: Uint8Array,
  members: Members,
): SignatureJob {
  const { voteKey } = replicaOf(members, signer);
  return { publicKey: voteKey, message: voteBytes(phase, members.roster.origin, vote), signature };
}

function cosignJob(message: CosignMessage, members: Members): SignatureJob {
  refuse(message.epoch === members.epoch ? undefined : 'cosignature of another epoch');
  const { cosignKey } = replicaOf(members, message.signer);
  const text = formatCheckpoint({
    origin: members.roster.origin,
    size: message.size,
    root: decodeHex(message.root),
  });
  return {
    publicKey: cosignKey.publicKey,
    message: cosignatureMessage(text, message.time),
    signature: message.signature,
  };
}

function viewChangeJobs(
  { content, signature }: ViewChange,
  { members, mutants }: EpochContext,
): SignatureJob[] {
  const jobs: SignatureJob[] = [
    {
      publicKey: replicaOf(members, content.signer).voteKey,
      message: viewChangeBytes(members.roster.origin, content),
      signature,
    },
  ];
  if (mutants.has('view-change-certificate-unchecked')) return jobs;
  const { last, prepared } = content;
  if (last.certificate !== undefined) jobs.push(...certificateJobs(members, last.certificate));
  if (prepared !== undefined) jobs.push(...certificateJobs(members, prepared.certificate));
  return jobs;
}

function newViewJobs({ content, signature }: NewView, context: EpochContext): SignatureJob[] {
  const { members } = context;
  const own: SignatureJob = {
    publicKey: replicaOf(members, members.leader(content.view)).voteKey,
    message: newViewBytes(members.roster.origin, content),
    signature,
  };
  return [own, ...content.viewChanges.flatMap((change) => viewChangeJobs(change, context))];
}

function batchesJobs(
  { batches }: BatchesMessage,
  context: EpochContext,
  createHash?: () => IncrementalHash,
): SignatureJob[] {
  const { members, mutants } = context;
  let parent: Batch | undefined;
  for (const batch of batches) {
    const { header, certificate } = batch;
    refuseBatch(batch, createHash);
    refuse(header.epoch === members.epoch ? undefined : 'batch of another epoch');
    if (parent !== undefined) {
      const follows =
        header.height === parent.header.height + 1 && header.parent === headerDigest(parent.header);
      refuse(follows ? undefined : 'batches do not follow each other');
    }
    const digest = headerDigest(header);
    const expected = { epoch: members.epoch, height: header.height, digest };
    refuse(certificateProblem(members, certificate, 'commit', expected, mutants));
    parent = batch;
  }
  return batches.flatMap(({ certificate }) => certificateJobs(members, certificate));
}

/** A body has to be the one that its header names, or a liar's body could discredit a good header. */
function refuseBatch(batch: Batch, createHash?: () => IncrementalHash): void {
  refuse(batchShapeProblem(batch));
  const hash = createHash === undefined ? bodyHash(batch.body) : bodyHash(batch.body, createHash);
  refuse(hash === batch.header.entriesHash ? undefined : 'body is not the one of its header');
}

/**
 * V13: a NEW-VIEW repeats the same certificates many times. Compared only with the first of equal
 * signatures, so a stranger can't make this quadratic.
 */
function distinct(jobs: readonly SignatureJob[]): readonly SignatureJob[] {
  const seen = new Map<string, SignatureJob>();
  return jobs.filter((job) => {
    const name = encodeHex(job.publicKey) + encodeHex(job.signature);
    const earlier = seen.get(name);
    if (earlier !== undefined && equalBytes(earlier.message, job.message)) return false;
    if (earlier === undefined) seen.set(name, job);
    return true;
  });
}

function replicaOf(members: Members, index: ReplicaIndex): Replica {
  const replica = members.roster.replicas[index];
  if (replica === undefined) throw refused('signed by nobody');
  return replica;
}

function refuse(problem: string | undefined): void {
  if (problem !== undefined) throw refused(problem);
}

function refused(problem: string): VerifyError {
  return new VerifyError('MESSAGE_REFUSED', `message refused: ${problem}`);
}
