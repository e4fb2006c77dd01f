// The numbers that the consensus core runs with. Those in LIMITS are part of what a valid batch is and
// so the same on every replica; they are not configurable. Durations may differ between replicas.
import type { Config } from '../config.ts';
import type { Limits, Timing } from '../consensus/types.ts';

/** Limits that all replicas of all logs share. */
export const LIMITS: Limits = {
  // Beyond about 500 entries per batch throughput hardly grows (CONSENSUS 4.3), latency does.
  batchRequestsMax: 500,
  // Half of what one message between replicas may hold.
  batchBytesMax: 4 * 1024 * 1024,
  // Eight batches of the largest kind: enough to keep a leader busy, little enough to be a queue.
  poolRequestsMax: 4000,
  poolBytesMax: 32 * 1024 * 1024,
  laneRequestsMax: 1000,
  laneBytesMax: 8 * 1024 * 1024,
  bodiesMax: 4,
  leaderLagMax: 16,
  // A batch's time is certified to clients; five seconds cover what NTP leaves.
  clockSkewMaxMs: 5000,
};

/** Doublings of the view timer: 2 s grow to 128 s, more than any outage that heals by itself. */
const VIEW_DOUBLINGS_MAX = 6;

/** A request that the leader has not ordered after this long goes to everybody (Q3). */
const RELAY_MS = 1000;

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
