// Text that people read: names of maintainers, reasons. It reaches terminals and reports.
import { VerifyError } from '../errors.ts';

// First and last code points of what is refused. A table of our own, because `\p{…}` follows the
// Unicode version of the runtime, and replicas must not disagree about a statement.
const UNPRINTABLE: readonly (readonly [first: number, last: number])[] = [
  [0x00, 0x1f], // C0 controls
  [0x7f, 0xa0], // delete, C1 controls, no-break space
  [0xad, 0xad], // soft hyphen
  [0x34f, 0x34f], // combining grapheme joiner
  [0x61c, 0x61c], // Arabic letter mark (direction)
  [0x115f, 0x1160], // Hangul fillers
  [0x1680, 0x1680], // Ogham space
  [0x17b4, 0x17b5], // Khmer inherent vowels
  [0x180b, 0x180f], // Mongolian variation selectors
  [0x2000, 0x200f], // spaces, zero-width characters, direction marks
  [0x2028, 0x202f], // line and paragraph separator, direction overrides
  [0x205f, 0x206f], // more spaces and direction isolates, invisible operators
  [0x2800, 0x2800], // blank braille pattern
  [0x3000, 0x3000], // ideographic space
  [0x3164, 0x3164], // Hangul filler
  [0xd800, 0xf8ff], // lone surrogates, private use
  [0xfe00, 0xfe0f], // variation selectors
  [0xfeff, 0xfeff], // byte order mark
  [0xffa0, 0xffa0], // Hangul filler
  [0xfff0, 0xffff], // specials
  [0x13430, 0x1345f], // hieroglyph format controls
  [0x1bca0, 0x1bca3], // shorthand format controls
  [0x1d173, 0x1d17a], // musical format controls
  [0xe0000, 0x10ffff], // tags, variation selectors, private use
];

// What nearly all labels are: ASCII without controls. The table need not be searched for them, which a
// program that runs once does slowly.
const PLAIN_ASCII = /^[ -~]*$/;

/**
 * Refuses text that would not look like what it is: with control, invisible or direction-changing
 * characters, or with spaces at an end. U+0020 is the only space. The caller has bounded the length.
 *
 * @throws {VerifyError} `STATEMENT_MALFORMED`
 */
export function requirePrintable(text: string, path: string): void {
  const printable = PLAIN_ASCII.test(text) || hasOnlyPrintable(text);
  if (!printable || text.startsWith(' ') || text.endsWith(' ')) {
    throw new VerifyError('STATEMENT_MALFORMED', `malformed statement: ${path} is not plain text`);
  }
}

function hasOnlyPrintable(text: string): boolean {
  return Array.from(text, (character) => character.codePointAt(0) ?? 0).every(
    (code) => !UNPRINTABLE.some(([first, last]) => code >= first && code <= last),
  );
}
