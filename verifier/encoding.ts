// Strict text and number encodings: one spelling per value. `Buffer.from(x, 'base64')`, `Number(x)`,
// `BigInt(x)` and `parseInt` all accept several spellings of one value, which would let two readers
// see one signed text differently; they are banned everywhere else (fixtures/tidy.test.ts).
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';

import { VerifyError } from './errors.ts';

const BASE64_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const HEX_PATTERN = /^(?:[0-9a-f]{2})*$/;
const UINT_PATTERN = /^(?:0|[1-9][0-9]{0,15})$/;
const UINT_MAX = Number.MAX_SAFE_INTEGER;

const BASE64_VALUES: Int8Array = new Int8Array(128).fill(-1);
for (let i = 0; i < BASE64_ALPHABET.length; i++) BASE64_VALUES[BASE64_ALPHABET.charCodeAt(i)] = i;

/** Standard base64 with padding (RFC 4648 section 4). */
export function encodeBase64(bytes: Uint8Array): string {
  // Built in slices: one string concatenation per character is slow on megabytes.
  const slices: string[] = [];
  for (let start = 0; start < bytes.length; start += 24_573) {
    slices.push(encodeBase64Slice(bytes.subarray(start, start + 24_573)));
  }
  return slices.join('');
}

function encodeBase64Slice(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const a = bytes[i] ?? 0;
    const b = bytes[i + 1];
    const c = bytes[i + 2];
    text += BASE64_ALPHABET[a >> 2];
    text += BASE64_ALPHABET[((a & 3) << 4) | ((b ?? 0) >> 4)];
    text += b === undefined ? '=' : BASE64_ALPHABET[((b & 15) << 2) | ((c ?? 0) >> 6)];
    text += c === undefined ? '=' : BASE64_ALPHABET[c & 63];
  }
  return text;
}

/**
 * Decodes standard base64. Padding is required; spare bits must be zero; no white space, no URL
 * alphabet (RFC 4648 sections 3.3 and 3.5).
 *
 * @throws {VerifyError} `ENCODING_MALFORMED`
 */
export function decodeBase64(text: string): Uint8Array {
  const malformed = (): VerifyError =>
    new VerifyError('ENCODING_MALFORMED', 'not canonical base64 with padding');
  if (text.length % 4 !== 0) throw malformed();
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  // Four digits, three bytes at a time; the last four apart, where padding is.
  const whole = padding === 0 ? text.length : text.length - 4;
  let at = 0;
  for (let i = 0; i < whole; i += 4) {
    const group = groupAt(text, i, 4);
    if (group < 0) throw malformed();
    bytes[at] = group >> 16;
    bytes[at + 1] = group >> 8;
    bytes[at + 2] = group;
    at += 3;
  }
  if (padding === 0) return bytes;
  const last = groupAt(text, whole, 4 - padding);
  // Non-zero spare bits would be a second spelling of the same bytes.
  if (last < 0 || (last & (padding === 2 ? 0xffff : 0xff)) !== 0) throw malformed();
  bytes[at] = last >> 16;
  if (padding === 1) bytes[at + 1] = last >> 8;
  return bytes;
}

// The 24 bits of up to four digits, first digit first; negative when one of them is none.
function groupAt(text: string, start: number, digits: number): number {
  let group = 0;
  let bad = 0;
  for (let i = 0; i < 4; i++) {
    // -1, the mark of what is no digit, has its sign bit set, and no digit has.
    const value = i < digits ? (BASE64_VALUES[text.charCodeAt(start + i)] ?? -1) : 0;
    bad |= value;
    group = (group << 6) | value;
  }
  return bad < 0 ? -1 : group;
}

/** Lower-case hexadecimal. */
export function encodeHex(bytes: Uint8Array): string {
  return bytesToHex(bytes);
}

/**
 * Decodes lower-case hexadecimal.
 *
 * @param length number of bytes that the text must spell, when it is known
 * @throws {VerifyError} `ENCODING_MALFORMED`
 */
export function decodeHex(text: string, length?: number): Uint8Array {
  if ((length !== undefined && text.length !== 2 * length) || !HEX_PATTERN.test(text)) {
    const what = length === undefined ? '' : ` of ${length} bytes`;
    throw new VerifyError('ENCODING_MALFORMED', `not lower-case hexadecimal${what}`);
  }
  return hexToBytes(text);
}

/**
 * Reads a plain decimal: no sign, no leading zero, at most 2^53 - 1.
 *
 * @throws {VerifyError} `ENCODING_MALFORMED`
 */
export function parseUint(text: string): number {
  const value = UINT_PATTERN.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value > UINT_MAX) {
    throw new VerifyError('ENCODING_MALFORMED', 'not a plain decimal from 0 to 2^53 - 1');
  }
  return value;
}

/** Eight bytes, most significant first. `value` is a safe integer >= 0. */
export function encodeUint64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

/**
 * Reads eight bytes, most significant first.
 *
 * @throws {VerifyError} `ENCODING_MALFORMED` above 2^53 - 1 or when it isn't eight bytes
 */
export function decodeUint64(bytes: Uint8Array): number {
  if (bytes.length !== 8) throw new VerifyError('ENCODING_MALFORMED', 'not eight bytes');
  const value = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
  if (value > BigInt(UINT_MAX)) {
    throw new VerifyError('ENCODING_MALFORMED', 'number above 2^53 - 1');
  }
  return Number(value);
}
