// Unsigned variable-length integers (LEB128, as in protocol buffers) and a cursor over untrusted
// bytes. Only the minimal form of a number is read, so that each tree has one packed form.
import { VerifyError, assert } from '../errors.ts';

/** Four groups of seven bits: lengths and bit numbers here are far smaller. */
const UVARINT_BYTES_MAX = 4;

/** Numbers of ours are below this: what `UVARINT_BYTES_MAX` groups hold. */
const UVARINT_LIMIT: number = 2 ** 28;

/** The minimal form of `value`, an integer from 0 to 2^28 - 1: seven bits a byte, low ones first. */
export function encodeUvarint(value: number): Uint8Array {
  const bytes = new Uint8Array(uvarintLength(value));
  writeUvarint(value, bytes, 0);
  return bytes;
}

/** Bytes of the minimal form of `value`, an integer from 0 to 2^28 - 1. */
export function uvarintLength(value: number): number {
  assert(Number.isSafeInteger(value) && value >= 0 && value < UVARINT_LIMIT, 'uvarint below 2^28');
  if (value < 0x80) return 1;
  if (value < 0x40_00) return 2;
  return value < 0x20_00_00 ? 3 : UVARINT_BYTES_MAX;
}

/**
 * Writes the minimal form of `value` into `target`, which has room for it.
 *
 * @returns where it ends
 */
export function writeUvarint(value: number, target: Uint8Array, start: number): number {
  let rest = value;
  let at = start;
  while (rest >= 0x80) {
    target[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[at++] = rest;
  return at;
}

/** Reads untrusted bytes from front to back; every shortfall is refused as `MAP_MALFORMED`. */
export class ByteCursor {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Whether everything has been read. */
  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** One byte. @throws {VerifyError} `MAP_MALFORMED` at the end */
  byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw truncated();
    this.#at += 1;
    return byte;
  }

  /** A view of the next `length` bytes. @throws {VerifyError} `MAP_MALFORMED` when there are fewer */
  take(length: number): Uint8Array {
    if (this.#bytes.length - this.#at < length) throw truncated();
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /**
   * A uvarint from 0 to `max`, in its minimal form.
   *
   * @throws {VerifyError} `MAP_MALFORMED`
   */
  uvarint(max: number): number {
    let value = 0;
    for (let i = 0; i < UVARINT_BYTES_MAX; i++) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) {
        // A last group of zero bits would spell the same number with one byte more.
        if (byte === 0 && i > 0) throw malformed('number not in its shortest form');
        if (value > max) throw malformed(`number above ${max}`);
        return value;
      }
    }
    throw malformed('number too long');
  }
}

function malformed(detail: string): VerifyError {
  return new VerifyError('MAP_MALFORMED', `malformed map bytes: ${detail}`);
}

function truncated(): VerifyError {
  return malformed('ends too early');
}
