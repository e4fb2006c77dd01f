// Package URLs of npm packages, in their one canonical spelling. A purl is the identity of a subject
// in signed statements, so a second spelling of one name would be a second subject: everything that
// doesn't re-encode to itself is refused, though the purl specification allows more.
import { VerifyError, quote } from '../errors.ts';
import { PACKAGE_NAME_LENGTH_MAX, parsePackageName } from './name.ts';
import { VERSION_LENGTH_MAX, parseVersion } from './version.ts';

const PREFIX = 'pkg:npm/';
/** Prefix, escaped `@`, name, `@`, version. */
export const PURL_LENGTH_MAX: number =
  PREFIX.length + 2 + PACKAGE_NAME_LENGTH_MAX + 1 + VERSION_LENGTH_MAX;

/** What a purl of ours can name. */
export type Purl =
  | { readonly kind: 'package'; readonly name: string }
  | { readonly kind: 'release'; readonly name: string; readonly version: string };

/**
 * `pkg:npm/name` or `pkg:npm/%40scope/name`. No other character of a valid name needs an escape.
 *
 * @throws {VerifyError} `PACKAGE_NAME_INVALID`
 */
export function packagePurl(name: string): string {
  const { scope, base } = parsePackageName(name);
  return scope === undefined ? `${PREFIX}${base}` : `${PREFIX}%40${scope}/${base}`;
}

/**
 * `pkg:npm/name@version`. No character of a valid version needs an escape.
 *
 * @throws {VerifyError} `PACKAGE_NAME_INVALID`, `VERSION_INVALID`
 */
export function releasePurl(name: string, version: string): string {
  parseVersion(version);
  return `${packagePurl(name)}@${version}`;
}

/**
 * Reads a purl of a package or of a release. No qualifiers, no subpath, no other spelling.
 *
 * @throws {VerifyError} `PACKAGE_NAME_INVALID`, `VERSION_INVALID`
 */
export function parsePurl(text: string): Purl {
  if (text.length > PURL_LENGTH_MAX || !text.startsWith(PREFIX)) {
    throw new VerifyError('PACKAGE_NAME_INVALID', `${quote(text)} is not an npm package URL`);
  }
  const rest = text.slice(PREFIX.length);
  const at = rest.indexOf('@');
  const path = at < 0 ? rest : rest.slice(0, at);
  // Only `%40` is undone, and only in front; any other escape fails the grammar of names. A bare
  // `@scope` can't come through here: its `@` was taken for the one before the version.
  const name = path.startsWith('%40') ? `@${path.slice(3)}` : path;
  if (at < 0) {
    parsePackageName(name);
    return { kind: 'package', name };
  }
  const version = rest.slice(at + 1);
  parsePackageName(name);
  parseVersion(version);
  return { kind: 'release', name, version };
}
