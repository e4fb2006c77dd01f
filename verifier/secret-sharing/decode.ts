// Shares are a Reed-Solomon code word: values of one polynomial of degree below t. With m of them, of which at most
// (m - t) / 2 are wrong, there is exactly one such polynomial that close, and Gao's algorithm finds it.
// Source: S. Gao, "A New Algorithm for Decoding Reed-Solomon Codes" (2003), algorithm 1.
import {
  degree,
  difference,
  divide,
  interpolate,
  product,
  vanishingAt,
  type Point,
  type Polynomial,
} from './polynomial.ts';

/** How many of `count` values may be wrong: floor((m - t) / 2). */
export function correctable(count: number, threshold: number): number {
  return Math.max(0, Math.floor((count - threshold) / 2));
}

/**
 * Finds the polynomial of degree below `threshold` that all but {@link correctable} many points are on.
 *
 * @param points at different places
 * @returns `undefined` when there is none, or fewer points than `threshold`
 */
export function decode(points: readonly Point[], threshold: number): Polynomial | undefined {
  if (points.length < threshold) return undefined;
  const found = nearest(points, threshold);
  return found === undefined || degree(found) >= threshold ? undefined : found;
}

// Euclid's algorithm on the polynomial through all points and the one that vanishes at their places, stopped half
// way: what is left is the one looked for times the one that vanishes at the wrong places.
function nearest(points: readonly Point[], threshold: number): Polynomial | undefined {
  const enough = (points.length + threshold) / 2;
  let before = vanishingAt(points.map(({ x }) => x));
  let rest = interpolate(points);
  let factorBefore: Polynomial = [];
  let factor: Polynomial = [1n];
  while (degree(rest) >= enough) {
    const { quotient, remainder } = divide(before, rest);
    [before, rest] = [rest, remainder];
    [factorBefore, factor] = [factor, difference(factorBefore, product(quotient, factor))];
  }
  const { quotient, remainder } = divide(rest, factor);
  return remainder.length === 0 ? quotient : undefined;
}
