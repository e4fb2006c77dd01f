// From a decoded message to one that the core takes: structure against the roster, then every
// signature, nested ones too (R3). The only maker of `VerifiedMessage`.
import { VerifyError } from '../errors.ts';
import type { SignatureJob, SignaturePlan } from '../signatures.ts';
import type { IncrementalHash } from './encode.ts';
import { planEvidence } from './judge.ts';
import { messageJobs } from './message-jobs.ts';
import type { Message, PeerId, VerifiedMessage } from './messages.ts';
import type { EpochContext } from './validate.ts';

/**
 * Plans the check of a message.
 *
 * The context is the epoch that the core is in (`Replica.context`); messages of other epochs that need
 * a signature are refused. STATUS, FORWARD, PREFETCH and GET carry none: the connection vouches for their sender.
 *
 * @param from vote key of whoever the connection belongs to
 * @param createHash SHA-256 for bodies; native in production
 * @throws {VerifyError} `MESSAGE_REFUSED`, here or when finishing
 */
export function planMessage(
  from: PeerId,
  message: Message,
  context: EpochContext,
  createHash?: () => IncrementalHash,
): SignaturePlan<VerifiedMessage> {
  const jobs = jobsOf(message, context, createHash);
  return {
    jobs,
    finish(valid) {
      if (jobs.some((_, i) => valid[i] !== true)) {
        throw new VerifyError('MESSAGE_REFUSED', 'message refused: a signature is not valid');
      }
      // The one place where the brand is given.
      return { from, message } as VerifiedMessage;
    },
  };
}

function jobsOf(
  message: Message,
  context: EpochContext,
  createHash?: () => IncrementalHash,
): readonly SignatureJob[] {
  if (message.kind !== 'evidence') return messageJobs(message, context, createHash);
  if (context.mutants.has('evidence-unchecked')) return [];
  // What it shows has to be signed by the accused, whoever hands it on.
  return planEvidence(message.report, context, createHash).jobs;
}
