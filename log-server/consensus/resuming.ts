// Starting, for the first time or after a crash (C2): nothing is replayed. The durable records say what
// was promised; whatever was promised is asked to be signed again, and Ed25519 gives the same bytes.
import type { Core } from './core.ts';
import { headerDigest } from '../../verifier/replication/encode.ts';
import { cosignNewest } from './committing.ts';
import type { Batch, Vote } from '../../verifier/replication/messages.ts';

/** Asks again for every signature that the records stand for. */
export function resume(core: Core, bodies: readonly Batch[]): void {
  for (const batch of bodies) {
    if (batch.header.height !== core.nextHeight) continue;
    const digest = headerDigest(batch.header);
    core.bodies.set(digest, batch);
    core.durableBodies.add(digest);
  }
  const { viewChange, newView, active, signer } = core.voter;
  if (signer === undefined) return;
  if (active === undefined) {
    if (viewChange !== undefined) core.signVote({ kind: 'view-change', content: viewChange });
    return;
  }
  if (newView !== undefined && core.isLeader) core.signVote({ kind: 'new-view', content: newView });
  resumeVote(core);
  resumeCommit(core);
  cosignNewest(core);
}

function resumeVote(core: Core): void {
  const { vote: last, view, active, epoch } = core.voter;
  if (last === undefined || active === undefined || last.view !== view) return;
  const { height, digest } = last;
  const vote: Vote = { epoch, view, nv: active.nv, height, digest };
  const batch = core.bodies.get(digest);
  if (core.isLeader && batch !== undefined) {
    core.proposal = { digest, header: batch.header, message: undefined };
  }
  core.asked.vote = `${view}/${digest}`;
  core.signVote({ kind: core.isLeader ? 'pre-prepare' : 'prepare', vote });
}

function resumeCommit(core: Core): void {
  const { prepared, view, active } = core.voter;
  const vote = prepared?.certificate.vote;
  if (vote === undefined || vote.view !== view || active === undefined) return;
  core.asked.commit = `${view}/${vote.digest}`;
  core.signVote({ kind: 'commit', vote });
}
