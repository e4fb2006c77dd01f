// Gives memory back when there is nothing to do. After a burst, V8 keeps the pages of its young generation
// (tens of megabytes), caches keep what came in last, and threads wait for signatures that don't come; a
// replica of a quiet log would hold all of that for ever.
import type { Log } from '../log.ts';
import { trimCHeap } from '../store/c-heap.ts';
import { shrinkHeap } from './shrink-heap.ts';

/** How often it looks, milliseconds. A pause as long as this is no rest from anything. */
const LOOK_MS = 10_000;

/**
 * Share of the time below which there is nothing to do: ticks and reports to peers take 2 to 4 % on a slow
 * machine, and an upload now and then no more.
 */
const QUIET_SHARE = 0.1;

/** Growth since the last rest that is worth another, bytes. */
const WORTH_BYTES: number = 16 * 1024 * 1024;

/**
 * Rests after a growth, one each time it looks: right behind a burst a good part of it is still under way, in
 * sockets, groups and requests that wait for each other.
 */
const RESTS_IN_A_ROW = 3;

/** What a rest works with. */
export interface RestParts {
  /** Drops what can be had again: caches, idle threads. */
  readonly release: () => Promise<void>;
  readonly log: Log;
  /**
   * How long the event loop has had something to do so far, milliseconds. Not the CPU time that it got for it: on
   * an overloaded machine that is little, and resting in the middle of a burst takes caches away from what waits.
   */
  readonly busyMs?: () => number;
  /** Resident memory of this process, bytes. */
  readonly residentBytes?: () => number;
  /** Collects garbage; leaves young and old generation as small as they get. */
  readonly collect?: () => void | Promise<void>;
  /** Gives free memory of the C heap back to the system. */
  readonly trim?: () => void;
}

/** Looks now and then whether the process is idle. */
export class Rest {
  readonly #parts: Required<RestParts>;
  #busyMs: number;
  #restedBytes = 0;
  /** Rests that are still to come whatever the size is. */
  #left = 0;
  #isResting = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: RestParts) {
    this.#parts = {
      busyMs: () => performance.eventLoopUtilization().active,
      residentBytes: () => process.memoryUsage.rss(),
      collect: shrinkHeap,
      trim: trimCHeap,
      ...parts,
    };
    this.#busyMs = this.#parts.busyMs();
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(LOOK_MS), LOOK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /**
   * Rests if the process was quiet since the last look, and has grown since it rested.
   *
   * @param elapsedMs since the last look
   */
  async look(elapsedMs: number): Promise<void> {
    const { busyMs, residentBytes, release, collect, trim, log } = this.#parts;
    const before = this.#busyMs;
    this.#busyMs = busyMs();
    const isQuiet = this.#busyMs - before < QUIET_SHARE * elapsedMs;
    const bytes = residentBytes();
    if (bytes >= this.#restedBytes + WORTH_BYTES) this.#left = RESTS_IN_A_ROW;
    if (!isQuiet || this.#isResting || this.#left === 0) return;
    this.#isResting = true;
    this.#left -= 1;
    try {
      await release();
      await collect();
      // Last: what was dropped and collected is free now.
      trim();
      this.#restedBytes = residentBytes();
      this.#busyMs = busyMs();
      log.debug('rested', { before: bytes, after: this.#restedBytes });
    } finally {
      this.#isResting = false;
    }
  }
}
