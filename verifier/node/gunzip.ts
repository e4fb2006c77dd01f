// Strict, bounded gzip decompression (RFC 1952). Node's own `gunzip` reads on over further members and
// over zeros behind them, so that one file could be two archives to two readers.
import { crc32, inflateRaw, inflateRawSync } from 'node:zlib';

import { VerifyError } from '../errors.ts';

const FLAG_HEADER_CRC = 0x02;
const FLAG_EXTRA = 0x04;
const FLAG_NAME = 0x08;
const FLAG_COMMENT = 0x10;
const FLAGS_RESERVED = 0xe0;
const TRAILER_LENGTH = 8;

/**
 * Decompresses exactly one gzip member that fills `bytes`.
 *
 * @param bytes     the whole file
 * @param outputMax most bytes that may come out; more is a bomb
 * @throws {VerifyError} `ARCHIVE_UNSAFE` for anything but one whole member with right sums
 */
export async function gunzip(bytes: Uint8Array, outputMax: number): Promise<Uint8Array> {
  return checked(bytes, await inflate(deflatedOf(bytes), outputMax));
}

/**
 * The same in this thread, at once: for what is known to be small. Going through another thread takes
 * longer than inflating a few kilobytes.
 *
 * @throws {VerifyError} as `gunzip`
 */
export function gunzipNow(bytes: Uint8Array, outputMax: number): Uint8Array {
  const deflated = deflatedOf(bytes);
  try {
    return checked(bytes, inflatedOf(inflateRawSync(deflated, optionsFor(outputMax))));
  } catch (cause) {
    if (!(cause instanceof Error) || cause instanceof VerifyError) throw cause;
    throw refusalOf(cause, outputMax) ?? cause;
  }
}

/** The length that a gzip file says it has when unpacked (ISIZE of RFC 1952), which may be a lie. */
export function claimedLength(bytes: Uint8Array): number {
  if (bytes.length < 4) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 4, 4).getUint32(0, true);
}

/** What is between header and sums, with the sums: whether they begin where it ends is seen afterwards. */
function deflatedOf(bytes: Uint8Array): Uint8Array {
  const start = headerLength(bytes);
  if (bytes.length - TRAILER_LENGTH <= start) throw unsafe('cut off');
  return bytes.subarray(start);
}

function checked(bytes: Uint8Array, { output, consumed }: Inflated): Uint8Array {
  const trailer = bytes.length - TRAILER_LENGTH;
  if (headerLength(bytes) + consumed !== trailer) throw unsafe('bytes after the first member');
  const sums = new DataView(bytes.buffer, bytes.byteOffset + trailer, TRAILER_LENGTH);
  if (sums.getUint32(0, true) !== crc32(output)) throw unsafe('wrong CRC-32');
  if (sums.getUint32(4, true) !== output.length % 2 ** 32) throw unsafe('wrong length');
  return output;
}

/** RFC 1952 section 2.3.1. The optional fields are skipped: their content means nothing here. */
function headerLength(bytes: Uint8Array): number {
  const flags = bytes[3];
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== 8 || flags === undefined) {
    throw unsafe('not gzip');
  }
  if ((flags & FLAGS_RESERVED) !== 0) throw unsafe('reserved flags are set');
  let at = 10;
  if ((flags & FLAG_EXTRA) !== 0) at += 2 + (bytes[at] ?? 0) + 256 * (bytes[at + 1] ?? 0);
  if ((flags & FLAG_NAME) !== 0) at = afterZero(bytes, at);
  if ((flags & FLAG_COMMENT) !== 0) at = afterZero(bytes, at);
  if ((flags & FLAG_HEADER_CRC) !== 0) at += 2;
  return at;
}

function afterZero(bytes: Uint8Array, from: number): number {
  const zero = bytes.indexOf(0, from);
  if (zero < 0) throw unsafe('cut off');
  return zero + 1;
}

async function inflate(bytes: Uint8Array, outputMax: number): Promise<Inflated> {
  return new Promise((resolve, reject) => {
    inflateRaw(bytes, optionsFor(outputMax), (cause, result) => {
      if (cause === null) resolve(inflatedOf(result));
      else reject(refusalOf(cause, outputMax) ?? cause);
    });
  });
}

interface Inflated {
  readonly output: Uint8Array;
  /** Compressed bytes that were used. */
  readonly consumed: number;
}

const optionsFor = (outputMax: number): { maxOutputLength: number; info: true } => ({
  maxOutputLength: outputMax,
  info: true,
});

function inflatedOf(result: unknown): Inflated {
  const { buffer, engine } = result as InflateInfo;
  const output = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
  return { output, consumed: engine.bytesWritten };
}

/** What zlib's error says about the bytes; `undefined` for a failure of the machine, say of memory. */
function refusalOf(cause: Error, outputMax: number): VerifyError | undefined {
  const code = 'code' in cause ? cause.code : undefined;
  if (code === 'ERR_BUFFER_TOO_LARGE') {
    return unsafe(`over ${outputMax} bytes when unpacked`, cause);
  }
  if (code === 'Z_DATA_ERROR') return unsafe('bad data', cause);
  // Raw deflate ends where its last block ends, so asking for more means that the end is missing.
  if (code === 'Z_BUF_ERROR') return unsafe('cut off', cause);
  return undefined;
}

/** What `info: true` makes of the result, which @types/node doesn't know. */
interface InflateInfo {
  readonly buffer: Buffer;
  /** `bytesWritten` is the number of compressed bytes that were used. */
  readonly engine: { readonly bytesWritten: number };
}

function unsafe(detail: string, cause?: unknown): VerifyError {
  return new VerifyError('ARCHIVE_UNSAFE', `gzip: ${detail}`, { cause });
}
