// The one rule for Ed25519 in this project, and keys that obey it.
//
// Verifiers of the world disagree about odd keys and signatures; replicas and clients that disagreed
// would fork. So: a signature (R, S) by key A on M is valid when
//   1. A is a canonical encoding and not of small order (checked here, when a key is parsed);
//   2. S < L, as an integer;
//   3. R is, byte for byte, the encoding of [S]B - [k]A with k = SHA-512(R || A || M) mod L
//      (the equation without the cofactor, RFC 8032 section 5.1.7).
// portable.ts (noble) and node/ed25519.ts (OpenSSL) both follow it; fixtures/vectors/ed25519-*.json
// pin that they agree. A batch equation would need the cofactor and is therefore not an option.
import { decodeHex, encodeHex } from './encoding.ts';
import { VerifyError } from './errors.ts';
import { sha256Hex } from './sha256.ts';

declare const brand: unique symbol;

/** An Ed25519 public key, 32 bytes, that passed the key part of the rule. Equal keys, equal bytes. */
export type PublicKey = Uint8Array & { readonly [brand]: 'PublicKey' };

/** Bytes of a public key. */
export const PUBLIC_KEY_LENGTH = 32;
/** Bytes of a signature: R, then S. */
export const SIGNATURE_LENGTH = 64;

// The y coordinates of the eight points whose order divides 8, little-endian, without the sign bit.
// Under such a key one signature fits many messages: the identity's fits all of them.
const SMALL_ORDER_Y: ReadonlySet<string> = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
]);

/**
 * Takes 32 bytes as a public key.
 *
 * Bytes that are no point of the curve at all (about half of all strings) pass here, because telling
 * costs more than a native verification does; no signature is ever valid under them.
 *
 * @throws {VerifyError} `KEY_MALFORMED` for another length, y >= 2^255 - 19, or small order
 */
export function parsePublicKey(bytes: Uint8Array): PublicKey {
  if (bytes.length !== PUBLIC_KEY_LENGTH) {
    throw malformed(`${bytes.length} bytes instead of ${PUBLIC_KEY_LENGTH}`);
  }
  // A copy: the key must not change with a buffer that it was cut from.
  const key = new Uint8Array(bytes) as PublicKey;
  if (!isBelowFieldPrime(key)) throw malformed('not a canonical encoding');
  if (isSmallOrder(key)) throw malformed('point of small order');
  return key;
}

// Few keys begin like one of the five: the others need no text made of them.
const SMALL_ORDER_FIRST: ReadonlySet<number> = new Set([0x00, 0x01, 0xec, 0x26, 0xc7]);

function isSmallOrder(key: Uint8Array): boolean {
  if (!SMALL_ORDER_FIRST.has(key[0] ?? 0)) return false;
  const y = new Uint8Array(key);
  y[31] = (y[31] ?? 0) & 0x7f;
  return SMALL_ORDER_Y.has(encodeHex(y));
}

/** Whether little-endian `y` is below 2^255 - 19 = 7fff…ffed; bit 255 is the sign of the other coordinate. */
function isBelowFieldPrime(y: Uint8Array): boolean {
  if (((y[31] ?? 0) & 0x7f) !== 0x7f) return true;
  for (let i = 30; i >= 1; i--) if (y[i] !== 0xff) return true;
  return (y[0] ?? 0) < 0xed;
}

function malformed(detail: string): VerifyError {
  return new VerifyError('KEY_MALFORMED', `malformed Ed25519 public key: ${detail}`);
}

// Both texts of a key are asked for wherever it is looked up, many times for a maintainer of many packages.
// They live as long as the key does.
const keyNames = new WeakMap<PublicKey, KeyNames>();

interface KeyNames {
  id: string | undefined;
  text: string | undefined;
}

// One place for both: a WeakMap is gone through by the collector, key by key.
function namesOf(key: PublicKey): KeyNames {
  let names = keyNames.get(key);
  if (names === undefined) {
    names = { id: undefined, text: undefined };
    keyNames.set(key, names);
  }
  return names;
}

/** The identity of a key in our formats: lower-case hex of SHA-256 over its 32 bytes. */
export function keyId(key: PublicKey): string {
  const names = namesOf(key);
  return (names.id ??= sha256Hex(key));
}

/**
 * Reads a key from lower-case hex, and remembers that text: it is the only one of this key.
 *
 * @throws {VerifyError} `ENCODING_MALFORMED`, `KEY_MALFORMED`
 */
export function parsePublicKeyHex(text: string): PublicKey {
  const key = parsePublicKey(decodeHex(text, PUBLIC_KEY_LENGTH));
  keyNames.set(key, { id: undefined, text });
  return key;
}

/** The key itself in lower-case hex, as our JSON formats spell it. */
export function publicKeyHex(key: PublicKey): string {
  const names = namesOf(key);
  return (names.text ??= encodeHex(key));
}
