// Fixed-layout binary fields: the alphabet of encode.ts. Every value has one encoding, so whatever
// decodes would encode to the same bytes again (encode.test.ts shows it for every kind of message).
import { decodeHex, encodeHex } from '../encoding.ts';
import { VerifyError, assert } from '../errors.ts';
import { decodeUtf8 } from '../text.ts';
import { ownBytes, utf8 } from '../bytes.ts';
import { isOrigin } from '../origin.ts';
import type { Digest } from './messages.ts';

/** Bytes of a digest. */
export const DIGEST_LENGTH = 32;
/** Bytes of a signature. */
export const SIGNATURE_LENGTH = 64;

const UINT32_RANGE = 0x1_0000_0000;

/** Collects fields; `finish` joins them with one copy. Bodies of megabytes pass through by reference. */
export class Writer {
  readonly #parts: Uint8Array[] = [];

  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }

  uint8(value: number): this {
    assert(value >= 0 && value <= 0xff, 'a value fits into one byte');
    return this.raw(Uint8Array.of(value));
  }

  uint16(value: number): this {
    assert(value >= 0 && value <= 0xffff, 'a value fits into two bytes');
    return this.raw(Uint8Array.of(value >>> 8, value & 0xff));
  }

  uint32(value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value);
    return this.raw(bytes);
  }

  /** A safe integer >= 0 in eight bytes. */
  uint64(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, 'a number is a safe integer');
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, Math.floor(value / UINT32_RANGE));
    view.setUint32(4, value % UINT32_RANGE);
    return this.raw(bytes);
  }

  flag(value: boolean): this {
    return this.uint8(value ? 1 : 0);
  }

  digest(value: Digest): this {
    return this.raw(decodeHex(value, DIGEST_LENGTH));
  }

  /** An origin, one length byte before it. */
  origin(value: string): this {
    const bytes = utf8(value);
    return this.uint8(bytes.length).raw(bytes);
  }

  /** A value that may be absent: one byte, then the value. */
  optional<T>(value: T | undefined, write: (value: T) => void): this {
    this.flag(value !== undefined);
    if (value !== undefined) write(value);
    return this;
  }

  finish(): Uint8Array {
    let length = 0;
    for (const part of this.#parts) length += part.length;
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}

/**
 * Takes fields off a message of a stranger. What `raw` returns is a view, for what is kept as a whole or not
 * at all; what may be kept alone is read by `own`.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** @throws {VerifyError} `MESSAGE_MALFORMED` when fewer bytes are left */
  raw(length: number): Uint8Array {
    const start = this.#at;
    // Checked before anything is made: a length field never allocates.
    if (length > this.#bytes.length - start) throw malformed('ends too early');
    this.#at = start + length;
    return this.#bytes.subarray(start, this.#at);
  }

  /** The same for bytes that may be kept when the message is not: they don't keep it alive. */
  own(length: number): Uint8Array {
    return ownBytes(this.raw(length));
  }

  uint8(): number {
    return this.#view.getUint8(this.#skip(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#skip(2));
  }

  uint32(): number {
    return this.#view.getUint32(this.#skip(4));
  }

  /** @throws {VerifyError} `MESSAGE_MALFORMED` above 2^53 - 1 */
  uint64(): number {
    const at = this.#skip(8);
    const high = this.#view.getUint32(at);
    if (high >= 0x20_0000) throw malformed('number above 2^53 - 1');
    const low = this.#view.getUint32(at + 4);
    // A product is a floating-point number for V8, even 0: heights and views, of which there are both kinds then,
    // would have it change the classes of the objects that hold them and compile the protocol again each time.
    return high === 0 ? low : high * UINT32_RANGE + low;
  }

  flag(): boolean {
    const value = this.uint8();
    if (value > 1) throw malformed('flag is neither 0 nor 1');
    return value === 1;
  }

  digest(): Digest {
    return encodeHex(this.raw(DIGEST_LENGTH));
  }

  signature(): Uint8Array {
    return this.own(SIGNATURE_LENGTH);
  }

  origin(): string {
    const bytes = this.raw(this.uint8());
    let origin: string;
    try {
      origin = decodeUtf8(bytes);
    } catch (cause) {
      throw malformed('origin is not UTF-8', cause);
    }
    if (!isOrigin(origin)) throw malformed('origin can name no log');
    return origin;
  }

  optional<T>(read: () => T): T | undefined {
    return this.flag() ? read() : undefined;
  }

  /**
   * A list after its count.
   *
   * @param max most items; a count above it is refused before any item is read
   */
  list<T>(count: number, max: number, read: () => T): T[] {
    if (count > max) throw malformed(`list of ${count}, at most ${max}`);
    const items: T[] = [];
    for (let i = 0; i < count; i++) items.push(read());
    return items;
  }

  /** @throws {VerifyError} `MESSAGE_MALFORMED` when bytes are left over */
  end(): void {
    if (this.#at !== this.#bytes.length) throw malformed('bytes after the end');
  }

  #skip(length: number): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) throw malformed('ends too early');
    this.#at = start + length;
    return start;
  }
}

/** The refusal of bytes that are no message. */
export function malformed(detail: string, cause?: unknown): VerifyError {
  return new VerifyError('MESSAGE_MALFORMED', `malformed message: ${detail}`, { cause });
}
