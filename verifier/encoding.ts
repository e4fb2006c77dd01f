// Strict text and number encodings: one spelling per value. `Buffer.from(x, 'base64')`, `Number(x)`,
// `BigInt(x)` and `parseInt` all accept several spellings of one value, which would let two readers
// see one signed text differently; they are banned everywhere else (fixtures/tidy.test.ts).
import { writeUtf8 } from './bytes.ts';
import { VerifyError, assert } from './errors.ts';

const BASE64_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const HEX_ALPHABET = '0123456789abcdef';
const UINT_PATTERN = /^(?:0|[1-9][0-9]{0,15})$/;
const UINT_MAX = Number.MAX_SAFE_INTEGER;

const BASE64_VALUES: Int8Array = new Int8Array(256).fill(-1);
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
  const at = (whole / 4) * 3;
  if (!decodeGroups(text, whole, bytes)) throw malformed();
  if (padding === 0) return bytes;
  const last = groupAt(text, whole, 4 - padding);
  // Non-zero spare bits would be a second spelling of the same bytes.
  if (last < 0 || (last & (padding === 2 ? 0xffff : 0xff)) !== 0) throw malformed();
  bytes[at] = last >> 16;
  if (padding === 1) bytes[at + 1] = last >> 8;
  return bytes;
}

// Up to here a call more costs more than it saves; and what is longer than a large payload is rare.
const COPIED_DIGITS_MIN = 128;
const DIGITS: Uint8Array = new Uint8Array(8192);

// Whether the first `whole` characters, a multiple of four, are digits, which are then decoded.
function decodeGroups(text: string, whole: number, bytes: Uint8Array): boolean {
  return text.length < COPIED_DIGITS_MIN || text.length > DIGITS.length
    ? decodeSingly(text, whole, bytes)
    : decodeCopied(text, whole, bytes);
}

function decodeSingly(text: string, whole: number, bytes: Uint8Array): boolean {
  let at = 0;
  for (let i = 0; i < whole; i += 4) {
    const group = groupAt(text, i, 4);
    if (group < 0) return false;
    bytes[at] = group >> 16;
    bytes[at + 1] = group >> 8;
    bytes[at + 2] = group;
    at += 3;
  }
  return true;
}

// Bytes are looked up faster than characters of a text, which may be a piece of another one.
function decodeCopied(text: string, whole: number, bytes: Uint8Array): boolean {
  // Otherwise not all of them are ASCII, and so not all are digits.
  if (writeUtf8(text, DIGITS) !== text.length) return false;
  let bad = 0;
  let at = 0;
  for (let i = 0; i < whole; i += 4) {
    const a = valueAt(i);
    const b = valueAt(i + 1);
    const c = valueAt(i + 2);
    const d = valueAt(i + 3);
    bad |= a | b | c | d;
    bytes[at] = (a << 2) | (b >> 4);
    bytes[at + 1] = (b << 4) | (c >> 2);
    bytes[at + 2] = (c << 6) | d;
    at += 3;
  }
  return bad >= 0;
}

function valueAt(at: number): number {
  return BASE64_VALUES[DIGITS[at] ?? 0] ?? -1;
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

// The characters of each byte, first digit first.
const HEX_CODES: Uint8Array = new Uint8Array(512);
const HEX_VALUES: Int8Array = new Int8Array(128).fill(-1);
for (let i = 0; i < 256; i++) {
  HEX_CODES[2 * i] = HEX_ALPHABET.charCodeAt(i >> 4);
  HEX_CODES[2 * i + 1] = HEX_ALPHABET.charCodeAt(i & 15);
}
for (let i = 0; i < 16; i++) HEX_VALUES[HEX_ALPHABET.charCodeAt(i)] = i;

// Engines limit the arguments of a call.
const HEX_SLICE_BYTES = 1024;

/** Lower-case hexadecimal. */
export function encodeHex(bytes: Uint8Array): string {
  if (bytes.length <= HEX_SLICE_BYTES) return encodeHexSlice(bytes);
  const slices: string[] = [];
  for (let start = 0; start < bytes.length; start += HEX_SLICE_BYTES) {
    slices.push(encodeHexSlice(bytes.subarray(start, start + HEX_SLICE_BYTES)));
  }
  return slices.join('');
}

// In one piece: a text put together digit by digit is a tree of pieces, and hashes are looked up by it.
function encodeHexSlice(bytes: Uint8Array): string {
  const codes: number[] = [];
  for (let i = 0; i < bytes.length; i++) {
    const at = 2 * (bytes[i] ?? 0);
    codes.push(HEX_CODES[at] ?? 0, HEX_CODES[at + 1] ?? 0);
  }
  return String.fromCharCode.apply(undefined, codes);
}

/**
 * Decodes lower-case hexadecimal.
 *
 * @param length number of bytes that the text must spell, when it is known
 * @throws {VerifyError} `ENCODING_MALFORMED`
 */
export function decodeHex(text: string, length?: number): Uint8Array {
  const bytes = new Uint8Array(text.length >> 1);
  let bad = text.length % 2 !== 0 || (length !== undefined && bytes.length !== length) ? -1 : 0;
  for (let i = 0; bad === 0 && i < bytes.length; i++) {
    // -1, the mark of what is no digit, has its sign bit set, and no digit has.
    const value =
      ((HEX_VALUES[text.charCodeAt(2 * i)] ?? -1) << 4) |
      (HEX_VALUES[text.charCodeAt(2 * i + 1)] ?? -1);
    if (value < 0) bad = -1;
    bytes[i] = value;
  }
  if (bad === 0) return bytes;
  const what = length === undefined ? '' : ` of ${length} bytes`;
  throw new VerifyError('ENCODING_MALFORMED', `not lower-case hexadecimal${what}`);
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
  assert(Number.isSafeInteger(value) && value >= 0, 'a number is a safe integer');
  const high = Math.floor(value / 2 ** 32);
  // Without a view: it would give these few bytes memory of their own (bytes.ts). An element takes eight bits.
  return Uint8Array.of(
    high >>> 24,
    high >>> 16,
    high >>> 8,
    high,
    value >>> 24,
    value >>> 16,
    value >>> 8,
    value,
  );
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
