// The durations that the consensus core runs with, from the configuration. Limits of a batch are not
// configurable: they are part of what a valid batch is (consensus/defaults.ts).
import type { Config } from '../config.ts';
import type { Timing } from '../consensus/types.ts';

/** Doublings of the view timer: 2 s grow to 128 s, more than any outage that heals by itself. */
const VIEW_DOUBLINGS_MAX = 6;

/**
 * After this long a request goes to everybody (Q3) if nothing is committed meanwhile, or if batches pass it by
 * (consensus/relaying.ts). As long as the first view timer.
 */
const RELAY_MS = 2000;

/** An answer from a peer that takes longer is asked for elsewhere. */
const FETCH_MS = 500;

/** The configuration's durations in ticks, each at least one. */
export function timingOf(config: Config): Timing {
  const ticks = (milliseconds: number): number =>
    Math.max(1, Math.ceil(milliseconds / config.tickMs));
  return {
    statusTicks: ticks(config.statusIntervalMs),
    viewTicks: ticks(config.viewTimeoutMs),
    viewDoublingsMax: VIEW_DOUBLINGS_MAX,
    batchTicks: config.batchDelayMs === 0 ? 0 : ticks(config.batchDelayMs),
    relayTicks: ticks(RELAY_MS),
    fetchTicks: ticks(FETCH_MS),
    cosignTicks: ticks(config.recosignSeconds * 1000),
  };
}
