// Ranges of versions in lockfiles and package.json.
// One class, not the whole library: forty files less to load whenever `verify` starts.
import Range from 'semver/classes/range.js';

/** A range as npm reads it; `undefined` for a tag, an address or anything else. */
export function parseRange(text: string): Range | undefined {
  try {
    return new Range(text, { loose: true });
  } catch {
    return undefined;
  }
}
