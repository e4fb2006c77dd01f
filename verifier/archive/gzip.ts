// The gzip container around an archive (RFC 1952). Inflation is a port, because a native one is far
// faster; what the container says is read here: one member, nothing after it, no more output than
// allowed, and the length and checksum that the footer states. Programs disagree about a second
// member (zlib appends its content, others stop), so a tarball with one is two archives.
import { VerifyError } from '../errors.ts';
import {
  ARCHIVE_BYTES_MAX,
  INFLATION_FREE_BYTES,
  INFLATION_RATIO_MAX,
  TARBALL_BYTES_MAX,
} from './limits.ts';

const HEADER_BYTES = 10;
const FOOTER_BYTES = 8;
const METHOD_DEFLATE = 8;
const FLAG_HEADER_CHECKSUM = 0x02;
const FLAG_EXTRA = 0x04;
const FLAG_NAME = 0x08;
const FLAG_COMMENT = 0x10;
const FLAGS_RESERVED = 0xe0;

/** What came of inflating one DEFLATE stream. */
export type InflateOutcome =
  | {
      readonly kind: 'inflated';
      readonly output: Uint8Array;
      /**
       * Bytes of the input that the stream took up, its last partial byte counted whole. Without
       * this number nobody could see that something follows the stream.
       */
      readonly consumed: number;
      /** CRC-32 of the output (RFC 1952 section 8), 0 to 2^32 - 1. */
      readonly crc32: number;
    }
  /** Not DEFLATE, or the input ends before the stream does. */
  | { readonly kind: 'broken' }
  /** More than `outputBytesMax` would come out. */
  | { readonly kind: 'too-large' };

/**
 * Port: inflates the one *raw* DEFLATE stream (RFC 1951, no gzip header) at the start of `input`
 * and stops where it ends, whatever follows. It never holds much more than `outputBytesMax` bytes
 * of output. What it throws is a failure of the machine and says nothing about the input.
 */
export type Inflate = (
  input: Uint8Array,
  outputBytesMax: number,
) => Promise<InflateOutcome> | InflateOutcome;

/**
 * Opens a gzip file that must be exactly one member.
 *
 * @param tarball at most `TARBALL_BYTES_MAX` bytes
 * @returns the content, at most `ARCHIVE_BYTES_MAX` bytes and `INFLATION_RATIO_MAX` times the input
 * @throws {VerifyError} `ARCHIVE_UNSAFE`
 */
export async function openGzip(tarball: Uint8Array, inflate: Inflate): Promise<Uint8Array> {
  if (tarball.length > TARBALL_BYTES_MAX) throw unsafe(`larger than ${TARBALL_BYTES_MAX} bytes`);
  const start = headerLength(tarball);
  const outputBytesMax = Math.min(
    ARCHIVE_BYTES_MAX,
    Math.max(INFLATION_FREE_BYTES, tarball.length * INFLATION_RATIO_MAX),
  );

  const outcome = await inflate(tarball.subarray(start), outputBytesMax);
  if (outcome.kind === 'broken') throw unsafe('the gzip data is broken or cut short');
  if (outcome.kind === 'too-large') throw unsafe(`inflates to more than ${outputBytesMax} bytes`);

  const footer = start + outcome.consumed;
  if (footer + FOOTER_BYTES > tarball.length) throw unsafe('the gzip footer is cut short');
  if (footer + FOOTER_BYTES < tarball.length) throw unsafe('bytes follow the first gzip member');
  const view = new DataView(tarball.buffer, tarball.byteOffset + footer, FOOTER_BYTES);
  if (view.getUint32(0, true) !== outcome.crc32) throw unsafe('the gzip checksum is wrong');
  // The footer states the length modulo 2^32; the output is smaller than that.
  if (view.getUint32(4, true) !== outcome.output.length) throw unsafe('the gzip length is wrong');
  return outcome.output;
}

/** Where the DEFLATE stream starts. The optional fields are skipped: they change no content. */
function headerLength(bytes: Uint8Array): number {
  if (bytes.length < HEADER_BYTES) throw unsafe('the gzip header is cut short');
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) throw unsafe('not a gzip file');
  if (bytes[2] !== METHOD_DEFLATE) throw unsafe('the gzip method is not DEFLATE');
  const flags = bytes[3] ?? 0;
  if ((flags & FLAGS_RESERVED) !== 0) throw unsafe('reserved gzip flags are set');

  let at = HEADER_BYTES;
  if ((flags & FLAG_EXTRA) !== 0) {
    at += 2 + (bytes[at] ?? 0) + 256 * (bytes[at + 1] ?? 0);
  }
  for (const flag of [FLAG_NAME, FLAG_COMMENT]) {
    if ((flags & flag) === 0) continue;
    const end = bytes.indexOf(0, at);
    if (end < 0) throw unsafe('the gzip header is cut short');
    at = end + 1;
  }
  // A checksum of the header protects nothing that is used.
  if ((flags & FLAG_HEADER_CHECKSUM) !== 0) at += 2;
  if (at > bytes.length) throw unsafe('the gzip header is cut short');
  return at;
}

function unsafe(detail: string): VerifyError {
  return new VerifyError('ARCHIVE_UNSAFE', `tarball: ${detail}`);
}
