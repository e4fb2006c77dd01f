// What a seed stands for: how many machines, which of them are traitors of what kind, how bad network,
// disks and clocks are. Each run draws some kinds of faults and leaves others out: a world in which
// everything fails at once hides what each kind finds alone.
import type { Limits, Timing } from '../consensus/types.ts';
import type { MutantName } from '../../verifier/replication/mutants.ts';
import { CALM, type NetworkOptions } from './network.ts';
import type { Member } from './nodes.ts';
import type { Pace } from './process.ts';
import { Random } from './random.ts';
import {
  type Split,
  type Treason,
  drawConspiracy,
  drawFaulty,
  drawGateways,
  drawSplit,
  drawTooMany,
  drawTreasons,
} from './traitors.ts';

/** Kinds of worlds. */
export type Family =
  /** Everything that can go wrong, some of it at a time. */
  | 'chaos'
  /** Nothing goes wrong: then nothing may be suspected either, and nobody may be passed over. */
  | 'calm'
  /** Nothing goes wrong, and every gateway has more than it can get rid of. */
  | 'crowded'
  /** Nothing goes wrong but that some gateways are switched off and on again, never the leader. */
  | 'restarts'
  /** More traitors than may be, all together: the log stops, or it forks and they are found out. */
  | 'beyond'
  /** Nothing but schedules: views in which each phase reaches few, one after the other. */
  | 'phases'
  /** Nothing is faulty but the network is much slower than the first view timer. */
  | 'slow';

/** What is asked for; everything else follows from the seed. */
export interface Wishes {
  readonly seed: number;
  /** Number of members; drawn when absent. */
  readonly members?: number | undefined;
  readonly mutants?: ReadonlySet<MutantName> | undefined;
  readonly realSignatures?: boolean | undefined;
  readonly ledger?: 'toy' | 'real' | undefined;
  /** Only these behaviours, for studies of one. */
  readonly behaviours?: readonly string[] | undefined;
  readonly family?: Family | undefined;
  /** Faults to leave out, by name (shrink.ts). */
  readonly without?: readonly string[] | undefined;
  /** Whether members weigh differently; drawn when absent. */
  readonly weighted?: boolean | undefined;
}

/** Everything about a world. */
export interface WorldOptions {
  readonly seed: number;
  readonly family: Family;
  readonly members: readonly Member[];
  readonly faultyWeight: number;
  /** Machines that are in no roster at first. */
  readonly spares: number;
  readonly treasons: readonly Treason[];
  /** Both twins hear everybody, and everybody both; otherwise each machine knows one of them at a time. */
  readonly twinsMeetAll?: boolean;
  /** Only with too many traitors. */
  readonly split: Split | undefined;
  /** Correct members that lose their disk for good during the faults: they count as faulty too. */
  readonly lostDisks: readonly number[];
  readonly network: NetworkOptions;
  readonly healed: NetworkOptions;
  readonly paces: readonly Pace[];
  readonly limits: Limits;
  readonly timing: Timing;
  /** Length of the time of faults, in ticks. */
  readonly faultTicks: number;
  /** Probability of a crash per machine and tick, at any effect; and of all at once, per tick. */
  readonly crash: number;
  /** The machines that crash; all when absent. */
  readonly crashing: readonly number[] | undefined;
  readonly powerLoss: number;
  /** Longest time off, in ticks. */
  readonly downTicks: number;
  readonly diskFailure: number;
  readonly stall: number;
  /** Largest jump of a clock in milliseconds, and how often per machine and tick. */
  readonly clockJumpMs: number;
  readonly clockJump: number;
  /** Requests per tick over all gateways, and how many of them name an artifact. */
  readonly load: number;
  readonly artifacts: number;
  /** Whether clients also come after the faults. */
  readonly loadGoesOn: boolean;
  /** Changes of the roster during the faults. */
  readonly rosterChanges: number;
  readonly mutants: ReadonlySet<MutantName>;
  readonly realSignatures: boolean;
  readonly ledger: 'toy' | 'real';
  /** A machine that must lead nobody any more at the end of the time of faults. */
  readonly ousted?: number;
}

/** Draws a world. */
export function drawWorld(wishes: Wishes): WorldOptions {
  const random = new Random(`world ${wishes.seed}`);
  const family = wishes.family ?? drawFamily(random);
  const count = wishes.members ?? random.pick([4, 4, 4, 4, 5, 6, 7, 7, 7, 10]) ?? 4;
  const drawnWeighted = random.chance(0.3);
  const weighted = wishes.weighted ?? drawnWeighted;
  const members = Array.from({ length: count }, (_, node) => ({
    node,
    weight: weighted ? random.between(1, 4) : 1,
  }));
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  const faultyWeight = Math.floor((total - 1) / 3);
  const beyond = family === 'beyond';
  const faulty = beyond
    ? drawTooMany(random, members, faultyWeight)
    : family === 'chaos' || family === 'phases'
      ? drawFaulty(random, members, faultyWeight)
      : [];
  const lost = !beyond && random.chance(0.15) ? faulty.slice(0, 1) : [];
  const traitors = faulty.filter((node) => !lost.includes(node));
  const split = beyond ? drawSplit(random, members, traitors) : undefined;
  const chaos = family === 'chaos';
  return {
    seed: wishes.seed,
    family,
    members,
    faultyWeight,
    spares: chaos && random.chance(0.3) ? 2 : 0,
    treasons: beyond
      ? drawConspiracy(random, traitors, split)
      : drawTreasons(random, traitors, wishes.behaviours),
    split,
    lostDisks: lost,
    network: drawNetwork(random, family),
    healed: { ...CALM, encoded: random.chance(0.1), ...(family === 'slow' ? SLOW : {}) },
    paces: drawPaces(random, count + 2, family),
    limits: drawLimits(random, family, wishes.ledger === 'real'),
    timing: drawTiming(random, family),
    faultTicks: drawFaultTicks(random, family),
    crash: drawCrash(random, family),
    crashing: family === 'restarts' ? drawGateways(random, members, faultyWeight) : undefined,
    powerLoss: chaos && random.chance(0.2) ? 0.005 : 0,
    downTicks: random.pick([1, 3, 20, 60]) ?? 20,
    diskFailure: chaos && random.chance(0.2) ? 0.003 : 0,
    stall: chaos && random.chance(0.3) ? 0.005 : 0,
    clockJumpMs: random.chance(0.7) ? 4_000 : 3_600_000,
    clockJump: chaos && random.chance(0.4) ? 0.01 : 0,
    load:
      family === 'crowded' ? 3 : family === 'restarts' ? 1 : random.between(1, chaos ? 8 : 6) / 10,
    loadGoesOn: !['slow', 'crowded', 'restarts'].includes(family) && random.chance(0.5),
    artifacts: random.chance(0.4) ? 0.3 : 0,
    rosterChanges: chaos && random.chance(0.35) ? random.between(1, 3) : 0,
    mutants: wishes.mutants ?? new Set(),
    realSignatures: wishes.realSignatures ?? false,
    ledger: wishes.ledger ?? 'toy',
  };
}

function drawFaultTicks(random: Random, family: Family): number {
  if (family === 'crowded') return 120;
  if (family === 'restarts') return 400;
  return family === 'chaos' || family === 'phases' ? random.between(150, 400) : 200;
}

function drawCrash(random: Random, family: Family): number {
  if (family === 'chaos' && random.chance(0.7)) return random.between(1, 25) / 1000;
  if (family === 'restarts') return 0.02;
  return family === 'phases' && random.chance(0.3) ? 0.01 : 0;
}

function drawFamily(random: Random): Family {
  const kind = random.below(20);
  if (kind < 2) return kind === 0 ? 'calm' : 'crowded';
  if (kind < 3) return 'slow';
  if (kind === 9) return 'restarts';
  if (kind === 10) return 'beyond';
  return kind < 9 ? 'phases' : 'chaos';
}

const SLOW = { delayMin: 30, delayMax: 60 };

function drawNetwork(random: Random, family: Family): NetworkOptions {
  if (family === 'calm') return { ...CALM, delayMax: random.between(4, 40) };
  if (family === 'crowded' || family === 'restarts') return CALM;
  if (family === 'phases') {
    const phases = random.pick(['some', 'few', 'few'] as const) ?? 'few';
    return { ...CALM, delayMax: 5, phases, phaseWindow: random.between(300, 3000) };
  }
  if (family === 'slow') return { ...CALM, ...SLOW };
  const structured = random.chance(0.6);
  return {
    delayMin: 1,
    delayMax: random.pick([4, 10, 20, 60]) ?? 10,
    loss: random.chance(0.5) ? random.between(1, 25) / 100 : 0,
    duplication: random.chance(0.3) ? 0.1 : 0,
    tail: random.chance(0.3) ? 0.05 : 0,
    tailMax: 400,
    partitionEvery: random.chance(0.4) ? random.between(100, 600) : 0,
    partitionUnits: random.between(100, 600),
    oneWay: random.chance(0.5),
    clogEvery: random.chance(0.3) ? random.between(100, 400) : 0,
    clogUnits: random.between(50, 400),
    phases: 'some',
    phaseWindow: structured ? random.between(60, 500) : 0,
    encoded: random.chance(0.1),
  };
}

function drawPaces(random: Random, count: number, family: Family): readonly Pace[] {
  const slowOne = family === 'chaos' && random.chance(0.3) ? random.below(count) : -1;
  const verification = random.chance(0.3) ? 4 : 0;
  return Array.from({ length: count }, (_, i) => ({
    diskUnits: i === slowOne ? 40 : random.between(1, 6),
    applicationUnits: i === slowOne ? 20 : random.between(0, 4),
    verificationUnits: i === slowOne ? 20 : verification,
  }));
}

/** @param large whether requests are whole statements */
function drawLimits(random: Random, family: Family, large: boolean): Limits {
  return {
    batchRequestsMax: family === 'calm' ? 4 : random.between(2, family === 'crowded' ? 3 : 6),
    // Far above what the entries need: whether a batch is full is then a matter of their number.
    batchBytesMax: 150_000,
    poolRequestsMax: family === 'crowded' ? 16 : 40,
    poolBytesMax: large ? 200_000 : 4_000,
    laneRequestsMax: random.between(4, 12),
    laneBytesMax: large ? 60_000 : 1_000,
    bodiesMax: random.between(4, 8),
    leaderLagMax: random.between(1, 4),
    clockSkewMaxMs: 10_000,
  };
}

function drawTiming(random: Random, family: Family): Timing {
  if (family === 'calm') {
    // STATUS so rarely that what it repairs is repaired too late to go unnoticed.
    return { ...BASE_TIMING, statusTicks: 60, viewTicks: 40, relayTicks: 500 };
  }
  if (family === 'crowded') return { ...BASE_TIMING, viewTicks: 60, relayTicks: 500 };
  // Whoever comes back needs some time to learn how far the log is.
  if (family === 'restarts') return { ...BASE_TIMING, statusTicks: 25, viewTicks: 60 };
  if (family === 'phases') {
    const viewTicks = random.between(6, 12);
    return { ...BASE_TIMING, statusTicks: 3, viewTicks, viewDoublingsMax: 3, batchTicks: 0 };
  }
  if (family === 'slow') return { ...BASE_TIMING, viewTicks: 8, viewDoublingsMax: 6 };
  return {
    statusTicks: random.between(3, 8),
    viewTicks: random.between(12, 40),
    viewDoublingsMax: random.between(4, 6),
    batchTicks: random.below(3),
    relayTicks: random.between(6, 20),
    fetchTicks: random.between(3, 8),
    cosignTicks: random.between(20, 100),
  };
}

const BASE_TIMING: Timing = {
  statusTicks: 5,
  viewTicks: 20,
  viewDoublingsMax: 5,
  batchTicks: 1,
  relayTicks: 10,
  fetchTicks: 5,
  cosignTicks: 60,
};
