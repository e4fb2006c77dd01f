// Paths of an archive: which are allowed, and which would be one file on some system. The rules are
// those of the strictest system a package may be unpacked on, since it is signed once for all.
import { utf8 } from '../bytes.ts';
import { unsafeArchive } from './header.ts';
import { PATH_BYTES_MAX, PATH_DEPTH_MAX } from './limits.ts';

/**
 * Characters that a path may have: printable ASCII but `:` (drives and streams on Windows) and the
 * backslash (a separator there), and letters and signs of the scripts in everyday use.
 *
 * The list is written out, and every code point in it has been assigned for long, on purpose. Case
 * folding and composition of a code point can change only until Unicode assigns it; with the rest
 * allowed, replicas with different Unicode tables could disagree on whether two paths collide, and
 * one package could split their votes. It also leaves out what can't be seen: control characters
 * (a newline in a path has forged lines of many a report), joiners, direction marks.
 */
const ALLOWED_PATTERN: RegExp = new RegExp(
  '^[' +
    [
      '\\u0020-\\u0039\\u003b-\\u005b\\u005d-\\u007e', // ASCII
      '\\u00a1-\\u00ac\\u00ae-\\u036f', // Latin, combining marks
      '\\u0384-\\u038a\\u038c\\u038e-\\u03a1\\u03a3-\\u03ff', // Greek
      '\\u0400-\\u052f', // Cyrillic
      '\\u0531-\\u0556\\u0561-\\u0586', // Armenian
      '\\u05b0-\\u05c7\\u05d0-\\u05ea', // Hebrew
      '\\u0620-\\u065f\\u0660-\\u06dc', // Arabic
      '\\u0900-\\u097f', // Devanagari
      '\\u0e01-\\u0e3a\\u0e40-\\u0e5b', // Thai
      '\\u10d0-\\u10fa\\u1100-\\u115e\\u1161-\\u11ff', // Georgian, Hangul in parts
      '\\u1e00-\\u1eff', // Latin with marks
      '\\u2010-\\u2027\\u2030-\\u205e', // punctuation
      '\\u20a0-\\u20bf\\u2100-\\u218b', // currencies, letter-like signs
      '\\u2190-\\u23ff\\u2460-\\u27bf', // arrows, mathematics, shapes
      '\\u3001-\\u303f\\u3041-\\u3096\\u3099-\\u30ff', // Japanese
      '\\u3400-\\u4dbf\\u4e00-\\u9fef', // Chinese
      '\\uac00-\\ud7a3', // Hangul
      '\\uff01-\\uff5e', // full-width forms
      '\\u{1f300}-\\u{1f64f}\\u{1f680}-\\u{1f6c5}\\u{1f900}-\\u{1f9ff}', // emoji
      '\\u{20000}-\\u{2a6d6}', // rare Chinese
    ].join('') +
    ']*$',
  'u',
);
const IGNORED_AT_END = /[. ]$/;
// Nearly all paths: of them composition changes nothing, and asking for it is what takes the time.
const ASCII_PATTERN = /^[ -~]*$/;

/**
 * Checks a path and splits it.
 *
 * @returns its segments, 1 to `PATH_DEPTH_MAX`
 * @throws {VerifyError} `ARCHIVE_UNSAFE`
 */
export function splitPath(path: string): readonly string[] {
  // A character has three bytes at most, one outside of the plane four for its two.
  if (3 * path.length > PATH_BYTES_MAX && utf8(path).length > PATH_BYTES_MAX) {
    throw unsafeArchive(`a path of more than ${PATH_BYTES_MAX} bytes`, path);
  }
  if (!ALLOWED_PATTERN.test(path)) throw unsafeArchive('a character that is not allowed', path);
  const segments = path.split('/');
  if (segments.length > PATH_DEPTH_MAX) {
    throw unsafeArchive(`more than ${PATH_DEPTH_MAX} folders deep`, path);
  }
  for (const segment of segments) {
    // An empty one is an absolute path, or a doubled slash that some readers drop.
    if (segment === '') throw unsafeArchive('an empty part of a path', path);
    if (segment === '.' || segment === '..') throw unsafeArchive('a path that moves about', path);
    // Windows drops these at the end: `package.json.` would be written over `package.json`.
    if (IGNORED_AT_END.test(segment))
      throw unsafeArchive('a part that ends in a dot or space', path);
  }
  return segments;
}

/**
 * A form in which paths are equal that some file system takes for one: letter case and the ways to
 * compose a character are folded.
 */
export function foldPath(path: string): string {
  if (ASCII_PATTERN.test(path)) return path.toLowerCase();
  // Through upper case first: it brings together what has one capital, like the two forms of sigma.
  return path.toUpperCase().toLowerCase().normalize('NFC');
}

/** The files and folders of an archive, none of which may be another's namesake. */
export class PathTable {
  readonly #taken = new Map<string, string>();

  /**
   * Takes a place for a file, and its folders.
   *
   * @throws {VerifyError} `ARCHIVE_UNSAFE` when it is taken, or a folder is a file, or a folder
   *         already exists in other letters
   */
  addFile(segments: readonly string[]): void {
    this.addFolder(segments.slice(0, -1));
    const path = segments.join('/');
    const folded = foldPath(path);
    const before = this.#taken.get(folded);
    // Of two files with one name the last one wins with npm, the first one with others.
    if (before !== undefined) throw unsafeArchive('a second entry of this name', path);
    if (this.#taken.has(`${folded}/`)) throw unsafeArchive('a file and a folder', path);
    this.#taken.set(folded, path);
  }

  /** Takes places for a folder and those above it; the same folder may come again. */
  addFolder(segments: readonly string[]): void {
    // From the innermost: mostly it is known already, and then so are those above it.
    for (let depth = segments.length; depth > 0; depth--) {
      const path = `${segments.slice(0, depth).join('/')}/`;
      const folded = foldPath(path);
      const before = this.#taken.get(folded);
      if (before === path) return;
      if (before !== undefined) throw unsafeArchive('a folder that differs in case only', path);
      if (this.#taken.has(folded.slice(0, -1))) throw unsafeArchive('a file and a folder', path);
      this.#taken.set(folded, path);
    }
  }
}
