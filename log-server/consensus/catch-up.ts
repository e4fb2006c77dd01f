// Catching up (CONSENSUS.md 2.10): batches are pulled, one chunk at a time, from members that say they
// have more. What a peer says about itself only decides whom to ask; what is applied is proven by
// commit certificates and executed like any other batch.
import type { Core } from './core.ts';
import { BATCHES_COUNT_MAX } from '../../verifier/replication/encode-message.ts';
import { headerDigest } from '../../verifier/replication/encode.ts';
import { noticeLag } from './fairness.ts';
import { holdBatch } from './fetching.ts';
import type {
  BatchesMessage,
  CommittedRecord,
  GetBatchesMessage,
  PeerId,
  ReplicaIndex,
} from '../../verifier/replication/messages.ts';
import type { IgnoreReason } from './types.ts';

/** Most bytes of bodies in one answer; with headers and certificates below `MESSAGE_BYTES_MAX`. */
export const BATCHES_BYTES_MAX: number = 4 * 1024 * 1024;

// A question waits twice as long for its answer as the one before, up to 64 times `fetchTicks`: a chunk
// of megabytes takes long on a slow link, and asking faster would only make it slower.
const PATIENCE_DOUBLINGS_MAX = 6;

/**
 * What a member's signature says about where it stands; like STATUS it only decides whom to ask. STATUS
 * alone comes too rarely: whoever has read all batches up to the last one would find the log some batches
 * further on, and would run after it for as long as it moves.
 */
export function noteHeight(core: Core, signer: ReplicaIndex, height: number): void {
  const peer = core.members.peers[signer];
  if (peer === undefined || peer === core.config.self) return;
  const info = core.peer(peer);
  if (height <= info.height) return;
  info.height = height;
  noticeLag(core);
}

/** S5: one answer per peer and tick. */
export function wantsGetBatches(
  core: Core,
  from: PeerId,
  message: GetBatchesMessage,
): IgnoreReason | undefined {
  if (message.fromHeight < 1 || message.fromHeight > core.committedHeight) return 'not-held';
  return core.peer(from).servedTick === core.tick ? 'too-often' : undefined;
}

/** Lets the driver answer from the store. */
export function onGetBatches(core: Core, from: PeerId, message: GetBatchesMessage): void {
  core.peer(from).servedTick = core.tick;
  core.serve({ to: from, fromHeight: message.fromHeight });
}

/**
 * The answer to a `ServeRequest`: consecutive batches of one epoch, within the limits of a message.
 *
 * @param batches from the asked height on, in order; taken until a limit is reached
 * @returns undefined when there is nothing to send
 */
export function collectBatches(batches: Iterable<CommittedRecord>): BatchesMessage | undefined {
  const chosen: CommittedRecord[] = [];
  let bytes = 0;
  for (const batch of batches) {
    const size = batch.body.reduce((sum, entry) => sum + entry.length, 0);
    const ends =
      chosen.length >= BATCHES_COUNT_MAX ||
      // One batch always goes, or a replica could never get past a large one.
      (chosen.length > 0 && bytes + size > BATCHES_BYTES_MAX) ||
      (chosen.length > 0 && chosen[0]?.header.epoch !== batch.header.epoch);
    if (ends) break;
    chosen.push(batch);
    bytes += size;
  }
  return chosen.length === 0 ? undefined : { kind: 'batches', batches: chosen };
}

/** R2: only from one that was asked, be it late, and only what continues our log. */
export function wantsBatches(
  core: Core,
  from: PeerId,
  { batches }: BatchesMessage,
): IgnoreReason | undefined {
  if (!core.catchUp.unanswered.has(from)) return 'not-asked';
  const [first] = batches;
  const last = batches.at(-1);
  if (first === undefined || last === undefined) return 'malformed';
  if (first.header.epoch !== core.members.epoch) return 'other-epoch';
  if (last.header.height <= core.committedHeight) return 'old-height';
  return first.header.height > core.nextHeight ? 'far-height' : undefined;
}

/** Queues a chunk whose certificates have been verified; it is applied batch by batch. */
export function onBatches(core: Core, { batches }: BatchesMessage): void {
  core.catchUp = { ...core.catchUp, queue: batches, asked: undefined, unanswered: new Set() };
}

/** S2: makes the next queued batch the decision of its height. */
export function decideFromQueue(core: Core): boolean {
  const { queue } = core.catchUp;
  if (queue.length === 0) return false;
  const position = queue.findIndex(({ header }) => header.height >= core.nextHeight);
  const batch = queue[position];
  if (batch === undefined || batch.header.height > core.nextHeight) {
    core.catchUp = { ...core.catchUp, queue: [] };
    return false;
  }
  const digest = headerDigest(batch.header);
  if (core.decision !== undefined && core.decision.digest !== digest) {
    core.halt('two commit certificates for one height');
    return false;
  }
  if (core.decision !== undefined && core.bodies.has(digest)) return false;
  core.decision = { digest, certificate: batch.certificate };
  holdBatch(core, digest, { header: batch.header, body: batch.body });
  return true;
}

/** S1: asks the next member that claims to have more, when no answer is outstanding. */
export function requestBatches(core: Core): void {
  const { asked, queue, turn, unanswered } = core.catchUp;
  if (queue.length > 0 || core.mutant('batches-not-fetched')) return;
  if (asked !== undefined && core.tick - asked.tick < patience(core)) return;
  const ahead = [...core.peers].filter(
    ([peer, { height }]) =>
      height > core.committedHeight && core.members.indexOf(peer) !== undefined,
  );
  if (ahead.length === 0) {
    core.catchUp.asked = undefined;
    core.catchUp.behindTick = undefined;
    core.catchUp.unanswered = new Set();
    return;
  }
  // In the middle of a batch everybody is one ahead for a moment. Votes on the way are cheaper, and a
  // machine that is a little slower than the others must not read every batch twice.
  core.catchUp.behindTick ??= core.tick;
  const isMoment = ahead.every(([, { height }]) => height === core.nextHeight);
  if (isMoment && core.tick - core.catchUp.behindTick < core.config.timing.fetchTicks) return;
  const next = ahead[turn % Math.max(ahead.length, 1)];
  if (next === undefined) return;
  const [peer] = next;
  core.catchUp = {
    ...core.catchUp,
    asked: { peer, tick: core.tick },
    turn: turn + 1,
    unanswered: new Set([...unanswered, peer]),
  };
  core.send([peer], { kind: 'get-batches', fromHeight: core.nextHeight });
}

/** How many ticks the newest question may stay without an answer. */
function patience({ catchUp, config }: Core): number {
  const doublings = Math.min(catchUp.unanswered.size - 1, PATIENCE_DOUBLINGS_MAX);
  return config.timing.fetchTicks * 2 ** Math.max(0, doublings);
}
