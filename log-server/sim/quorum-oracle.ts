// Quorums computed once more, in the plainest way, so that an error in the core's arithmetic can't
// hide itself: the checker must not ask the code that it checks.
import { publicKeyHex } from '../../verifier/ed25519.ts';
import type { Roster } from '../../verifier/roster.ts';
import type { PeerId, ReplicaIndex } from '../consensus/types.ts';

/** What the checker knows about one epoch. */
export interface EpochOracle {
  readonly epoch: number;
  readonly total: number;
  /** B: the most weight that may be faulty. */
  readonly faulty: number;
  /** Q. */
  readonly quorum: number;
  readonly peers: readonly PeerId[];
  /** 0 for somebody who is not a member. */
  weightOf(peer: PeerId): number;
  /** Weight of distinct members. */
  weightOfAll(peers: Iterable<PeerId>): number;
  peerAt(index: ReplicaIndex): PeerId | undefined;
  /** Weight of the faulty members, who sign whatever helps them. */
  readonly traitors: number;
}

/**
 * The oracle of a roster.
 *
 * @param isTraitor who is faulty in this world
 */
export function epochOracle(roster: Roster, isTraitor: (peer: PeerId) => boolean): EpochOracle {
  const weights = new Map<PeerId, number>();
  const peers: PeerId[] = [];
  let total = 0;
  let traitors = 0;
  for (const { voteKey, weight } of roster.replicas) {
    const peer = publicKeyHex(voteKey);
    peers.push(peer);
    weights.set(peer, weight);
    total += weight;
    if (isTraitor(peer)) traitors += weight;
  }
  const faulty = roster.faultyWeight;
  return {
    epoch: roster.epoch,
    total,
    faulty,
    // The smallest integer of which two exceed W + B.
    quorum: Math.floor((total + faulty) / 2) + 1,
    peers,
    traitors,
    weightOf: (peer) => weights.get(peer) ?? 0,
    weightOfAll: (members) => {
      let sum = 0;
      for (const member of new Set(members)) sum += weights.get(member) ?? 0;
      return sum;
    },
    peerAt: (index) => peers[index],
  };
}
