// What can be seen of a replica from outside: for tests, the simulator's invariants and status pages.
import type { Core } from './core.ts';
import type { Digest, PeerId, ReplicaIndex } from '../../verifier/replication/messages.ts';

/** Plain data; equal states have equal summaries. */
export interface StateSummary {
  readonly epoch: number;
  readonly self: ReplicaIndex | undefined;
  readonly view: number;
  readonly active: boolean;
  readonly wish: number;
  readonly height: number;
  readonly digest: Digest;
  readonly size: number;
  readonly root: Digest;
  readonly base: number;
  readonly mandate: Digest | undefined;
  readonly vote:
    | { readonly view: number; readonly height: number; readonly digest: Digest }
    | undefined;
  readonly prepared: { readonly view: number; readonly digest: Digest } | undefined;
  readonly leader: PeerId;
  readonly halted: string | undefined;
  /** Requests sent ahead, taken in, and found in proposals without being sent again; of this process. */
  readonly prefetched: { readonly sent: number; readonly taken: number; readonly used: number };
  /** Sizes of everything that could grow, against the bounds of 2.14 (I12). */
  readonly sizes: {
    readonly bodies: number;
    readonly votes: number;
    readonly checks: number;
    readonly fetches: number;
    readonly peers: number;
    readonly viewChanges: number;
    readonly cosigns: number;
    readonly requests: number;
    readonly exposed: number;
    readonly relayDue: number;
    readonly queued: number;
    readonly accused: number;
    readonly proofs: number;
    /** Requests that were sent ahead, here or to here. */
    readonly ahead: number;
  };
}

/** Reads a core. */
export function summarize(core: Core): StateSummary {
  const { voter } = core;
  const { header } = voter.committed;
  let cosigns = 0;
  for (const messages of core.cosigns.values()) cosigns += messages.length;
  return {
    epoch: voter.epoch,
    self: voter.signer,
    view: voter.view,
    active: core.isActive,
    wish: core.wish,
    height: header.height,
    digest: voter.committedDigest,
    size: header.size,
    root: header.root,
    base: core.base,
    mandate: voter.active?.mandate,
    vote: voter.vote,
    prepared: voter.prepared && {
      view: voter.prepared.certificate.vote.view,
      digest: voter.prepared.certificate.vote.digest,
    },
    leader: core.leaderPeer,
    halted: core.halted,
    prefetched: { ...core.prefetched },
    sizes: {
      bodies: core.bodies.size,
      votes: core.votes.size,
      checks: core.checks.size,
      fetches: core.fetches.size,
      peers: core.peers.size,
      viewChanges: core.viewChanges.size,
      cosigns,
      requests: core.pool.size,
      exposed: core.exposed.size,
      relayDue: core.relayDue.size + core.overdue.size,
      queued: core.catchUp.queue.length,
      accused: core.accused.size,
      proofs: core.proofs.size,
      ahead: (core.sentAhead?.requests.length ?? 0) + (core.received?.requests.length ?? 0),
    },
  };
}
