// Verifier keys, the text form of public keys in the C2SP world: name+hash+base64(type || key).
// See https://c2sp.org/signed-note, "Verifier keys", and https://c2sp.org/tlog-cosignature.
import { concat, utf8 } from './bytes.ts';
import { type PublicKey, parsePublicKey } from './ed25519.ts';
import { decodeBase64, encodeBase64, encodeHex } from './encoding.ts';
import { VerifyError, quote } from './errors.ts';
import { sha256 } from './sha256.ts';
import { isWellFormed } from './text.ts';

/** Plain Ed25519 over the note's text. */
export const KEY_TYPE_ED25519 = 0x01;
/** Ed25519 over the note's text and a time (cosignature/v1). */
export const KEY_TYPE_COSIGNATURE = 0x04;

/** Longest key name in UTF-16 units. Names are host names with a path; a domain has at most 253. */
export const KEY_NAME_LENGTH_MAX = 255;
// Name, two plus signs, 8 hex digits, base64 of 33 bytes.
const VKEY_LENGTH_MAX = KEY_NAME_LENGTH_MAX + 1 + 8 + 1 + 44;

/** A public key with the name and purpose that its signatures in notes carry. */
export interface VerifierKey {
  readonly name: string;
  /** First four bytes of SHA-256(name || 0x0A || type || key), most significant first. */
  readonly keyHash: number;
  readonly type: typeof KEY_TYPE_ED25519 | typeof KEY_TYPE_COSIGNATURE;
  readonly publicKey: PublicKey;
}

/**
 * Whether a note may name a key so: not empty, no white space, no plus sign. Control characters and
 * invisible ones are refused as well, so that two names that look alike in a terminal differ.
 */
export function isKeyName(name: string): boolean {
  return (
    name.length >= 1 &&
    name.length <= KEY_NAME_LENGTH_MAX &&
    !/[\s+\p{Cc}\p{Cf}]/u.test(name) &&
    isWellFormed(name)
  );
}

/**
 * Names a key.
 *
 * @throws {VerifyError} `KEY_MALFORMED` when the name can't be one
 */
export function makeVerifierKey(
  name: string,
  type: VerifierKey['type'],
  publicKey: PublicKey,
): VerifierKey {
  if (!isKeyName(name)) throw malformed(`${quote(name)} is not a key name`);
  const digest = sha256(concat(utf8(`${name}\n`), Uint8Array.of(type), publicKey));
  return { name, keyHash: new DataView(digest.buffer).getUint32(0), type, publicKey };
}

/** The one text of a verifier key. */
export function formatVerifierKey(key: VerifierKey): string {
  const typed = concat(Uint8Array.of(key.type), key.publicKey);
  return `${key.name}+${keyHashHex(key.keyHash)}+${encodeBase64(typed)}`;
}

/** Eight lower-case hex digits. */
function keyHashHex(keyHash: number): string {
  return encodeHex(keyHashBytes(keyHash));
}

/** A key hash as the four bytes that stand before each signature in a note. */
export function keyHashBytes(keyHash: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, keyHash);
  return bytes;
}

/**
 * Reads a verifier key.
 *
 * @throws {VerifyError} `KEY_MALFORMED`; `FORMAT_UNSUPPORTED` for a key type that is not ours
 */
export function parseVerifierKey(text: string): VerifierKey {
  if (text.length > VKEY_LENGTH_MAX) throw malformed(`longer than ${VKEY_LENGTH_MAX} characters`);
  // The base64 part may hold plus signs itself, so only the first two part the text.
  const nameEnd = text.indexOf('+');
  const hashEnd = text.indexOf('+', nameEnd + 1);
  if (nameEnd < 0 || hashEnd < 0) throw malformed('not name+hash+key');

  const typed = readKeyBytes(text.slice(hashEnd + 1));
  const type = typed[0];
  if (type !== KEY_TYPE_ED25519 && type !== KEY_TYPE_COSIGNATURE) {
    throw new VerifyError('FORMAT_UNSUPPORTED', `verifier key of unsupported type ${String(type)}`);
  }
  const key = makeVerifierKey(text.slice(0, nameEnd), type, parsePublicKey(typed.subarray(1)));
  // Also compares the written hash with the computed one.
  if (formatVerifierKey(key) !== text) throw malformed('not in canonical form, or wrong hash');
  return key;
}

function readKeyBytes(text: string): Uint8Array {
  try {
    return decodeBase64(text);
  } catch (cause) {
    throw malformed('key is not canonical base64', cause);
  }
}

function malformed(detail: string, cause?: unknown): VerifyError {
  return new VerifyError('KEY_MALFORMED', `malformed verifier key: ${detail}`, { cause });
}
