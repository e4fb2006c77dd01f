// One 512-byte header of a tar archive: POSIX ustar, and what GNU and older programs write. Fields
// that nobody needs (owner, times, device numbers) must be well formed all the same: node-tar skips
// an entry for a number in them that it can't read, and takes the content for the next header.
import { VerifyError, quote } from '../errors.ts';
import { decodeUtf8 } from '../text.ts';

/** Everything in an archive comes in blocks of this many bytes. */
export const BLOCK_BYTES = 512;

/** Offsets and lengths of the fields that are read (POSIX.1-2017, pax, "ustar Interchange Format"). */
const NAME = [0, 100] as const;
const MODE = [100, 8] as const;
const SIZE = [124, 12] as const;
const CHECKSUM = [148, 8] as const;
const TYPE = 156;
const LINK_NAME = [157, 100] as const;
const MAGIC = [257, 8] as const;
const PREFIX = [345, 155] as const;
const UNUSED_NUMBERS: readonly (readonly [number, number])[] = [
  [108, 8], // uid
  [116, 8], // gid
  [136, 12], // mtime
];
const UNUSED_NUMBERS_POSIX: readonly (readonly [number, number])[] = [
  [329, 8], // device, major
  [337, 8], // device, minor
];
const UNUSED_NUMBERS_STAR: readonly (readonly [number, number])[] = [
  [476, 12], // atime
  [488, 12], // ctime
];
/** Where the prefix ends in headers of the "star" kind, which put times behind it. */
const PREFIX_STAR_LENGTH = 130;

const MAGIC_POSIX = 'ustar\u000000';
/** GNU's, that of headers from before ustar, and a ustar that states no version. */
const MAGICS_WITHOUT_PREFIX: readonly string[] = [
  'ustar  \0',
  '\0\0\0\0\0\0\0\0',
  'ustar\0\0\0',
  'ustar\0  ',
];

const SPACE = 0x20;
const DIGIT_ZERO = 0x30;
const ASCII_MAX = 0x7f;
const BASE256_MARK = 0x80;
/** Of a number in base 256: what holds 2^48 - 1. */
const BASE256_BYTES_MAX = 6;

/** What a header says. */
export interface TarHeader {
  /** The type flag, one character; `\0` is an old spelling of `0`. */
  readonly type: string;
  /** Prefix and name, not yet checked for anything. */
  readonly path: string;
  /** Permission bits and whatever else the field holds. */
  readonly mode: number;
  /** Bytes of content behind the header, 0 to 2^36 - 1. */
  readonly size: number;
}

/** A refusal of an archive, for `throw`. */
export function unsafeArchive(detail: string, path?: string): VerifyError {
  const where = path === undefined ? '' : `${quote(path)}: `;
  return new VerifyError('ARCHIVE_UNSAFE', `archive: ${where}${detail}`);
}

/** Whether a block is nothing but zeros: two of them end an archive. */
export function isZero(bytes: Uint8Array): boolean {
  return isZeroBetween(bytes, 0, bytes.length);
}

function isZeroBetween(bytes: Uint8Array, start: number, end: number): boolean {
  // Indexed loops here and below, and no views: an archive may have 200,000 headers, of a dozen fields each.
  for (let i = start; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}

/**
 * Reads a header.
 *
 * @param block exactly `BLOCK_BYTES` bytes
 * @throws {VerifyError} `ARCHIVE_UNSAFE`
 */
export function readHeader(block: Uint8Array): TarHeader {
  // Extractors skip a header whose sum is wrong, or stop at it, or don't look.
  if (octal(block, CHECKSUM, 'checksum') !== checksum(block)) {
    throw unsafeArchive('a header has a wrong checksum');
  }
  // node-tar skips the entry when anything but a link has a link name, others extract it.
  if (text(block, LINK_NAME, 'link name') !== '') throw unsafeArchive('an entry has a link name');
  for (const field of UNUSED_NUMBERS) checkUnusedNumber(block, field);
  const name = text(block, NAME, 'name');
  const prefix = prefixOf(block);
  return {
    type: String.fromCharCode(block[TYPE] ?? 0),
    path: prefix === '' ? name : `${prefix}/${name}`,
    mode: octal(block, MODE, 'mode'),
    size: octal(block, SIZE, 'size'),
  };
}

/** The sum of all bytes, those of the checksum itself counted as spaces. */
function checksum(block: Uint8Array): number {
  const [start, length] = CHECKSUM;
  let sum = SPACE * length;
  for (let i = 0; i < start; i++) sum += block[i] ?? 0;
  for (let i = start + length; i < block.length; i++) sum += block[i] ?? 0;
  return sum;
}

/**
 * The front part of a long path. Only POSIX headers have one; GNU's keep times there, and a reader
 * that mixes the two up sees another path. Hence zeros are required where a prefix is not.
 */
function prefixOf(block: Uint8Array): string {
  const [start, length] = PREFIX;
  if (!hasMagic(block, MAGIC_POSIX)) {
    if (!MAGICS_WITHOUT_PREFIX.some((magic) => hasMagic(block, magic))) {
      throw unsafeArchive('not a tar header');
    }
    if (!isZeroBetween(block, start, start + length)) {
      throw unsafeArchive('a header with an unclear path');
    }
    return '';
  }
  for (const field of UNUSED_NUMBERS_POSIX) checkUnusedNumber(block, field);
  const isStar = block[start + PREFIX_STAR_LENGTH] === 0;
  if (isStar) for (const field of UNUSED_NUMBERS_STAR) checkUnusedNumber(block, field);
  return text(block, [start, isStar ? PREFIX_STAR_LENGTH : length], 'prefix');
}

function hasMagic(block: Uint8Array, magic: string): boolean {
  const [start, length] = MAGIC;
  for (let i = 0; i < length; i++) if (block[start + i] !== magic.charCodeAt(i)) return false;
  return true;
}

/** Text up to the first NUL, behind which there must be nothing: some read on, some don't. */
function text(block: Uint8Array, [start, length]: readonly [number, number], what: string): string {
  const end = start + length;
  let at = start;
  let ascii = '';
  let isAscii = true;
  for (; at < end; at++) {
    const byte = block[at] ?? 0;
    if (byte === 0) break;
    isAscii &&= byte <= ASCII_MAX;
    // Names are short: a decoder costs more to call than this does.
    if (isAscii) ascii += String.fromCharCode(byte);
  }
  if (!isZeroBetween(block, at, end)) {
    throw unsafeArchive(`a header's ${what} goes on behind a NUL`);
  }
  return isAscii ? ascii : utf8(block.subarray(start, at), what);
}

function utf8(bytes: Uint8Array, what: string): string {
  try {
    return decodeUtf8(bytes);
  } catch {
    throw unsafeArchive(`a header's ${what} is not UTF-8`);
  }
}

/**
 * A number in base 8. Base 256 (a set high bit) is refused: no size that is allowed needs it, and it
 * can spell negative numbers.
 */
function octal(block: Uint8Array, field: readonly [number, number], what: string): number {
  const value = octalDigits(block, field);
  if (typeof value === 'number') return value;
  throw unsafeArchive(`a header's ${what} is not a plain octal number`);
}

/** Spaces, digits of base 8, then spaces and NULs; at most 12 bytes, so the value is safe. */
function octalDigits(
  bytes: Uint8Array,
  [from, length]: readonly [number, number],
): number | 'empty' | 'malformed' {
  const to = from + length;
  let at = from;
  while (at < to && bytes[at] === SPACE) at++;
  const start = at;
  let value = 0;
  for (; at < to; at++) {
    const digit = (bytes[at] ?? 0) - DIGIT_ZERO;
    if (digit < 0 || digit > 7) break;
    value = 8 * value + digit;
  }
  const end = at;
  while (at < to && (bytes[at] === SPACE || bytes[at] === 0)) at++;
  if (at < to) return 'malformed';
  return start === end ? 'empty' : value;
}

/** Owners and times may also be missing, or in base 256 if small and positive: large uids are. */
function checkUnusedNumber(block: Uint8Array, field: readonly [number, number]): void {
  if (octalDigits(block, field) !== 'malformed') return;
  const [start, length] = field;
  const isBase256 =
    block[start] === BASE256_MARK &&
    isZeroBetween(block, start + 1, start + length - BASE256_BYTES_MAX);
  if (!isBase256) throw unsafeArchive('a header with an owner or time that is no number');
}
