// Turns cosigned checkpoints into the note that is served. Only the newest matters: while one note is
// being written, any number of newer ones become a single next one. And a quorum of cosignatures is what a client
// asks for: those that follow come one by one, up to three with ten replicas, and each would be a note to check
// and to bring to the disk. They wait a moment for each other; a checkpoint of another size waits for nothing.
import { VerifyError } from '../../verifier/errors.ts';
import type { Roster } from '../../verifier/roster.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import type { CosignedCheckpoint } from '../consensus/types.ts';
import type { Log } from '../log.ts';
import { describeError } from '../log.ts';
import { makeCheckpointNote } from './checkpoint-note.ts';
import type { Lane } from './lane.ts';
import type { ServedCheckpoint } from './served-checkpoint.ts';

/**
 * How long a note of the checkpoint that is served already waits for further cosignatures, milliseconds: most come
 * within a batch's time. Its age is judged in minutes.
 */
const FURTHER_MS = 1000;

/** What the publisher works with. */
export interface PublisherParts {
  readonly served: Pick<ServedCheckpoint, 'put'>;
  readonly lane: Lane;
  readonly verifier: SignatureVerifier;
  /** The roster of an epoch; `undefined` when it is no longer the present one. */
  readonly rosterOf: (epoch: number) => Roster | undefined;
  readonly log: Log;
  /** Calls `then` after so many milliseconds; returns what calls it off. A timer unless given. */
  readonly later?: (ms: number, then: () => void) => () => void;
}

/** Publishes checkpoints. */
export class CheckpointPublisher {
  readonly #parts: PublisherParts;
  #next: { readonly cosigned: CosignedCheckpoint; readonly roster: Roster } | undefined;
  #isRunning = false;
  /** What is served, of this process. */
  #served: CosignedCheckpoint | undefined;
  /** While notes of that checkpoint wait. */
  #callOff: (() => void) | undefined;
  #isStopped = false;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /** Publishes nothing more. What is being written is finished by the lane's owner. */
  stop(): void {
    this.#isStopped = true;
    this.#callOff?.();
  }

  /** Takes in a checkpoint with a quorum of cosignatures. */
  publish(cosigned: CosignedCheckpoint): void {
    const roster = this.#parts.rosterOf(cosigned.epoch);
    if (roster === undefined) return;
    this.#next = { cosigned, roster };
    this.#start();
  }

  #start(): void {
    const next = this.#next;
    if (next === undefined || this.#isRunning || this.#isStopped) return;
    if (this.#callOff !== undefined && isSame(next.cosigned, this.#served)) return;
    this.#isRunning = true;
    void this.#run();
  }

  #waitForMore(served: CosignedCheckpoint): void {
    const { later = afterwards } = this.#parts;
    this.#callOff?.();
    this.#served = served;
    this.#callOff = later(FURTHER_MS, () => {
      this.#callOff = undefined;
      this.#start();
    });
  }

  async #run(): Promise<void> {
    const { served, lane, verifier, log } = this.#parts;
    const next = this.#next;
    this.#next = undefined;
    if (next !== undefined) {
      const { cosigned, roster } = next;
      try {
        const { note, certifiedTime } = await makeCheckpointNote(cosigned, roster, verifier);
        const { epoch, size } = cosigned;
        const facts = { epoch, size, timeSeconds: certifiedTime };
        const isServed = await lane.run(() => served.put(note, facts));
        this.#waitForMore(cosigned);
        const signers = cosigned.cosignatures.length;
        if (isServed) log.debug('checkpoint_published', { size, signers });
      } catch (error) {
        // The note before it goes on being served; the next cosignature brings the next try. A failing
        // store has latched its own failure.
        const level = error instanceof VerifyError ? 'error' : 'warn';
        log[level]('checkpoint_published', { size: cosigned.size, error: describeError(error) });
      }
    }
    this.#isRunning = false;
    this.#start();
  }
}

// With another roster the same size needs other cosignatures: nothing of that is served yet.
function isSame(a: CosignedCheckpoint, b: CosignedCheckpoint | undefined): boolean {
  return a.epoch === b?.epoch && a.size === b.size;
}

function afterwards(ms: number, then: () => void): () => void {
  const timer = setTimeout(then, ms).unref();
  return () => clearTimeout(timer);
}
