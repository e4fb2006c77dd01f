// Reads of packages, one after the other. A package's row is compared with the map version by version:
// with ten thousand of them that is half a second in which this replica is deaf, for a question of a few
// bytes. So whoever asks waits for those before, who ask for the same wait together, and after a long
// read comes a pause in which votes have the thread.
import { setTimeout as sleep } from 'node:timers/promises';

import { BusyError } from './face.ts';

/** Reads that wait: npm asks for dozens of packages at once, several installations at one time. */
const WAITING_MAX = 1024;

/** A read that took no longer than this needs no pause, milliseconds. */
const FREE_MS = 10;

/** Pause in times of what a read took: strangers have a fourth of this thread at most. */
const PAUSE_FACTOR = 3;

/** For tests. */
export interface PaceParts {
  readonly nowMs: () => number;
  readonly pause: (ms: number) => Promise<unknown>;
}

const REAL: PaceParts = {
  nowMs: () => performance.now(),
  pause: (ms) => sleep(ms, undefined, { ref: false }),
};

/** Reads by name, at a pace. */
export class PacedReads<T> {
  readonly #read: (name: string) => Promise<T>;
  readonly #parts: PaceParts;
  readonly #underWay = new Map<string, Promise<T>>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(read: (name: string) => Promise<T>, parts: PaceParts = REAL) {
    this.#read = read;
    this.#parts = parts;
  }

  /** @throws {BusyError} too many wait */
  get(name: string): Promise<T> {
    const underWay = this.#underWay.get(name);
    if (underWay !== undefined) return underWay;
    if (this.#underWay.size >= WAITING_MAX) {
      return Promise.reject(new BusyError('too many packages are asked for at one time'));
    }
    const { nowMs, pause } = this.#parts;
    let startMs = 0;
    const read = this.#turn.then(() => {
      startMs = nowMs();
      return this.#read(name);
    });
    // The next one waits for the pause, whoever asked for this one does not; nor for its failure.
    this.#turn = read
      .catch(() => undefined)
      .then(async () => {
        const tookMs = nowMs() - startMs;
        if (tookMs > FREE_MS) await pause(tookMs * PAUSE_FACTOR);
      });
    const shared = read.finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, shared);
    return shared;
  }
}
