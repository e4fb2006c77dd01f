// Where received PREPAREs and COMMITs wait (CONSENSUS.md 2.14): per member and phase one slot for the
// next height, one for the height after it (N10), one for the highest future view, and one for the
// vote of the view that was left, as evidence. Nothing else is kept, however much is sent.
import { type SignedVote, sameVote } from '../../verifier/replication/certificates.ts';
import type { ReplicaIndex, Vote } from '../../verifier/replication/messages.ts';
import type { IgnoreReason } from './types.ts';

/** PREPARE or COMMIT. */
export type Phase = 'prepare' | 'commit';

type Place = 'current' | 'next' | 'future' | 'past';

interface Slots {
  current?: SignedVote | undefined;
  next?: SignedVote | undefined;
  future?: SignedVote | undefined;
  past?: SignedVote | undefined;
}

/** What storing a vote would do. */
export type Placement =
  | { readonly kind: 'stored' }
  | { readonly kind: 'useless'; readonly reason: IgnoreReason }
  /** The signer said something else in the same view and height (X1, X2). */
  | { readonly kind: 'conflict'; readonly earlier: SignedVote };

/** The bounded slots of one epoch. */
export class VoteBook {
  readonly #slots: { readonly [P in Phase]: Slots[] };
  #view = 0;
  /** The height that is being decided: committed + 1. */
  #height = 1;

  readonly #keepsOld: boolean;

  /**
   * @param members number of replicas
   * @param keepsOld a mutant: votes of views that were left are still taken
   */
  constructor(members: number, view: number, height: number, keepsOld = false) {
    this.#keepsOld = keepsOld;
    const empty = (): Slots[] => Array.from({ length: members }, () => ({}));
    this.#slots = { prepare: empty(), commit: empty() };
    this.#view = view;
    this.#height = height;
  }

  /** What `store` would do; changes nothing. */
  placement(phase: Phase, signer: ReplicaIndex, vote: Vote): Placement {
    const place = this.#placeOf(vote);
    if (!isPlace(place)) return { kind: 'useless', reason: place };
    const earlier = this.#slots[phase][signer]?.[place];
    if (earlier === undefined) return { kind: 'stored' };
    if (earlier.vote.view === vote.view && earlier.vote.height === vote.height) {
      if (earlier.vote.digest !== vote.digest) return { kind: 'conflict', earlier };
      return { kind: 'useless', reason: 'duplicate' };
    }
    // Only the future slot gets here. Strictly newer replaces; anything else would let a member make
    // us forget.
    return earlier.vote.view < vote.view
      ? { kind: 'stored' }
      : { kind: 'useless', reason: 'slot-taken' };
  }

  /** Keeps a verified vote if there is a slot for it. */
  store(phase: Phase, signed: SignedVote): Placement {
    const placement = this.placement(phase, signed.signer, signed.vote);
    if (placement.kind === 'stored') {
      const place = this.#placeOf(signed.vote);
      const slots = this.#slots[phase][signed.signer];
      if (slots !== undefined && isPlace(place)) slots[place] = signed;
    }
    return placement;
  }

  /** Votes in the present view for the height being decided. */
  current(phase: Phase): readonly SignedVote[] {
    return this.#slots[phase].flatMap(({ current }) => (current === undefined ? [] : [current]));
  }

  /** The member's vote at this height in the newest view that was left. */
  past(phase: Phase, signer: ReplicaIndex): SignedVote | undefined {
    return this.#slots[phase][signer]?.past;
  }

  /** The same of every member. */
  allPast(phase: Phase): readonly SignedVote[] {
    return this.#slots[phase].flatMap(({ past }) => (past === undefined ? [] : [past]));
  }

  /** Votes kept; at most four per member and phase. */
  get size(): number {
    return this.all().length;
  }

  /** All of them, for checks of the bounds. */
  all(): readonly SignedVote[] {
    return [...this.#slots.prepare, ...this.#slots.commit]
      .flatMap(({ current, next, future, past }) => [current, next, future, past])
      .filter((signed) => signed !== undefined);
  }

  /** Moves to another view or height: slots are filed anew, what no longer fits is forgotten. */
  moveTo(view: number, height: number): void {
    if (view === this.#view && height === this.#height) return;
    const left = view !== this.#view && height === this.#height;
    this.#view = view;
    this.#height = height;
    for (const phase of ['prepare', 'commit'] as const) {
      for (const slots of this.#slots[phase]) this.#refile(slots, left);
    }
  }

  #refile(slots: Slots, left: boolean): void {
    const { current, next, future } = slots;
    slots.past = left ? (current ?? slots.past) : undefined;
    slots.current = undefined;
    slots.next = undefined;
    slots.future = undefined;
    for (const signed of [current, next, future]) {
      if (signed === undefined) continue;
      const place = this.#placeOf(signed.vote);
      if (isPlace(place) && slots[place] === undefined) slots[place] = signed;
    }
  }

  #placeOf(vote: Vote): Place | IgnoreReason {
    if (vote.height < this.#height) return vote.view < this.#view ? 'old-view' : 'old-height';
    if (vote.view < this.#view) return this.#keepsOld ? 'past' : 'old-view';
    if (vote.view > this.#view) return 'future';
    if (vote.height === this.#height) return 'current';
    return vote.height === this.#height + 1 ? 'next' : 'far-height';
  }
}

function isPlace(place: Place | IgnoreReason): place is Place {
  return place === 'current' || place === 'next' || place === 'future' || place === 'past';
}

/** Whether votes add up; with `pooled` (a mutant) also across views. */
export function countsAs(pooled: boolean): (a: Vote, b: Vote) => boolean {
  return pooled ? (a, b) => a.height === b.height && a.digest === b.digest : sameVote;
}
