// What the signing kernel remembers, and how it moves on when a batch has been decided.
import { assert } from '../../verifier/errors.ts';
import { ZERO_DIGEST } from '../../verifier/replication/encode.ts';
import type {
  CertifiedHeader,
  Digest,
  Header,
  LastCommitted,
  NewViewContent,
  ReplicaIndex,
  ViewChangeContent,
} from '../../verifier/replication/messages.ts';

/** What a view allows once its NEW-VIEW is known (V6); view 0 of an epoch needs none. */
export interface ActiveView {
  readonly nv: Digest;
  readonly base: number;
  /** The only digest that may be voted for at `base + 1`, if there is one. */
  readonly mandate: Digest | undefined;
}

/** Everything that a signature depends on. Durable, field by field, before it is used. */
export interface VoterState {
  readonly epoch: number;
  /** Own index; an observer has none and signs nothing. */
  readonly signer: ReplicaIndex | undefined;
  /** The promise: nothing is ever signed for a lower (epoch, view). */
  readonly view: number;
  /** Absent between entering a view and its NEW-VIEW. */
  readonly active: ActiveView | undefined;
  readonly committed: LastCommitted;
  readonly committedDigest: Digest;
  /** The last PREPARE. */
  readonly vote:
    | { readonly view: number; readonly height: number; readonly digest: Digest }
    | undefined;
  /** The highest-view prepare certificate at the next height; survives view changes (V12). */
  readonly prepared: CertifiedHeader | undefined;
  /** The one VIEW-CHANGE into `view`, frozen (V1). */
  readonly viewChange: ViewChangeContent | undefined;
  /** The NEW-VIEW that opened `view`, own or accepted (V4, V7). */
  readonly newView: NewViewContent | undefined;
  /** The newest checkpoint that was cosigned in this process. */
  readonly cosigned: { readonly size: number; readonly root: Digest } | undefined;
}

/** N8: moves to a decided batch of the same epoch. What was promised about its height is done with. */
export function commitTo(state: VoterState, committed: LastCommitted, digest: Digest): VoterState {
  const height = state.committed.header.height + 1;
  assert(committed.header.height === height, 'batches commit in order');
  assert(committed.header.parent === state.committedDigest, 'a batch follows its parent');
  return { ...state, committed, committedDigest: digest, vote: undefined, prepared: undefined };
}

/**
 * P7: the state at the start of an epoch. View 0 is open; nothing of the old epoch can be signed any
 * more. What was cosigned stays: the cosign key may be the same one.
 */
export function startEpoch(
  epoch: number,
  signer: ReplicaIndex | undefined,
  closing: Header,
  digest: Digest,
  cosigned: VoterState['cosigned'],
): VoterState {
  return {
    epoch,
    signer,
    view: 0,
    active: { nv: ZERO_DIGEST, base: closing.height, mandate: undefined },
    committed: { header: closing, certificate: undefined },
    committedDigest: digest,
    vote: undefined,
    prepared: undefined,
    viewChange: undefined,
    newView: undefined,
    cosigned,
  };
}
