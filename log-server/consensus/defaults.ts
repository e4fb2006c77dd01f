// The numbers that an ordinary deployment uses, each with its reason.
import { NO_MUTANTS } from '../../verifier/replication/members.ts';
import type { PeerId } from '../../verifier/replication/messages.ts';
import type { Config, Limits, Timing } from './types.ts';

/** The driver's tick. Short against a batch's latency budget, long against a step (microseconds). */
export const TICK_MS = 20;

/** Limits of a batch are consensus: all replicas of a log need the same ones. */
export const DEFAULT_LIMITS: Limits = {
  // Throughput is flat from 100 to 1,000; latency is not (CONSENSUS.md 4.3).
  batchRequestsMax: 500,
  // A fourth of a message: 32 of the largest entries, and room for every overhead.
  batchBytesMax: 2 * 1024 * 1024,
  poolRequestsMax: 5_000,
  poolBytesMax: 32 * 1024 * 1024,
  // One full batch of each other replica.
  laneRequestsMax: 500,
  laneBytesMax: 4 * 1024 * 1024,
  // More than the vote, the certificate, the mandate and the proposal: a body that was voted for may
  // turn up as a mandate several views later, and fewer copies mean waiting for whoever has one.
  bodiesMax: 8,
  leaderLagMax: 16,
  clockSkewMaxMs: 10_000,
};

/** In ticks of 20 ms. */
export const DEFAULT_TIMING: Timing = {
  statusTicks: 25,
  // 2 s at first, 128 s at most: far above any real outage of a network (W6).
  viewTicks: 100,
  viewDoublingsMax: 6,
  batchTicks: 1,
  relayTicks: 100,
  fetchTicks: 25,
  // A minute, a tenth of the default age limit of clients.
  cosignTicks: 3_000,
};

/** The ordinary configuration of the replica with this vote key. */
export function defaultConfig(self: PeerId): Config {
  return { self, limits: DEFAULT_LIMITS, timing: DEFAULT_TIMING, mutants: NO_MUTANTS };
}
