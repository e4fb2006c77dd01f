// Hunting planted bugs: the test of the simulator. A simulator that lets one of them live would let a
// real one of the same kind live too (CONSENSUS.md 3.3).
import type { MutantName } from '../../verifier/replication/mutants.ts';
import { ATTACKS } from './attacks.ts';
import type { MutantFinding } from './report.ts';
import { CALM } from './network.ts';
import { runWorld } from './run.ts';
import { type Family, type WorldOptions, drawWorld } from './swarm.ts';
import { Violation } from './violation.ts';

/**
 * Where a bug that shows only under special conditions is looked for; any world by default. What finds
 * it was tried out; that it is found there is what the test repeats.
 */
export const HUNTING_GROUNDS: { readonly [M in MutantName]?: Ground } = {
  'double-vote': { family: 'chaos', behaviours: ['equivocating-leader'], seed: 49 },
  'lowest-prepared-wins': { family: 'phases', members: 4 },
  'any-prepared-wins': { family: 'phases', members: 4 },
  'nv-unchecked': { family: 'phases', behaviours: ['two-new-views'] },
  'view-change-certificate-unchecked': { family: 'phases', behaviours: ['lying-view-change'] },
  'duplicate-signers-counted': { weighted: false, behaviours: ['duplicate-signers'] },
  'two-f-plus-one': { members: 6, weighted: false },
  'mandate-ignored': { family: 'phases', behaviours: ['mandate-breaker'] },
  'epoch-unchecked': { family: 'chaos', behaviours: ['epoch-forger'] },
  'artifact-check-skipped': { behaviours: ['withholder'] },
  'parent-unchecked': { behaviours: ['bad-batches'] },
  'clock-unchecked': { behaviours: ['time-liar'] },
  'starvation-blind': { family: 'chaos', members: 4, weighted: false, world: censoredWorld },
  'delays-forgiven': { family: 'chaos', members: 4, weighted: false, world: lateWorld },
  'relay-missing': { scripted: true },
  'old-batches-counted': {
    family: 'restarts',
    members: 4,
    weighted: false,
    world: absentGateways,
  },
  'accused-again': { family: 'chaos', behaviours: ['equivocating-leader', 'double-voter'] },
  'prefetch-unhashed': { behaviours: ['misleader'] },
  'evidence-not-told': { family: 'chaos', behaviours: ['whisperer'] },
  'evidence-unchecked': { behaviours: ['slanderer'] },
  'hearsay-believed': { behaviours: ['slanderer'] },
  'lanes-ignored': { family: 'crowded' },
  'early-proposal-dropped': { family: 'calm' },
  'vote-at-base': { family: 'phases', members: 4, behaviours: ['stale-leader'], seed: 20 },
  'wishes-not-amplified': { scripted: true },
};

/**
 * A leader that serves some and not others, so steadily that no view timer ever runs out: only counting
 * the batches that passed a request by finds it (Q5).
 */
export function censoredWorld(drawn: WorldOptions): WorldOptions {
  return {
    ...drawn,
    treasons: [{ node: 0, behaviours: ['narrow-censor'], twins: false }],
    lostDisks: [],
    network: CALM,
    timing: { ...drawn.timing, viewTicks: 60 },
    // Room enough that what is left out does not clog the lanes, which a timer would notice.
    limits: { ...drawn.limits, laneRequestsMax: 40, laneBytesMax: 40_000, poolBytesMax: 40_000 },
    crash: 0,
    powerLoss: 0,
    diskFailure: 0,
    stall: 0,
    rosterChanges: 0,
    load: 1,
    loadGoesOn: true,
  };
}

/**
 * A leader that holds each proposal as long as it can, over twice as many heights as one may take that long:
 * no view timer ever runs out, no request is passed over, and the log crawls.
 */
export function lateWorld(drawn: WorldOptions): WorldOptions {
  const viewTicks = 40;
  return {
    ...drawn,
    treasons: [{ node: 0, behaviours: ['almost-late-leader'], twins: false }],
    lostDisks: [],
    network: CALM,
    paces: drawn.paces.map(() => ({ diskUnits: 2, applicationUnits: 1, verificationUnits: 0 })),
    // What waits is relayed when the leader owes something, and for no other reason.
    timing: { ...drawn.timing, viewTicks, relayTicks: 500, batchTicks: 0 },
    limits: { ...drawn.limits, laneRequestsMax: 12, batchRequestsMax: 6 },
    crash: 0,
    powerLoss: 0,
    diskFailure: 0,
    stall: 0,
    clockJump: 0,
    rosterChanges: 0,
    load: 0.1,
    faultTicks: 20 * viewTicks,
    ousted: 0,
  };
}

/**
 * Gateways that are away for long, on wires so slow that clients reach them before they can have heard how
 * far the log is: whoever counts what it reads then suspects the leader (Q5).
 */
export function absentGateways(drawn: WorldOptions): WorldOptions {
  return {
    ...drawn,
    crash: 0.03,
    downTicks: 200,
    load: 1,
    network: { ...CALM, delayMin: 12, delayMax: 16 },
    // So large that batches have room, which is what counts.
    limits: {
      ...drawn.limits,
      batchRequestsMax: 20,
      laneRequestsMax: 12,
      laneBytesMax: 12_000,
      poolBytesMax: 40_000,
    },
    timing: { ...drawn.timing, relayTicks: 500 },
  };
}

/** Worlds to look in. */
export interface Ground {
  readonly family?: Family;
  readonly members?: number;
  readonly behaviours?: readonly string[];
  readonly weighted?: boolean;
  /** Changes what was drawn. */
  readonly world?: (drawn: WorldOptions) => WorldOptions;
  /** First seed. */
  readonly seed?: number;
  /** Chance finds it too rarely: it is left to the scripted attacks. */
  readonly scripted?: true;
}

/**
 * Runs worlds with a bug planted until an invariant breaks.
 *
 * @param runsMax most worlds
 */
export async function huntMutant(mutant: MutantName, runsMax: number): Promise<MutantFinding> {
  const {
    seed: first = 1,
    scripted,
    world = (drawn: WorldOptions) => drawn,
    ...ground
  } = HUNTING_GROUNDS[mutant] ?? {};
  if (scripted === true) return huntByScript(mutant);
  for (let runs = 1; runs <= runsMax; runs++) {
    const seed = first + runs - 1;
    const drawn = drawWorld({ seed, ...ground, mutants: new Set([mutant]) });
    const { violation } = await runWorld(world(drawn));
    if (violation !== undefined) return { mutant, runs, seed, violation: violation.message };
  }
  return { mutant, runs: undefined, seed: undefined, violation: '' };
}

async function huntByScript(mutant: MutantName): Promise<MutantFinding> {
  for (const [name, attack, mutants] of ATTACKS) {
    if (!mutants.includes(mutant)) continue;
    try {
      await attack([mutant]);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      return { mutant, runs: 1, seed: undefined, violation: `script (${name}): ${error.message}` };
    }
  }
  return { mutant, runs: undefined, seed: undefined, violation: '' };
}
