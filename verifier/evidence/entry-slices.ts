// Reading a document's entries one after the other instead of with the rest of it. Nine tenths of a document are
// entries; parsed and written back as a whole they are several times in memory at one time, for as long as the
// collector pleases.
//
// What is cut here is exactly what `formatShownEntry` writes. Anything else is none of this file's business: it is
// left to the reader of the whole document, which says what is wrong with it.
import { parseUint } from '../encoding.ts';
import { ENTRY_BYTES_MAX } from '../entry.ts';
import { VerifyError } from '../errors.ts';
import { parseCanonicalJson } from '../json.ts';
import { TREE_SIZE_MAX } from '../merkle/hash.ts';

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
export function cutEntries(text: string, countMax: number): CutDocument | undefined {
  // Inside of a JSON text's strings no quote stands without a backslash before it, and so none of these marks.
  const list = text.indexOf(LIST);
  if (list < 0) return undefined;
  const start = list + LIST.length;
  const entries: CutEntry[] = [];
  let at = start;
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
  return { entries, frame: text.slice(0, start) + text.slice(at) };
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
