// How text is fitted to a terminal: lines are folded between words, and digests are shortened where
// that loses nothing.

const SRI = /sha512-[A-Za-z0-9+/]{86}==/g;
// oxlint-disable-next-line no-control-regex -- our own colour codes take no room on the screen
const COLOR = /\u001b\[[0-9;]*m/g;

function shortDigest(sri: string): string {
  return `${sri.slice(0, 14)}…${sri.slice(-4)}`;
}

/**
 * Texts of one message with their SHA-512 values in short form. The verdict never depends on what
 * people can tell apart, but two different digests that look alike would say that nothing is wrong:
 * fifty bits can be ground, and then all are shown in full.
 */
export function shortenDigests(texts: readonly string[]): readonly string[] {
  const full = new Set(texts.flatMap((text) => text.match(SRI) ?? []));
  if (new Set([...full].map(shortDigest)).size !== full.size) return texts;
  return texts.map((text) => text.replace(SRI, shortDigest));
}

// Between digits, where a multiple of three follows to the end.
const THOUSANDS = /\B(?=(?:[0-9]{3})+$)/g;

/**
 * A number of things (a whole number, 0 or more) as people read it: 1,043. Not `toLocaleString`, which has
 * Node load its tables of all the world's languages, for a tenth of the time of a whole run.
 */
export function formatCount(count: number): string {
  return String(count).replace(THOUSANDS, ',');
}

/** Columns that a text takes, colour codes not counted. Wide characters count as one. */
export function visibleLength(text: string): number {
  return text.replace(COLOR, '').length;
}

// Narrower terminals get long lines rather than a word on each.
const WIDTH_MIN = 40;

/**
 * Folds a line between words. Words, digests and addresses among them, are never broken, so that
 * they can be copied.
 *
 * @param width columns; `undefined` leaves the line whole
 * @param indent spaces before the second line and all after it
 */
export function wrapLine(
  line: string,
  width: number | undefined,
  indent: number,
): readonly string[] {
  if (width === undefined || width < WIDTH_MIN || visibleLength(line) <= width) return [line];
  const lead = /^ */.exec(line)?.[0] ?? '';
  const lines: string[] = [];
  let current = lead;
  // Runs of spaces are kept: they line up columns.
  for (const [word] of line.slice(lead.length).matchAll(/\S+\s*/g)) {
    const isEmpty = current.trim() === '';
    if (!isEmpty && visibleLength(current + word.trimEnd()) > width) {
      lines.push(current.trimEnd());
      current = ' '.repeat(indent);
    }
    current += word;
  }
  return [...lines, current.trimEnd()];
}
