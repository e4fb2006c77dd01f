// What a replica says about its own health: each question by name, with the figures behind the answer.
import type { HealthCheck } from '../http/face.ts';

/** A process that has not turned its event loop for this long serves nobody. */
const DEAF_MS_MAX = 2000;

/** The figures that health is judged by. */
export interface Vitals {
  readonly deafMs: number;
  /** Why the store takes no writes; `undefined` while it does. */
  readonly storeHalted: string | undefined;
  /** Why the core signs nothing more; `undefined` while it does. */
  readonly coreHalted: string | undefined;
  /** Why this replica only follows the log; `undefined` when it votes. */
  readonly observerReason: string | undefined;
  readonly isDraining: boolean;
  /** Weight of the replicas in reach, this one included. */
  readonly reachableWeight: number;
  readonly quorum: number;
  /** Age of the newest checkpoint, seconds; `undefined` before the first. */
  readonly checkpointAgeSeconds: number | undefined;
  readonly checkpointAgeMaxSeconds: number;
  /** Seconds that the other replicas' clocks are ahead; `undefined` before it is known. */
  readonly clockSkewSeconds: number | undefined;
}

/**
 * A clock that is further from the others' refuses good proposals sooner or later. Measured with the way
 * between the replicas and the waiting here, so less would be noise.
 */
const CLOCK_SKEW_MAX_SECONDS = 5;

/** Whether the process is alive: a supervisor restarts it when not. */
export function healthChecks(vitals: Vitals): readonly HealthCheck[] {
  return [
    check('event-loop', vitals.deafMs <= DEAF_MS_MAX, `${Math.round(vitals.deafMs)} ms`),
    check('store', vitals.storeHalted === undefined, vitals.storeHalted ?? 'writable'),
  ];
}

/** Whether clients should be sent here: a load balancer takes it out when not. */
export function readinessChecks(vitals: Vitals): readonly HealthCheck[] {
  const age = vitals.checkpointAgeSeconds;
  return [
    ...healthChecks(vitals),
    check('not-draining', !vitals.isDraining, vitals.isDraining ? 'stopping' : 'running'),
    check('voting', vitals.observerReason === undefined, vitals.observerReason ?? 'voter'),
    check('consensus', vitals.coreHalted === undefined, vitals.coreHalted ?? 'running'),
    check(
      'peers',
      vitals.reachableWeight >= vitals.quorum,
      `weight ${vitals.reachableWeight} in reach, a quorum is ${vitals.quorum}`,
    ),
    // Before the first entry there is nothing to be fresh about.
    check(
      'checkpoint',
      age === undefined || age <= vitals.checkpointAgeMaxSeconds,
      age === undefined ? 'none yet' : `${age} s old`,
    ),
    check(
      'clock',
      Math.abs(vitals.clockSkewSeconds ?? 0) <= CLOCK_SKEW_MAX_SECONDS,
      vitals.clockSkewSeconds === undefined
        ? 'not compared yet'
        : `the others are ${vitals.clockSkewSeconds.toFixed(1)} s ahead`,
    ),
  ];
}

function check(name: string, ok: boolean, detail: string): HealthCheck {
  return { name, ok, detail };
}
