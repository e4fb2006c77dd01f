// Polynomials over the field, as lists of coefficients from the constant one up, without zeros at the end: the empty
// list is zero. Sizes are those of a handful of shares, so everything is done the schoolbook way.
import { arithmetic, type Element } from './field.ts';

const { add, subtract, multiply, invert } = arithmetic;

/** Coefficients, constant first; the last one is not zero. */
export type Polynomial = readonly Element[];

/** A value at a place. */
export interface Point {
  readonly x: Element;
  readonly y: Element;
}

/** Degree; -1 for zero. */
export function degree(p: Polynomial): number {
  return p.length - 1;
}

/** The value at `x` (Horner). */
export function evaluate(p: Polynomial, x: Element): Element {
  return p.reduceRight((sum, coefficient) => add(multiply(sum, x), coefficient), 0n);
}

/** `a - b`. */
export function difference(a: Polynomial, b: Polynomial): Polynomial {
  const length = Math.max(a.length, b.length);
  return trimmed(Array.from({ length }, (_, i) => subtract(a[i] ?? 0n, b[i] ?? 0n)));
}

/** `a * b`. */
export function product(a: Polynomial, b: Polynomial): Polynomial {
  if (a.length === 0 || b.length === 0) return [];
  const sums = Array.from({ length: a.length + b.length - 1 }, () => 0n);
  for (const [i, left] of a.entries()) {
    for (const [j, right] of b.entries()) {
      sums[i + j] = add(sums[i + j] ?? 0n, multiply(left, right));
    }
  }
  return trimmed(sums);
}

/** Quotient and remainder of a division by a polynomial that is not zero. */
export function divide(
  dividend: Polynomial,
  divisor: Polynomial,
): { readonly quotient: Polynomial; readonly remainder: Polynomial } {
  const inverse = invert(divisor.at(-1) ?? 0n);
  const quotient = Array.from(
    { length: Math.max(0, dividend.length - divisor.length + 1) },
    () => 0n,
  );
  const rest = [...dividend];
  for (let shift = quotient.length - 1; shift >= 0; shift--) {
    const factor = multiply(rest[shift + divisor.length - 1] ?? 0n, inverse);
    quotient[shift] = factor;
    for (const [i, coefficient] of divisor.entries()) {
      rest[shift + i] = subtract(rest[shift + i] ?? 0n, multiply(factor, coefficient));
    }
  }
  return { quotient: trimmed(quotient), remainder: trimmed(rest) };
}

/** The product of all `x - place`. */
export function vanishingAt(places: readonly Element[]): Polynomial {
  return places.reduce<Polynomial>((sofar, x) => product(sofar, [subtract(0n, x), 1n]), [1n]);
}

/** The polynomial of degree below the number of points that goes through all of them (Newton). */
export function interpolate(points: readonly Point[]): Polynomial {
  let sofar: Polynomial = [];
  let basis: Polynomial = [1n];
  for (const { x, y } of points) {
    // The basis vanishes at all earlier places, so adding a multiple of it changes nothing there.
    const missing = subtract(y, evaluate(sofar, x));
    const factor = multiply(missing, invert(evaluate(basis, x)));
    sofar = difference(sofar, product(basis, trimmed([subtract(0n, factor)])));
    basis = product(basis, [subtract(0n, x), 1n]);
  }
  return sofar;
}

function trimmed(coefficients: readonly Element[]): Polynomial {
  let length = coefficients.length;
  while (length > 0 && coefficients[length - 1] === 0n) length--;
  return coefficients.slice(0, length);
}
