// The programs of a package, as npm links them (`normalizePackageBin` of @npmcli/package-json 7).
// What is linked decides what runs when somebody types a name, so it is part of the manifest.
import { quote } from '../errors.ts';
import type { JsonObject, JsonValue } from '../json.ts';
import { isAbsent, malformed, readStrings, readTable } from './package-json.ts';

const PATH_LENGTH_MAX = 1024;
// Control characters would be written to terminals by whoever lists the links.
const CONTROL_CHARACTERS = /\p{Cc}/u;

/**
 * Reads `bin` in its three forms (a text, a list, a table) as a table from the name that is linked
 * to the path of the file, relative to the package's root.
 *
 * @throws {VerifyError} `MANIFEST_MALFORMED`
 */
export function linkedPrograms(packageJson: JsonObject): JsonObject {
  const value = packageJson['bin'];
  if (isAbsent(value)) return {};
  const programs: [string, JsonValue][] =
    typeof value === 'string'
      ? [[ownName(packageJson), value]]
      : Array.isArray(value)
        ? readStrings(value, 'bin', PATH_LENGTH_MAX).map((path) => [path, path])
        : Object.entries(readTable(value, 'bin'));

  const linked: Record<string, string> = {};
  for (const [key, target] of programs) {
    // npm links `@scope/name` and `some/name` as `name`.
    const name = relativePath(key, 'a name in bin').split('/').at(-1) ?? '';
    // The reader lets no such key through, but the last segment of one may still be it.
    if (name === '__proto__') throw malformed('bin names "__proto__"');
    // `{"a/x": …, "b/x": …}`: which one would win depends on the order of the keys.
    if (Object.hasOwn(linked, name)) throw malformed(`bin has ${quote(name)} twice`);
    linked[name] = relativePath(target, `bin of ${quote(name)}`);
  }
  return linked;
}

function ownName(packageJson: JsonObject): string {
  const name = packageJson['name'];
  if (typeof name !== 'string')
    throw malformed('bin is a text, but there is no name to link it as');
  return name;
}

/**
 * A path below the package's root without `.`, `..`, doubled slashes or backslashes: what npm makes
 * of it, with ways up ending at the root.
 *
 * @throws {VerifyError} `MANIFEST_MALFORMED` when it isn't a text or nothing is left of it
 */
export function relativePath(value: JsonValue, field: string): string {
  if (typeof value !== 'string' || value.length > PATH_LENGTH_MAX) {
    throw malformed(`${field} is not a short text`);
  }
  const segments: string[] = [];
  for (const segment of value.split(/[/\\:]/)) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  const path = segments.join('/');
  if (path === '' || CONTROL_CHARACTERS.test(path)) {
    throw malformed(`${field} is ${quote(value)}, which is no path to a file`);
  }
  return path;
}
