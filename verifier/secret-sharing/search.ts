// More wrong shares than decoding can correct, but something to recognise the secret by: then any t right shares are
// enough, and which ones those are is found by trying.
import { secretOfElement } from './field.ts';
import { evaluate, interpolate, type Polynomial } from './polynomial.ts';
import type { Share } from './shamir.ts';

/** Choices that are tried: with a public key to derive for each, eight seconds. 3 of 30 shares are 4,060 of them. */
export const CHOICES_MAX = 5_000;

/** How many choices of `threshold` among `count` there are; infinite if they are more than can be counted. */
export function choices(count: number, threshold: number): number {
  let number = 1;
  for (let i = 1; i <= threshold; i++) number = (number * (count - threshold + i)) / i;
  return number;
}

/** What came of a search. */
export type Found =
  | {
      readonly kind: 'recovered';
      readonly secret: Uint8Array;
      /** For each given share, in their order, whether it fits in every way that most shares fit in. */
      readonly right: readonly boolean[];
      /** Whether there is one such way. If not, some that are not `right` may be so nevertheless. */
      readonly isSure: boolean;
    }
  | { readonly kind: 'unrecoverable' };

/**
 * Makes the secret of any `threshold` of the shares that make the right one.
 *
 * All choices are tried, although the first that fits has the secret: liars can choose their values so that with
 * some right ones they make it too, and the first choice would then call the others wrong. The polynomial that
 * most shares are on says who is.
 *
 * @param isRight whether it is the secret that is meant: a commitment that the shares can't have changed
 * @returns `unrecoverable` when no choice makes it, or there are more than {@link CHOICES_MAX} of them
 */
export function searchSecret(
  given: readonly Share[],
  threshold: number,
  isRight: (secret: Uint8Array) => boolean,
): Found {
  const distinct = [
    ...new Map(given.map((share) => [`${share.index} ${share.value}`, share])).values(),
  ];
  if (choices(distinct.length, threshold) > CHOICES_MAX) return { kind: 'unrecoverable' };
  let secret: Uint8Array | undefined;
  let most = 0;
  let best: Polynomial[] = [];
  for (const chosen of combinations(distinct, threshold)) {
    // Two that claim one index are never both right.
    if (new Set(chosen.map(({ index }) => index)).size < threshold) continue;
    const found = interpolate(chosen.map(({ index, value }) => ({ x: BigInt(index), y: value })));
    const candidate = secretOfElement(evaluate(found, 0n));
    if (candidate === undefined || !isRight(candidate)) continue;
    secret = candidate;
    const fitting = distinct.filter((share) => isOn(found, share)).length;
    if (fitting > most) [most, best] = [fitting, []];
    if (fitting === most && !best.some((other) => isSame(other, found))) best.push(found);
  }
  if (secret === undefined) return { kind: 'unrecoverable' };
  const right = given.map((share) => best.every((polynomial) => isOn(polynomial, share)));
  return { kind: 'recovered', secret, right, isSure: best.length === 1 };
}

function isOn(polynomial: Polynomial, { index, value }: Share): boolean {
  return evaluate(polynomial, BigInt(index)) === value;
}

function isSame(a: Polynomial, b: Polynomial): boolean {
  return a.length === b.length && a.every((coefficient, i) => coefficient === b[i]);
}

function* combinations<T>(items: readonly T[], size: number, from = 0): Generator<readonly T[]> {
  if (size === 0) {
    yield [];
    return;
  }
  for (let i = from; i <= items.length - size; i++) {
    for (const rest of combinations(items, size - 1, i + 1))
      yield [...items.slice(i, i + 1), ...rest];
  }
}
