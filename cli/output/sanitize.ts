// Text that strangers wrote (package names, reasons, labels, error messages of replicas) reaches the
// terminal only through here: escape sequences could rewrite what the user sees, bidi marks could
// reorder it, and line breaks could forge whole report lines. Build servers read what is printed as well,
// and do what it says: GitHub's runner on lines that start with `::` and wherever `##[` stands, Azure's
// wherever `##vso[` does (it puts folders of the repository in front of PATH, for example), TeamCity's
// on `##teamcity[`.

// C0 and C1 controls, soft hyphen, Arabic letter mark, zero-width and bidi marks, line and paragraph
// separators, invisible operators, variation tags, byte order mark, interlinear anchors, tag characters.
const UNPRINTABLE =
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|[\ud800-\udfff]/gu;

// Blanks before `::` are skipped by the runner that looks for it.
const LINE_COMMAND = /^(\s*):(?=:)/;
const COMMAND = /##(?=[A-Za-z]{0,16}\[)/g;

const LENGTH_MAX = 400;

function escapeCharacter(character: string): string {
  const code = (character.codePointAt(0) ?? 0).toString(16);
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, '0')}`;
}

/**
 * One line of text with everything invisible or moving spelled out, and whatever a build server would take for a
 * command; cut at `lengthMax` characters.
 */
export function printable(text: string, lengthMax: number = LENGTH_MAX): string {
  const escaped = text
    .replace(UNPRINTABLE, escapeCharacter)
    .replace(COMMAND, '#\\u0023')
    .replace(LINE_COMMAND, '$1\\u003a');
  return escaped.length > lengthMax ? `${escaped.slice(0, lengthMax - 1)}…` : escaped;
}

/**
 * JSON text whose strings hold no unprintable character either, and nothing that a build server obeys: they
 * interpret them in a JSON document as well as anywhere else. The result means the same value.
 */
export function printableJson(value: unknown): string {
  return JSON.stringify(value, null, 2)
    .replace(UNPRINTABLE, (character) =>
      character === '\n' ? character : escapeForJson(character),
    )
    .replace(COMMAND, '#\\u0023');
}

/** As {@link printableJson}, on one line. */
export function printableJsonLine(value: unknown): string {
  return JSON.stringify(value).replace(UNPRINTABLE, escapeForJson).replace(COMMAND, '#\\u0023');
}

function escapeForJson(character: string): string {
  return [...Array(character.length).keys()]
    .map((i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`)
    .join('');
}
