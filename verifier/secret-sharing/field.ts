// The field that secrets are shared in: integers modulo the first prime above 2^256, so that every string of 32
// bytes is an element of its own. noble does the arithmetic. Big integers are not constant in time and can't be
// wiped; splitting and recovering happen once, on the owner's machine, with nobody at the other end of a clock.
import { Field } from '@noble/curves/abstract/modular.js';

import { decodeHex, encodeHex } from '../encoding.ts';
import { VerifyError, assert } from '../errors.ts';

/** 2^256 + 297; the test checks that it is prime. */
export const PRIME: bigint = 2n ** 256n + 297n;
/** Bytes of an element, most significant first: 257 bits. */
export const ELEMENT_LENGTH = 33;
/** Bytes of a secret. */
export const SECRET_LENGTH = 32;
/** Bytes that make one random element: reducing 512 bits leaves a bias of less than 2^-255. */
export const RANDOM_LENGTH = 64;

const field = Field(PRIME);

/** An element: 0 <= element < {@link PRIME}. */
export type Element = bigint;

/** Sums, products and inverses modulo {@link PRIME}. */
export const arithmetic: {
  readonly add: (a: Element, b: Element) => Element;
  readonly subtract: (a: Element, b: Element) => Element;
  readonly multiply: (a: Element, b: Element) => Element;
  /** Of a non-zero element. */
  readonly invert: (a: Element) => Element;
} = {
  add: (a, b) => field.add(a, b),
  subtract: (a, b) => field.sub(a, b),
  multiply: (a, b) => field.mul(a, b),
  invert: (a) => field.inv(a),
};

/** The element of 32 secret bytes. */
export function elementOfSecret(secret: Uint8Array): Element {
  assert(secret.length === SECRET_LENGTH, 'a secret has 32 bytes');
  return toInteger(secret);
}

/** The 32 bytes of an element; `undefined` for the 297 elements that are no secret. */
export function secretOfElement(element: Element): Uint8Array | undefined {
  if (element >= 2n ** 256n) return undefined;
  return decodeHex(element.toString(16).padStart(2 * SECRET_LENGTH, '0'));
}

/** A uniformly random element. @param bytes {@link RANDOM_LENGTH} of them, from the system's randomness */
export function elementOfRandom(bytes: Uint8Array): Element {
  assert(bytes.length === RANDOM_LENGTH, 'a random element takes 64 bytes');
  return toInteger(bytes) % PRIME;
}

/** The one spelling of an element: 66 digits of lower-case hexadecimal. */
export function formatElement(element: Element): string {
  return element.toString(16).padStart(2 * ELEMENT_LENGTH, '0');
}

/** Reads an element. @throws {VerifyError} `ENCODING_MALFORMED` */
export function parseElement(text: string): Element {
  const element = toInteger(decodeHex(text, ELEMENT_LENGTH));
  if (element < PRIME) return element;
  throw new VerifyError('ENCODING_MALFORMED', 'not an element of the field: too large');
}

function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${encodeHex(bytes)}`);
}
