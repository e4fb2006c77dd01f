// Reading a document's entries one after the other instead of with the rest of it. Nine tenths of a document are
// entries; parsed and written back as a whole they are several times in memory at one time, for as long as the
// collector pleases.
//
// What is cut here is exactly what `formatShownEntry` writes. Anything else is none of this file's business: it is
// left to the reader of the whole document, which says what is wrong with it.
import { utf8 } from '../bytes.ts';
import { parseUint } from '../encoding.ts';
import { ENTRY_BYTES_MAX } from '../entry.ts';
import { VerifyError } from '../errors.ts';
import { parseCanonicalJson } from '../json.ts';
import { TREE_SIZE_MAX } from '../merkle/hash.ts';
import { decodeUtf8 } from '../text.ts';

/** An entry as it was cut. */
export interface CutEntry {
  readonly index: number;
  readonly data: string;
}

/** A document in two parts. */
export interface CutDocument {
  readonly entries: readonly CutEntry[];
  /** The document's text with an empty list of entries: to be read like any document. */
  readonly frame: string;
}

const LIST = '"entries":[';
const LIST_BYTES: Uint8Array = utf8(LIST);
const HEAD = '{"data":';
const MIDDLE = ',"index":';

/** Each character of an entry may be escaped with six; and two quotes. */
const LITERAL_LENGTH_MAX: number = 6 * ENTRY_BYTES_MAX + 2;

/** Digits of the largest index. */
const DIGITS_MAX = 16;

/**
 * Cuts the entries out of a document.
 *
 * The document is canonical exactly when its frame is, and has its list of entries where it was cut.
 *
 * @param countMax most entries
 * @returns `undefined` for what isn't cut easily, whatever the reason
 */
export function cutEntries(source: Uint8Array | string, countMax: number): CutDocument | undefined {
  const parts = splitAtList(source);
  if (parts === undefined) return undefined;
  const { head, text } = parts;
  const entries: CutEntry[] = [];
  let at = 0;
  while (text[at] !== ']') {
    if (entries.length > 0 && text[at++] !== ',') return undefined;
    if (entries.length === countMax || !text.startsWith(HEAD, at)) return undefined;
    const literal = at + HEAD.length;
    const middle = text.indexOf(`"${MIDDLE}`, literal + 1) + 1;
    if (middle === 0 || middle - literal > LITERAL_LENGTH_MAX) return undefined;
    const digits = middle + MIDDLE.length;
    const end = text.indexOf('}', digits);
    if (end < 0 || end - digits > DIGITS_MAX) return undefined;
    const entry = readEntry(text.slice(literal, middle), text.slice(digits, end));
    if (entry === undefined) return undefined;
    entries.push(entry);
    at = end + 1;
  }
  return { entries, frame: head + text.slice(at) };
}

interface ListParts {
  /** Up to and with the bracket that opens the list. */
  readonly head: string;
  /** Everything behind it. */
  readonly text: string;
}

// Inside of a JSON text's strings no quote stands without a backslash before it, and so none of these marks.
//
// Bytes become two texts: what a note says in front of the list (a dash of its signatures is enough) would make two bytes a
// character of megabytes of ASCII behind it, and all that reads them slower. A mark of ASCII is no part of a longer
// sequence, so both halves are well-formed exactly when the whole is.
function splitAtList(source: Uint8Array | string): ListParts | undefined {
  const list = typeof source === 'string' ? source.indexOf(LIST) : indexOfList(source);
  if (list < 0) return undefined;
  const start = list + LIST.length;
  if (typeof source === 'string')
    return { head: source.slice(0, start), text: source.slice(start) };
  return { head: decodeUtf8(source.subarray(0, start)), text: decodeUtf8(source.subarray(start)) };
}

function indexOfList(bytes: Uint8Array): number {
  const last = bytes.length - LIST.length;
  for (let at = 0; at <= last; at++)
    if (bytes[at] === LIST_BYTES[0] && isListAt(bytes, at)) return at;
  return -1;
}

function isListAt(bytes: Uint8Array, start: number): boolean {
  return LIST_BYTES.every((byte, i) => bytes[start + i] === byte);
}

function readEntry(literal: string, digits: string): CutEntry | undefined {
  try {
    const data = parseCanonicalJson(literal, LITERAL_LENGTH_MAX);
    if (typeof data !== 'string' || data.length > ENTRY_BYTES_MAX) return undefined;
    const index = parseUint(digits);
    return index < TREE_SIZE_MAX ? { index, data } : undefined;
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    return undefined;
  }
}
