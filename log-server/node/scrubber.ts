// Reads everything that is stored, slowly, again and again: bit rot in what nobody asks for would
// otherwise be found when the last good copy elsewhere is gone too. Reading checks: a damaged artifact
// counts as missing from then on and is fetched from another replica, a damaged entry stops the voting
// and has the database rebuilt.
import { setTimeout as sleep } from 'node:timers/promises';

import type { Log } from '../log.ts';

/** Bytes of artifacts read in a second: 170 GB a day, and a few per cent of a disk and a core. */
const BYTES_PER_SECOND: number = 2 * 1024 * 1024;

/** What one artifact counts as at least, bytes: opening it costs something too. */
const ARTIFACT_COST_MIN: number = 16 * 1024;

/** Entries read before others get a turn. */
const ENTRIES_PER_TURN = 32;

/** And the pause after them, milliseconds: a log of a million entries takes an hour. */
const ENTRIES_PAUSE_MS = 100;

/** Between two rounds, milliseconds; a small log is read once an hour. */
const ROUND_PAUSE_MS = 3_600_000;

/** Before the first round, milliseconds: whoever has just started has other things to read. */
const START_PAUSE_MS = 60_000;

/** Digests looked up in one go. */
const DIGESTS_AT_ONCE = 64;

const BEFORE_ALL: string = '00'.repeat(64);

/** What is read. */
export interface ScrubParts {
  /** Digests of held artifacts after the given one, in order. */
  readonly heldAfter: (sha512: string, countMax: number) => readonly string[];
  /** Reads an artifact and checks it; `undefined` when it was damaged. */
  readonly read: (sha512: string) => Promise<{ readonly size: number } | undefined>;
  /** Entries in the log. */
  readonly size: () => number;
  /** Reads an entry and checks it. @throws {DamagedStoreError} */
  readonly entry: (index: number) => Promise<unknown>;
  readonly failed: (error: unknown) => void;
  readonly log: Log;
  /** For tests: waits so long, milliseconds. */
  readonly pause?: (ms: number) => Promise<void>;
}

/** Reads what is stored, in rounds. */
export class Scrubber {
  readonly #parts: ScrubParts;
  readonly #closed = new AbortController();
  #running: Promise<void> | undefined;

  constructor(parts: ScrubParts) {
    this.#parts = parts;
  }

  /** Starts the first round. */
  start(): void {
    this.#running ??= this.#run().catch((error: unknown) => {
      if (!this.#closed.signal.aborted) this.#parts.failed(error);
    });
  }

  /** Stops after what is being read now. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { log } = this.#parts;
    await this.#pause(START_PAUSE_MS);
    for (;;) {
      const { artifacts, damaged } = await this.#readArtifacts();
      const entries = await this.#readEntries();
      log.info('scrubbed', { artifacts, damaged, entries });
      await this.#pause(ROUND_PAUSE_MS);
    }
  }

  async #readArtifacts(): Promise<{ readonly artifacts: number; readonly damaged: number }> {
    const { heldAfter, read, log } = this.#parts;
    let [artifacts, damaged, after] = [0, 0, BEFORE_ALL];
    for (;;) {
      const digests = heldAfter(after, DIGESTS_AT_ONCE);
      const last = digests.at(-1);
      if (last === undefined) return { artifacts, damaged };
      for (const sha512 of digests) {
        const content = await read(sha512);
        artifacts += 1;
        if (content === undefined) {
          damaged += 1;
          log.warn('artifact_unavailable', { sha512, error: 'it was damaged on the disk' });
        }
        const cost = Math.max(content?.size ?? 0, ARTIFACT_COST_MIN);
        await this.#pause((cost / BYTES_PER_SECOND) * 1000);
      }
      after = last;
    }
  }

  async #readEntries(): Promise<number> {
    const { size, entry } = this.#parts;
    const end = size();
    for (let index = 0; index < end; index++) {
      await entry(index);
      if ((index + 1) % ENTRIES_PER_TURN === 0) await this.#pause(ENTRIES_PAUSE_MS);
    }
    return end;
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#closed;
    signal.throwIfAborted();
    await (this.#parts.pause?.(ms) ?? sleep(ms, undefined, { signal, ref: false }));
    signal.throwIfAborted();
  }
}
