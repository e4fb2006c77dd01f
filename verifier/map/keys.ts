// Where a package and a release stand in the map (DESIGN section 4.6). Hashing spreads the keys
// evenly, so that no choice of names can make the trie deep for others.
import { utf8 } from '../bytes.ts';
import { sha256 } from '../sha256.ts';

/** The key of a package's record: SHA-256 of `package/<name>`. */
export function packageKey(name: string): Uint8Array {
  return sha256(utf8(`package/${name}`));
}

/**
 * The key of a release's record: SHA-256 of `release/<name>@<version>`. A name has an `@` at its
 * beginning at most and a version has none, so the text can be read in one way only.
 */
export function releaseKey(name: string, version: string): Uint8Array {
  return sha256(utf8(`release/${name}@${version}`));
}
