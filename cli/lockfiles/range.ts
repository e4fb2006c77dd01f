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

/**
 * Whether a range chooses among what a registry has: a version, a range, a tag, or an alias of such. npm takes `x.tgz`
 * for a file, `a/b` for a repository, and whatever has a colon for an address. An alias may only name a package of the
 * registry; npm refuses others.
 */
export function isRegistryRange(range: string): boolean {
  const plain = range.trim().replace(/^npm:(?:@[^@/\s]+\/)?/i, '');
  return !/[:/\\]|^\.|\.(?:tgz|tar|tar\.gz)$/i.test(plain);
}

/** What stands for a range that is elsewhere, or for the sources of the project itself. */
const ELSEWHERE = /^(?:catalog|workspace|patch):/i;

/** Whether a range names a source that no release of a registry is: a repository, a URL, a file or folder. */
export function isAddress(range: string): boolean {
  return !isRegistryRange(range) && !ELSEWHERE.test(range.trim());
}
