// This replica among the others: who is in the present roster, how they are reached, and whether this one
// votes. Everything follows from the roster in force, which may be another one after each batch.
import { publicKeyHex } from '../../verifier/ed25519.ts';
import { weightOf } from '../../verifier/quorum.ts';
import { rosterWeights, type Roster } from '../../verifier/roster.ts';
import type { PeerId } from '../consensus/types.ts';
import type { PeerGroup } from '../peer/transport.ts';
import type { Setup } from '../setup.ts';
import type { Suffrage } from './amnesia.ts';
import type { Holder } from './artifact-fetcher.ts';
import type { ConsensusCore } from './core-port.ts';
import { othersOf, type Source } from './follower.ts';

/** What it is read from. */
export interface MembershipParts {
  readonly setup: Setup;
  readonly suffrage: Suffrage;
  readonly core: Pick<ConsensusCore, 'context'>;
}

/** The roster in force, from this replica's place. */
export class Membership {
  readonly #parts: MembershipParts;
  readonly #ownKey: PeerId;

  constructor(parts: MembershipParts) {
    this.#parts = parts;
    this.#ownKey = publicKeyHex(parts.suffrage.keys.vote.publicKey);
  }

  get roster(): Roster {
    return this.#parts.core.context.members.roster;
  }

  /** Whether the present roster has this replica's key: others talk to no one else. */
  get isMember(): boolean {
    return this.roster.replicas.some(({ voteKey }) => publicKeyHex(voteKey) === this.#ownKey);
  }

  /** Why this replica only follows the log; `undefined` when it votes. */
  get observerReason(): string | undefined {
    const { suffrage } = this.#parts;
    if (suffrage.kind === 'observer') return suffrage.reason;
    return this.isMember ? undefined : `not in the roster of epoch ${this.roster.epoch}`;
  }

  /** Where the roster says that this replica is: behind a proxy that is not where it listens. */
  get publishedUrl(): string {
    const { config } = this.#parts.setup;
    const entry = this.roster.replicas.find(({ name }) => name === config.replica);
    return entry?.url ?? `http://${config.publicHost}:${config.publicPort}`;
  }

  /** Where to ask for batches: the present roster and, after a long sleep, the newest one on file. */
  get sources(): readonly Source[] {
    const { config, rosters } = this.#parts.setup;
    return othersOf(config.replica, [...(rosters.at(-1)?.replicas ?? []), ...this.roster.replicas]);
  }

  get peerGroup(): PeerGroup {
    const { origin, epoch, replicas } = this.roster;
    return {
      context: { origin, epoch, signer: this.#parts.suffrage.keys.vote },
      peers: replicas.filter(({ voteKey }) => publicKeyHex(voteKey) !== this.#ownKey),
    };
  }

  /** The other replicas' public addresses, the given peers first. */
  holders(first: readonly PeerId[]): readonly Holder[] {
    const own = this.#parts.setup.config.replica;
    const rank = (key: string): number => {
      const place = first.indexOf(key);
      return place === -1 ? first.length : place;
    };
    return this.roster.replicas
      .filter(({ name }) => name !== own)
      .map(({ name, url, voteKey }) => ({ name, url, rank: rank(publicKeyHex(voteKey)) }))
      .sort((a, b) => a.rank - b.rank);
  }

  /**
   * Weight of the members in reach, this one included if it votes.
   *
   * @param connected vote keys of the peers whose connection works, hex
   */
  reachableWeight(connected: readonly PeerId[]): number {
    const { roster } = this;
    const reachable = new Set(connected);
    if (this.#parts.suffrage.kind === 'voter') reachable.add(this.#ownKey);
    const members = roster.replicas.flatMap(({ voteKey }, i) =>
      reachable.has(publicKeyHex(voteKey)) ? [i] : [],
    );
    return weightOf(members, rosterWeights(roster));
  }
}
