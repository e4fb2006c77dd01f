// The replicas of one epoch as the protocol sees them: indexes, weights, who leads which view.
import { publicKeyHex } from '../ed25519.ts';
import { hasQuorum, hasWeakQuorum } from '../quorum.ts';
import { type Roster, rosterWeights } from '../roster.ts';
import type { MutantName } from './mutants.ts';
import type { PeerId, ReplicaIndex } from './messages.ts';

/** No deliberate bugs. */
export const NO_MUTANTS: ReadonlySet<MutantName> = new Set();

/** The members of a roster; immutable. */
export class Members {
  readonly roster: Roster;
  /** Vote keys by index. */
  readonly peers: readonly PeerId[];
  /** Everybody but `self`. */
  readonly others: readonly PeerId[];
  /** Own index; absent for an observer, who never signs. */
  readonly self: ReplicaIndex | undefined;
  readonly #weights: readonly number[];
  readonly #indexes: ReadonlyMap<PeerId, ReplicaIndex>;
  readonly #mutants: ReadonlySet<MutantName>;

  constructor(roster: Roster, self: PeerId, mutants: ReadonlySet<MutantName> = NO_MUTANTS) {
    this.roster = roster;
    this.peers = roster.replicas.map(({ voteKey }) => publicKeyHex(voteKey));
    this.others = this.peers.filter((peer) => peer !== self);
    this.#indexes = new Map(this.peers.map((peer, index) => [peer, index]));
    this.self = this.#indexes.get(self);
    this.#weights = rosterWeights(roster);
    this.#mutants = mutants;
  }

  get epoch(): number {
    return this.roster.epoch;
  }

  get count(): number {
    return this.peers.length;
  }

  /** Undefined for somebody who is not a member. */
  indexOf(peer: PeerId): ReplicaIndex | undefined {
    return this.#indexes.get(peer);
  }

  /** M3: round robin by index, starting at another replica in each epoch. */
  leader(view: number): ReplicaIndex {
    return (this.epoch + view) % this.count;
  }

  /** Strong quorum Q. Duplicates count once; an index of nobody is a bug of the caller. */
  isQuorum(signers: readonly ReplicaIndex[]): boolean {
    const { faulty, quorum } = this.roster.thresholds;
    if (this.#mutants.has('two-f-plus-one')) return new Set(signers).size >= 2 * faulty + 1;
    if (this.#mutants.has('weights-ignored')) {
      const count = this.count;
      const needed = Math.floor((count + Math.floor((count - 1) / 3)) / 2) + 1;
      return new Set(signers).size >= needed;
    }
    if (this.#mutants.has('duplicate-signers-counted')) return signers.length >= quorum;
    return hasQuorum(signers, this.#weights, this.roster.thresholds);
  }

  /** Weak quorum K = F + 1: at least one correct member. */
  isWeakQuorum(signers: readonly ReplicaIndex[]): boolean {
    return hasWeakQuorum(signers, this.#weights, this.roster.thresholds);
  }

  /**
   * The largest value that members of at least quorum (weak quorum) weight have reached.
   *
   * @param values by index; 0 where nothing is known
   */
  reachedBy(values: readonly number[], strength: 'quorum' | 'weak'): number {
    const descending = [...values.keys()].sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0));
    for (let count = 1; count <= descending.length; count++) {
      const set = descending.slice(0, count);
      const enough = strength === 'quorum' ? this.isQuorum(set) : this.isWeakQuorum(set);
      if (enough) return values[set[count - 1] ?? 0] ?? 0;
    }
    return 0;
  }
}
