// Quorum arithmetic for authorities of any weight (DESIGN 1). Everything in the tree that asks "is
// this enough?" asks here. Members are *indexes of authorities*, never signature lines, keys or
// names: a caller that counts lines can be made to count one authority twice.
//
// Why floor((W + B) / 2) + 1: two sets of weight Q share at least 2Q - W > B, so at least one correct
// authority is in both (safe); Q <= W - B as soon as W >= 3B + 1, so the correct ones are enough
// (live).
import { VerifyError, assert } from './errors.ts';

/**
 * The most that all weights may add up to. Far above any real roster; with it 2Q, W + B and 3B + 1
 * stay exact integers, also in readers that use 32 bits.
 */
export const WEIGHT_TOTAL_MAX = 1_000_000_000;

/** What a group of authorities needs for what. All are sums of weights. */
export interface Thresholds {
  /** W: all weights together, 1 to `WEIGHT_TOTAL_MAX`. */
  readonly total: number;
  /** B: the most weight that may be faulty, 0 <= B and 3B + 1 <= W. */
  readonly faulty: number;
  /** Q = floor((W + B) / 2) + 1: any two quorums share a correct authority. B < Q <= W - B. */
  readonly quorum: number;
  /** B + 1: at least one correct authority. 1 <= weak <= quorum. */
  readonly weak: number;
}

/**
 * The thresholds of a group.
 *
 * @param weights each authority's weight, by its index: integers >= 1
 * @param faulty  B, an integer >= 0
 * @throws {VerifyError} `ROSTER_MALFORMED` when a weight is not a positive integer, when the sum is
 *         above `WEIGHT_TOTAL_MAX`, or when it is below 3B + 1: there would be no quorum that is both
 *         safe and reachable
 */
export function thresholds(weights: readonly number[], faulty: number): Thresholds {
  let total = 0;
  for (const [i, weight] of weights.entries()) {
    // Checked before adding, so that no sum here is ever rounded.
    if (!Number.isSafeInteger(weight) || weight < 1 || weight > WEIGHT_TOTAL_MAX) {
      throw malformed(`weight ${i} is not an integer from 1 to ${WEIGHT_TOTAL_MAX}`);
    }
    total += weight;
    if (total > WEIGHT_TOTAL_MAX) throw malformed(`weights add up to over ${WEIGHT_TOTAL_MAX}`);
  }
  if (!Number.isSafeInteger(faulty) || faulty < 0 || faulty > WEIGHT_TOTAL_MAX) {
    throw malformed(`faulty weight is not an integer from 0 to ${WEIGHT_TOTAL_MAX}`);
  }
  if (total < 3 * faulty + 1) {
    throw malformed(
      `total weight ${total} is below ${3 * faulty + 1} (three times faulty plus one)`,
    );
  }
  return { total, faulty, quorum: Math.floor((total + faulty) / 2) + 1, weak: faulty + 1 };
}

/**
 * The weight of a set of authorities. An index that comes twice counts once.
 *
 * @param members indexes into `weights`
 * @throws {AssertionError} for an index that no authority has: whoever mapped keys to indexes is
 *         wrong, and a guess here would be a forged vote
 */
export function weightOf(members: Iterable<number>, weights: readonly number[]): number {
  const counted = new Set<number>();
  let sum = 0;
  for (const member of members) {
    const weight = weights[member];
    assert(weight !== undefined, 'a member of a quorum is an index of an authority');
    // The attack of every broken quorum check: the same authority in several lines.
    if (counted.has(member)) continue;
    counted.add(member);
    sum += weight;
  }
  return sum;
}

/** Whether the members weigh at least Q, so that no other quorum can have said something else. */
export function hasQuorum(
  members: Iterable<number>,
  weights: readonly number[],
  needed: Thresholds,
): boolean {
  return reaches(members, weights, needed, needed.quorum);
}

/**
 * Whether the members weigh at least B + 1, so that one of them is correct. Enough only where the
 * thing said proves itself or can only be said truthfully by one (DESIGN 1).
 */
export function hasWeakQuorum(
  members: Iterable<number>,
  weights: readonly number[],
  needed: Thresholds,
): boolean {
  return reaches(members, weights, needed, needed.weak);
}

function reaches(
  members: Iterable<number>,
  weights: readonly number[],
  { total }: Thresholds,
  threshold: number,
): boolean {
  // Thresholds of one roster with weights of another would pass too small a set.
  assert(sumOf(weights) === total, 'thresholds belong to these weights');
  assert(threshold >= 1 && threshold <= total, 'a threshold is at least 1 and reachable');
  return weightOf(members, weights) >= threshold;
}

function sumOf(weights: readonly number[]): number {
  let sum = 0;
  for (const weight of weights) sum += weight;
  return sum;
}

function malformed(detail: string): VerifyError {
  return new VerifyError('ROSTER_MALFORMED', `malformed weights: ${detail}`);
}
