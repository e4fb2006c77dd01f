// Where Node finds a package in nested folders.

/** What all folders of packages are called. */
export const MODULES = 'node_modules/';

/**
 * The key under which a node finds a package, as Node looks it up: in node_modules of its folder, then of
 * each folder around it.
 *
 * @param has whether the lockfile has a key
 */
export function lookUp(
  node: string,
  name: string,
  has: (key: string) => boolean,
): string | undefined {
  for (let at = node; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
    const candidate = at === '' ? `${MODULES}${name}` : `${at}/${MODULES}${name}`;
    if (has(candidate)) return candidate;
    if (at === '') return undefined;
  }
}
