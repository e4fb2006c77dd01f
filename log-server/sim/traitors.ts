// Who is faulty in a world, and how: traitors within what may be faulty, or beyond it, and machines that
// are only switched off and on.
import { thresholds } from '../../verifier/quorum.ts';
import { BEHAVIOURS } from './behaviours.ts';
import type { Member } from './nodes.ts';
import type { Random } from './random.ts';

/** A traitor and what it does. */
export interface Treason {
  readonly node: number;
  readonly behaviours: readonly string[];
  /** Two processes with the same keys, each unaware of the other. */
  readonly twins: boolean;
}

/** A set of machines that weighs at most B, as much as possible in most worlds. */
export function drawFaulty(
  random: Random,
  members: readonly Member[],
  faultyWeight: number,
): number[] {
  if (random.chance(0.15)) return [];
  const chosen: number[] = [];
  let left = random.chance(0.75) ? faultyWeight : random.below(faultyWeight + 1);
  for (const { node, weight } of random.shuffled(members)) {
    if (weight > left) continue;
    chosen.push(node);
    left -= weight;
  }
  return chosen;
}

/** Machines of more weight than may be faulty, but fewer than a quorum: alone they decide nothing. */
export function drawTooMany(random: Random, members: readonly Member[], faulty: number): number[] {
  const { quorum } = thresholds(
    members.map(({ weight }) => weight),
    faulty,
  );
  const chosen: number[] = [];
  let weight = 0;
  for (const member of random.shuffled(members)) {
    if (weight > faulty || weight + member.weight >= quorum) continue;
    chosen.push(member.node);
    weight += member.weight;
  }
  return weight > faulty ? chosen : [];
}

/**
 * Two camps of correct machines and the moment from which they hear nothing of each other. Traitors that
 * run twice serve both, each time like correct members.
 */
export interface Split {
  /** Machines of the second camp. */
  readonly second: readonly number[];
  readonly tick: number;
}

/** Camps for two thirds of the worlds; in the others the traitors use behaviours instead. */
export function drawSplit(
  random: Random,
  members: readonly Member[],
  traitors: readonly number[],
): Split | undefined {
  if (random.chance(0.3)) return undefined;
  const correct = members.map(({ node }) => node).filter((node) => !traitors.includes(node));
  const second = random.shuffled(correct).slice(0, Math.floor(correct.length / 2));
  return { second, tick: random.below(150) };
}

/** What may fork a log whose traitors are too many, beside signing everything. */
const FORKING = [
  'lying-view-change',
  'two-new-views',
  'mandate-breaker',
  'equivocating-cosigner',
  'withholder',
  'selectively-silent',
  'assembler',
];

/** All do the same. */
export function drawConspiracy(
  random: Random,
  traitors: readonly number[],
  split: Split | undefined,
): readonly Treason[] {
  if (split !== undefined) return traitors.map((node) => ({ node, behaviours: [], twins: true }));
  const beside = random.shuffled(FORKING).slice(0, random.below(3));
  const behaviours = ['equivocating-leader', 'double-voter', ...beside];
  return traitors.map((node) => ({ node, behaviours, twins: false }));
}

/** What each of them does: a few things of its own, or what all of them do. */
export function drawTreasons(
  random: Random,
  traitors: readonly number[],
  only: readonly string[] | undefined,
): readonly Treason[] {
  const names = only ?? BEHAVIOURS.map(({ name }) => name);
  // Half of the time the traitors do the same, which is what colluding ones would.
  const shared = random.shuffled(names).slice(0, random.between(1, 3));
  const collude = random.chance(0.5);
  return traitors.map((node) => {
    const own = random.shuffled(names).slice(0, random.between(1, 4));
    const twins = only === undefined ? random.chance(0.2) : only.includes('twins');
    return { node, behaviours: twins ? [] : collude ? shared : own, twins };
  });
}

/** Machines that the log can do without: at most B of weight, and not the first leader. */
export function drawGateways(
  random: Random,
  members: readonly Member[],
  faultyWeight: number,
): readonly number[] {
  const chosen: number[] = [];
  let left = faultyWeight;
  for (const { node, weight } of random.shuffled(members.slice(1))) {
    if (weight > left) continue;
    chosen.push(node);
    left -= weight;
  }
  return chosen;
}
