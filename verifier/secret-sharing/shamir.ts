// Shamir's secret sharing with correction of wrong shares. The secret is the value at 0 of a random polynomial of
// degree t - 1, share i is its value at i: any t shares fix it, any t - 1 fit every secret equally well.
// Source: A. Shamir, "How to share a secret" (1979).
import { assert } from '../errors.ts';
import { correctable, decode } from './decode.ts';
import {
  elementOfRandom,
  elementOfSecret,
  RANDOM_LENGTH,
  secretOfElement,
  type Element,
} from './field.ts';
import { evaluate, type Point, type Polynomial } from './polynomial.ts';

/** More people than can keep a secret; recovery stays a matter of milliseconds. */
export const SHARES_MAX = 64;
/** With a threshold of 1 each share is the secret. */
export const THRESHOLD_MIN = 2;

/** How a secret is shared. */
export interface Parameters {
  /** n: how many shares there are. */
  readonly shares: number;
  /** t: how many make the secret. */
  readonly threshold: number;
  /** f: how many holders may be bad in any way. */
  readonly faulty: number;
}

/** One share. */
export interface Share {
  /** 1 to n. */
  readonly index: number;
  readonly value: Element;
}

/**
 * The most bad holders that n and t allow: wrong shares of theirs are corrected (t <= n - 2f) and together they
 * do not have the secret (f < t).
 */
export function faultyMax(shares: number, threshold: number): number {
  return Math.min(correctable(shares, threshold), threshold - 1);
}

/** What is wrong with the parameters, as a sentence; `undefined` when nothing is. */
export function parameterProblem({ shares, threshold, faulty }: Parameters): string | undefined {
  const isWhole = [shares, threshold, faulty].every((each) => Number.isSafeInteger(each));
  if (!isWhole || shares > SHARES_MAX) return `there can be at most ${SHARES_MAX} shares`;
  if (threshold < THRESHOLD_MIN) return 'with a threshold below 2 every holder has the whole key';
  if (threshold > shares) return `${threshold} of ${shares} shares: the key could never be made`;
  if (faulty < 0) return 'the number of bad holders is not negative';
  if (faulty >= threshold) return `${faulty} bad holders could make the key: f < t has to hold`;
  if (threshold > shares - 2 * faulty) {
    return (
      `${faulty} wrong shares among ${shares} could not be told from the good ones: ` +
      `t <= n - 2f has to hold, and ${threshold} is above ${shares - 2 * faulty}`
    );
  }
  return undefined;
}

/**
 * Splits a secret of 32 bytes.
 *
 * @param random gives that many bytes of the system's randomness
 */
export function splitSecret(
  secret: Uint8Array,
  parameters: Parameters,
  random: (length: number) => Uint8Array,
): readonly Share[] {
  assert(parameterProblem(parameters) === undefined, 'the parameters were checked');
  const coefficients = [elementOfSecret(secret)];
  while (coefficients.length < parameters.threshold) {
    // Any of them may be zero: a polynomial that is known to have its full degree says something.
    coefficients.push(elementOfRandom(random(RANDOM_LENGTH)));
  }
  return Array.from({ length: parameters.shares }, (_, i) => ({
    index: i + 1,
    value: evaluate(coefficients, BigInt(i + 1)),
  }));
}

/** What came of some shares. */
export type Recovery =
  | {
      readonly kind: 'recovered';
      readonly secret: Uint8Array;
      /** For each given share, in their order, whether it is right. */
      readonly right: readonly boolean[];
    }
  | { readonly kind: 'unrecoverable' };

/**
 * Makes the secret from shares. Of m different ones at most (m - t) / 2 may be wrong; a share that is given twice
 * counts once, and two that claim one index count as two of which at least one is wrong.
 *
 * With m = t nothing can be corrected, and wrong shares make a wrong secret: compare it with a commitment.
 */
export function recoverSecret(given: readonly Share[], threshold: number): Recovery {
  const distinct = [...new Map(given.map((share) => [keyOf(share), share])).values()];
  const indexes = distinct.map(({ index }) => index);
  // Which of two rivals is wrong, the others decide: without both at most as much is lost as they claim to add.
  const unrivalled = distinct.filter(({ index }) => isSingle(indexes, index));
  const found = decode(unrivalled.map(pointOf), threshold);
  const secret = found === undefined ? undefined : secretOfElement(evaluate(found, 0n));
  if (found === undefined || secret === undefined) return { kind: 'unrecoverable' };
  // Rivals that are all wrong must not pass because they were set aside.
  const wrong = distinct.filter((share) => !isOn(found, share)).length;
  if (wrong > correctable(distinct.length, threshold)) return { kind: 'unrecoverable' };
  return { kind: 'recovered', secret, right: given.map((share) => isOn(found, share)) };
}

function keyOf({ index, value }: Share): string {
  return `${index} ${value}`;
}

function isSingle(indexes: readonly number[], index: number): boolean {
  return indexes.indexOf(index) === indexes.lastIndexOf(index);
}

function pointOf({ index, value }: Share): Point {
  return { x: BigInt(index), y: value };
}

function isOn(polynomial: Polynomial, { index, value }: Share): boolean {
  return evaluate(polynomial, BigInt(index)) === value;
}
