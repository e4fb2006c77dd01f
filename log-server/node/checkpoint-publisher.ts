// Turns cosigned checkpoints into the note that is served. Only the newest matters: while one note is
// being written, any number of newer ones become a single next one.
import { VerifyError } from '../../verifier/errors.ts';
import type { Roster } from '../../verifier/roster.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import type { CosignedCheckpoint } from '../consensus/types.ts';
import type { Log } from '../log.ts';
import { describeError } from '../log.ts';
import { makeCheckpointNote } from './checkpoint-note.ts';
import type { Lane } from './lane.ts';

/** What the publisher works with. */
export interface PublisherParts {
  readonly store: { putCheckpoint(note: string, size: number): Promise<void> };
  readonly lane: Lane;
  readonly verifier: SignatureVerifier;
  /** The roster of an epoch; `undefined` when it is no longer the present one. */
  readonly rosterOf: (epoch: number) => Roster | undefined;
  /** A note of this size, which certifies this time, is being served. */
  readonly published: (size: number, timeSeconds: number) => void;
  readonly log: Log;
}

/** Publishes checkpoints. */
export class CheckpointPublisher {
  readonly #parts: PublisherParts;
  #next: { readonly cosigned: CosignedCheckpoint; readonly roster: Roster } | undefined;
  #isRunning = false;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /** Takes in a checkpoint with a quorum of cosignatures. */
  publish(cosigned: CosignedCheckpoint): void {
    const roster = this.#parts.rosterOf(cosigned.epoch);
    if (roster === undefined) return;
    this.#next = { cosigned, roster };
    if (this.#isRunning) return;
    this.#isRunning = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    const { store, lane, verifier, published, log } = this.#parts;
    for (let next = this.#next; next !== undefined; next = this.#next) {
      this.#next = undefined;
      const { cosigned, roster } = next;
      try {
        const { note, certifiedTime } = await makeCheckpointNote(cosigned, roster, verifier);
        await lane.run(() => store.putCheckpoint(note, cosigned.size));
        published(cosigned.size, certifiedTime);
        const signers = cosigned.cosignatures.length;
        log.debug('checkpoint_published', { size: cosigned.size, signers });
      } catch (error) {
        // The note before it goes on being served; the next cosignature brings the next try. A failing
        // store has latched its own failure.
        const level = error instanceof VerifyError ? 'error' : 'warn';
        log[level]('checkpoint_published', { size: cosigned.size, error: describeError(error) });
      }
    }
    this.#isRunning = false;
  }
}
