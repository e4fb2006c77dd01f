// Plain byte helpers. Nothing here is secret, so comparisons need not be constant in time.
import { concatBytes } from '@noble/hashes/utils.js';

// `TextEncoder` exists in Node and in browsers but in no type library that this folder may see.
declare class TextEncoder {
  encode(text: string): Uint8Array;
  encodeInto(text: string, target: Uint8Array): { readonly read: number; readonly written: number };
}

// Without state: one serves everybody.
const UTF8 = new TextEncoder();

/**
 * Up to here V8 keeps bytes among its objects. What is longer has memory of its own, which costs several
 * times as much to get and which the collector gives back piece by piece; whatever a `TextEncoder` makes is so, even "a".
 */
const SHORT_LENGTH_MAX = 64;
const ASCII_MAX = 0x7f;

/** Text to UTF-8. The text must hold no lone surrogates (our parsers refuse them). */
export function utf8(text: string): Uint8Array {
  return (text.length <= SHORT_LENGTH_MAX ? shortAscii(text) : undefined) ?? UTF8.encode(text);
}

/**
 * Writes text as UTF-8 into `target`, from its start: for bytes that are only looked at, which then need no memory of
 * their own. The text must hold no lone surrogates.
 *
 * @returns how many bytes it takes; `undefined` when there is no room for all of it
 */
export function writeUtf8(text: string, target: Uint8Array): number | undefined {
  const { read, written } = UTF8.encodeInto(text, target);
  return read === text.length ? written : undefined;
}

/** The bytes of ASCII; `undefined` for other texts. */
function shortAscii(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) {
    const code = text.charCodeAt(i);
    if (code > ASCII_MAX) return undefined;
    bytes[i] = code;
  }
  return bytes;
}

/** Joins byte strings in order. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...parts);
}

/** What a byte string may keep alive beside twice itself, bytes: a message of one signature has little more. */
const PINNED_BYTES_MAX = 256;

/**
 * The same bytes, fit to be kept for long. A view keeps all of what it is a view into: a stranger who has
 * one signature of its megabytes remembered would have us hold the megabytes.
 *
 * @returns a copy; the bytes themselves if they keep hardly more alive than what they are
 */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  const { length, buffer } = bytes;
  return buffer.byteLength <= 2 * length + PINNED_BYTES_MAX ? bytes : new Uint8Array(bytes);
}

/** Whether two byte strings are the same. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Byte-wise lexicographic order: negative, zero or positive. A prefix comes first. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
