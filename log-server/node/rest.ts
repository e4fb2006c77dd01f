// Gives memory back when there is nothing to do. After a burst, V8 keeps the pages of its young generation
// (tens of megabytes), caches keep what came in last, and threads wait for signatures that don't come; a
// replica of a quiet log would hold all of that for ever.
import { holdYoungGeneration } from '../engine.ts';
import type { Log } from '../log.ts';
import { trimCHeap } from '../store/c-heap.ts';
import { shrinkHeap } from './shrink-heap.ts';

/** How often it looks, milliseconds. A pause as long as this is no rest from anything. */
const LOOK_MS = 10_000;

/** How often it looks whether there is something to do again, milliseconds. */
const WATCH_MS = 1000;

/**
 * Share of the time below which there is nothing to do: ticks and reports to peers take 2 to 4 % on a slow
 * machine, and an upload now and then no more.
 */
const QUIET_SHARE = 0.1;

/** Growth since the last rest that is worth another, bytes. */
const WORTH_BYTES: number = 12 * 1024 * 1024;

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
  /** Keeps the young generation as small as it is, or lets it grow. */
  readonly hold?: (isHeld: boolean) => void;
}

/** Looks now and then whether the process is idle. */
export class Rest {
  readonly #parts: Required<RestParts>;
  #busyMs: number;
  #restedBytes = 0;
  /** Rests that are still to come whatever the size is. */
  #left = 0;
  /** The rest that is under way. */
  #resting: Promise<void> | undefined;
  #isHeld = false;
  #watchedMs: number;
  #timers: readonly NodeJS.Timeout[] = [];

  constructor(parts: RestParts) {
    this.#parts = {
      busyMs: () => performance.eventLoopUtilization().active,
      residentBytes: () => process.memoryUsage.rss(),
      collect: shrinkHeap,
      trim: trimCHeap,
      hold: holdYoungGeneration,
      ...parts,
    };
    this.#busyMs = this.#parts.busyMs();
    this.#watchedMs = this.#busyMs;
  }

  start(): void {
    this.#timers = [
      setInterval(() => void this.look(LOOK_MS), LOOK_MS).unref(),
      setInterval(() => this.watch(WATCH_MS), WATCH_MS).unref(),
    ];
  }

  /** Ends it. What is under way is waited for: it works with a database that is closed next. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#hold(false);
    await this.#resting;
  }

  /**
   * Lets the young generation grow again as soon as there is something to do.
   *
   * @param elapsedMs since it was last called
   */
  watch(elapsedMs: number): void {
    const before = this.#watchedMs;
    this.#watchedMs = this.#parts.busyMs();
    // Resting is no work: a collection takes more than a tenth of a second.
    if (this.#resting !== undefined) return;
    if (this.#watchedMs - before >= QUIET_SHARE * elapsedMs) this.#hold(false);
  }

  /**
   * Rests if the process was quiet since the last look, and has grown since it rested.
   *
   * @param elapsedMs since the last look
   */
  async look(elapsedMs: number): Promise<void> {
    const { busyMs, residentBytes } = this.#parts;
    const before = this.#busyMs;
    this.#busyMs = busyMs();
    const isQuiet = this.#busyMs - before < QUIET_SHARE * elapsedMs;
    if (isQuiet) this.#hold(true);
    const bytes = residentBytes();
    if (bytes >= this.#restedBytes + WORTH_BYTES) this.#left = RESTS_IN_A_ROW;
    if (!isQuiet || this.#resting !== undefined || this.#left === 0) return;
    this.#left -= 1;
    this.#resting = this.#rest(bytes);
    try {
      await this.#resting;
    } finally {
      this.#resting = undefined;
    }
  }

  async #rest(before: number): Promise<void> {
    const { busyMs, residentBytes, release, collect, trim, log } = this.#parts;
    await release();
    await collect();
    // Last: what was dropped and collected is free now.
    trim();
    this.#restedBytes = residentBytes();
    this.#busyMs = busyMs();
    this.#watchedMs = this.#busyMs;
    log.debug('rested', { before, after: this.#restedBytes });
  }

  #hold(isHeld: boolean): void {
    if (this.#isHeld === isHeld) return;
    this.#isHeld = isHeld;
    this.#parts.hold(isHeld);
  }
}
