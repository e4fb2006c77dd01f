// The checkpoint note that clients get here, and that it never gets older. It has two sources: cosignatures that
// the core has collected, and finished notes of other replicas while this one is cut off from their connections. Who is cut
// off signs its checkpoint again all the same, and would put that beside cosignatures of long ago in place of a
// fresh note that it had taken over: a client that asks here would be told of a freeze.
import type { Store } from '../store/store.ts';

/** What a note is of. */
export interface CheckpointFacts {
  /** Epoch of the roster whose members cosigned it. */
  readonly epoch: number;
  /** Leaves. */
  readonly size: number;
  /** The time that it certifies, Unix seconds. */
  readonly timeSeconds: number;
}

/** What keeps the note. */
export interface ServedCheckpointParts {
  readonly store: Pick<Store, 'putCheckpoint'>;
  /** A note of this size is being served. */
  readonly covered: (size: number) => void;
}

/** The newest checkpoint. */
export class ServedCheckpoint {
  readonly #parts: ServedCheckpointParts;
  #facts: CheckpointFacts | undefined;

  constructor(parts: ServedCheckpointParts) {
    this.#parts = parts;
  }

  /** What is served, of this process; one from before its start may be served without being here. */
  get facts(): CheckpointFacts | undefined {
    return this.#facts;
  }

  /**
   * Serves a note, unless a newer one is served. To be called in the lane, where nobody else does.
   *
   * @returns whether it is served now
   */
  async put(note: string, facts: CheckpointFacts): Promise<boolean> {
    if (isOlder(facts, this.#facts)) return false;
    await this.#parts.store.putCheckpoint(note, facts.size);
    this.#facts = facts;
    this.#parts.covered(facts.size);
    return true;
  }
}

function isOlder(note: CheckpointFacts, served: CheckpointFacts | undefined): boolean {
  if (served === undefined || note.size > served.size) return false;
  if (note.size < served.size) return true;
  // With another roster the same size needs other cosignatures, whatever their clocks say.
  return note.epoch === served.epoch && note.timeSeconds < served.timeSeconds;
}
