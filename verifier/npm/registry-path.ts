// The addresses of npm's registry protocol. Names of packages are checked before anything is looked up.
import { isPackageName, parsePackageName } from './name.ts';
import { isVersion } from './version.ts';

/** What an address asks for. */
export type RegistryPath =
  | { readonly kind: 'packument'; readonly name: string }
  | { readonly kind: 'tarball'; readonly name: string; readonly version: string };

/** Longest address, characters: a scoped name and a version, escaped. */
const PATH_LENGTH_MAX = 1024;

/**
 * Reads the part of an address behind the registry's own.
 *
 * Accepts `name`, `@scope%2fname` (npm), `@scope/name` (people), and either followed by
 * `/-/<base>-<version>.tgz`.
 *
 * @param path raw, as in the request line, without a slash in front and without a query
 * @returns `undefined` for anything else
 */
export function parseRegistryPath(path: string): RegistryPath | undefined {
  if (path.length > PATH_LENGTH_MAX) return undefined;
  // The only escapes that a valid name or version can need: nothing else is undone, so that a path
  // has no second reading. `%2B` does not occur, since versions here have no build metadata.
  const plain = path.replace(/^%40/, '@').replace(/^(@[^/%]*)%2[fF]/, '$1/');
  const [name = '', file, ...others] = plain.split('/-/');
  if (others.length > 0 || !isPackageName(name)) return undefined;
  if (file === undefined) return { kind: 'packument', name };
  const prefix = `${parsePackageName(name).base}-`;
  if (!file.startsWith(prefix) || !file.endsWith('.tgz')) return undefined;
  const version = file.slice(prefix.length, -'.tgz'.length);
  return isVersion(version) ? { kind: 'tarball', name, version } : undefined;
}
