// What stands in front of an entry and changes it: PAX records (POSIX.1-2017, pax, "Extended
// Header") and GNU's long names. Extractors disagree about almost every oddity in them, and each
// disagreement has been a way to smuggle files (CVE-2026-31802 and its relatives), so only the plain
// use is accepted.
import { VerifyError } from '../errors.ts';
import { parseUint } from '../encoding.ts';
import { decodeUtf8 } from '../text.ts';
import { unsafeArchive } from './header.ts';

/** What an extended header says about the entry behind it; `undefined` where it says nothing. */
export interface Extension {
  readonly path: string | undefined;
  /** Bytes of content. */
  readonly size: number | undefined;
}

/**
 * Records without an effect on content or place of a file, and what they may hold: GNU tar gives up
 * at a time or owner that it can't read.
 */
const TEXT_PATTERN = /^/;
const NUMBER_PATTERN = /^-?[0-9]{1,20}(?:\.[0-9]{1,20})?$/;
const OWNER_PATTERN = /^[0-9]{1,10}$/;
const HARMLESS_RECORDS: ReadonlyMap<string, RegExp> = new Map([
  ['atime', NUMBER_PATTERN],
  ['comment', TEXT_PATTERN],
  ['ctime', NUMBER_PATTERN],
  ['gid', OWNER_PATTERN],
  ['gname', TEXT_PATTERN],
  ['mtime', NUMBER_PATTERN],
  ['uid', OWNER_PATTERN],
  ['uname', TEXT_PATTERN],
  ['LIBARCHIVE.creationtime', NUMBER_PATTERN],
  ['SCHILY.dev', NUMBER_PATTERN],
  ['SCHILY.ino', NUMBER_PATTERN],
  ['SCHILY.nlink', NUMBER_PATTERN],
]);
/** What macOS notes about files. Other extended attributes can hold capabilities. */
const HARMLESS_PREFIXES: readonly string[] = [
  'LIBARCHIVE.xattr.com.apple.',
  'SCHILY.xattr.com.apple.',
];
/** Digits of a record's length, a space. */
const LENGTH_PREFIX_MAX = 8;
const SPACE = 0x20;
const NEWLINE = 0x0a;

/**
 * Reads PAX records: `<length> <key>=<value>\n`, nothing between them and nothing behind.
 *
 * @param bytes content of an entry of type `x`
 * @throws {VerifyError} `ARCHIVE_UNSAFE`
 */
export function readPaxRecords(bytes: Uint8Array): Extension {
  const seen = new Set<string>();
  let path: string | undefined;
  let size: number | undefined;
  for (let at = 0; at < bytes.length;) {
    const record = recordAt(bytes, at);
    at += record.length;
    // Which of two equal keys counts is a matter of taste among extractors.
    if (seen.has(record.key)) throw unsafeArchive('an extended header has a key twice', record.key);
    seen.add(record.key);
    if (record.key === 'path') path = record.value;
    else if (record.key === 'size') size = uint(record.value);
    else if (!isHarmless(record.key, record.value)) {
      // `linkpath`, `GNU.sparse.*`, `hdrcharset` and the like change what the entry is.
      throw unsafeArchive('an extended header with an effect that is not allowed', record.key);
    }
  }
  return { path, size };
}

function isHarmless(key: string, value: string): boolean {
  const pattern = HARMLESS_RECORDS.get(key);
  if (pattern !== undefined) return pattern.test(value);
  return HARMLESS_PREFIXES.some((prefix) => key.startsWith(prefix));
}

/** One record; its length in bytes includes the digits that state it. */
function recordAt(bytes: Uint8Array, at: number): { key: string; value: string; length: number } {
  const space = bytes.indexOf(SPACE, at);
  if (space < 0 || space - at > LENGTH_PREFIX_MAX) throw malformedRecord();
  const length = uint(utf8(bytes.subarray(at, space)));
  const end = at + length;
  if (end > bytes.length || end <= space + 1 || bytes[end - 1] !== NEWLINE) throw malformedRecord();
  const text = utf8(bytes.subarray(space + 1, end - 1));
  const equals = text.indexOf('=');
  // Some readers take records apart at newlines, others at the stated lengths; some stop at a NUL.
  if (equals <= 0 || /[\n\0]/.test(text)) throw malformedRecord();
  return { key: text.slice(0, equals), value: text.slice(equals + 1), length };
}

/**
 * Reads a long name in GNU's form: the path and one NUL.
 *
 * @param bytes content of an entry of type `L`
 * @throws {VerifyError} `ARCHIVE_UNSAFE`
 */
export function readGnuLongName(bytes: Uint8Array): Extension {
  const end = bytes.indexOf(0);
  if (end !== bytes.length - 1) throw unsafeArchive('a long name that does not end in one NUL');
  return { path: utf8(bytes.subarray(0, end)), size: undefined };
}

function malformedRecord(): VerifyError {
  return unsafeArchive('a malformed extended header');
}

function uint(text: string): number {
  try {
    return parseUint(text);
  } catch {
    throw malformedRecord();
  }
}

function utf8(bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes);
  } catch {
    throw malformedRecord();
  }
}
