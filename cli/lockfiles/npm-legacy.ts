// The part of a package-lock.json that npm 6 reads. npm 7 and later install what `packages` says and write the same
// once more as `dependencies`, in another shape, for npm 6, which reads nothing else. Whoever edits one of the two has
// two people install two things from one file that was verified. So both have to say the same.
import { quote } from '../../verifier/errors.ts';
import type { JsonValue } from '../../verifier/json.ts';
import { CliError } from '../errors.ts';
import { asTable, asTexts, sourceOf, type Table } from './classify.ts';
import { lookUp } from './look-up.ts';
import { bounded } from './lockfile.ts';
import { parseRange } from './range.ts';

/** As many as are named: the first one is enough to look at the file again. */
const NAMED_MAX = 5;

/** The place in the tree at which an entry of the old part is installed. */
interface LegacyPlace {
  readonly key: string;
  readonly name: string;
  readonly entry: Table | undefined;
}

/**
 * Requires that both parts of a lockfile say the same, if it has both.
 *
 * @param root     the whole document
 * @param packages its `packages`
 * @throws {CliError} BP9005
 */
export function requireOneStory(root: Table, packages: Table, path: string): void {
  // Without it npm 6 chooses by itself, as it does with version 3: it finds nothing that it believes.
  if (root['dependencies'] === undefined) return;
  const problems: (readonly [key: string, problem: string])[] = [];
  const met = new Set<string>();
  const queue: LegacyPlace[] = placesIn(root['dependencies'], '', path);
  // It grows while it is walked.
  for (const place of queue) {
    met.add(place.key);
    const problem = differenceOf(place, packages);
    if (problem !== undefined) problems.push([place.key, problem]);
    const folder = linkOf(asTable(packages[place.key])) ?? place.key;
    queue.push(...placesIn(place.entry?.['dependencies'], folder, path));
  }
  for (const key of Object.keys(packages)) {
    // Folders of the project have no place of their own there, nor has a link back to one that it lies in.
    const isInstalled = /(?:^|\/)node_modules\//.test(key);
    if (!isInstalled || met.has(key) || asTable(packages[key])?.['link'] === true) continue;
    problems.push([key, 'is missing there']);
  }
  if (problems.length === 0) return;
  throw new CliError(
    'BP9005',
    `${path}: its part for npm 6 (dependencies) says something else than packages`,
    {
      details: [
        ...problems.slice(0, NAMED_MAX),
        ...(problems.length > NAMED_MAX
          ? [['and', `${problems.length - NAMED_MAX} more`] as const]
          : []),
      ],
      hints: [
        'look at who changed it; npm install --package-lock-only writes that part anew',
        'without it, and without npm 6: npm install --package-lock-only --lockfile-version 3',
      ],
    },
  );
}

/** The folder that a link leads to. */
function linkOf(entry: Table | undefined): string | undefined {
  const target = entry?.['link'] === true ? entry['resolved'] : undefined;
  return typeof target === 'string' ? target : undefined;
}

function placesIn(value: JsonValue | undefined, folder: string, path: string): LegacyPlace[] {
  if (value === undefined) return [];
  const table = asTable(value);
  if (table === undefined) throw new CliError('BP9005', `${path}: dependencies is not an object`);
  return Object.keys(table).map((name) => ({
    key: bounded(folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`, path),
    name,
    entry: asTable(table[name]),
  }));
}

/** What npm 6 would install otherwise at a place. */
function differenceOf({ key, name, entry }: LegacyPlace, packages: Table): string | undefined {
  const other = asTable(packages[key]);
  if (other === undefined) return 'is only there';
  if (entry === undefined) return 'is not an object there';
  const { version, resolved } = other;
  const folder = linkOf(other);
  if (folder !== undefined) {
    // Where a link leads to nothing in the file, it is refused as such.
    if (entry['version'] !== `file:${folder}`) return said('version', entry['version']);
    const where = fieldOf(entry, ['resolved', 'from', 'integrity', 'bundled']);
    return where ?? edgeOf(entry, folder, asTable(packages[folder]), packages);
  }
  const real = typeof other['name'] === 'string' ? other['name'] : name;
  const isOfRegistry = sourceOf(resolved).problem === undefined;
  const isAlias = real !== name && typeof version === 'string';
  const expected = isAlias ? `npm:${real}@${version}` : version;
  // npm writes the address as the version of what is no registry's.
  const isSame = entry['version'] === expected || (!isOfRegistry && entry['version'] === resolved);
  if (!isSame) return said('version', entry['version']);
  if (entry['integrity'] !== other['integrity']) return said('integrity', entry['integrity']);
  const bundled = entry['bundled'];
  const isInside = other['inBundle'] === true && other['integrity'] === undefined;
  const isAgreed =
    bundled === true ? other['inBundle'] === true : bundled === undefined && !isInside;
  if (!isAgreed) return said('bundled', bundled);
  // Without a digest of the same bytes, these say where npm 6 gets them from.
  const isBound = typeof other['integrity'] === 'string';
  const where = isBound || !isOfRegistry ? undefined : fieldOf(entry, ['resolved', 'from']);
  return where ?? edgeOf(entry, key, other, packages);
}

function fieldOf(entry: Table, names: readonly string[]): string | undefined {
  const name = names.find((each) => entry[each] !== undefined);
  return name === undefined ? undefined : said(name, entry[name]);
}

// npm 6 believes `requires` instead of reading package.json, and fetches what it doesn't find. A version that is there
// is no reason to: overrides are written with the range that they put in place of another.
function edgeOf(
  entry: Table,
  folder: string,
  other: Table | undefined,
  packages: Table,
): string | undefined {
  for (const [name, range] of asTexts(entry['requires'])) {
    const stated = EDGE_FIELDS.flatMap((field) => asTable(other?.[field])?.[name] ?? []);
    // Paths are written as seen from the project.
    const isFile = range.startsWith('file:');
    const isStated = stated.some((each) => each === range || (isFile && isFileRange(each)));
    if (!isStated && (stated.length === 0 || !isThere(folder, name, range, packages))) {
      return said('requires', `${name}@${range}`);
    }
  }
  return undefined;
}

const EDGE_FIELDS = ['dependencies', 'optionalDependencies', 'devDependencies'] as const;

function isFileRange(value: JsonValue): boolean {
  return typeof value === 'string' && value.startsWith('file:');
}

/** Whether what a package finds under a name is what a range asks for. */
function isThere(folder: string, name: string, range: string, packages: Table): boolean {
  const found = lookUp(folder, name, (key) => Object.hasOwn(packages, key));
  const entry = found === undefined ? undefined : asTable(packages[found]);
  const [, real = name, plain = range] = /^npm:(@?[^@]+)@(.*)$/s.exec(range) ?? [];
  const version = entry?.['version'];
  if (typeof version !== 'string' || (entry?.['name'] ?? name) !== real) return false;
  return parseRange(plain)?.test(version) === true;
}

function said(field: string, value: JsonValue | undefined): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text === undefined
    ? `has no ${field} there`
    : `has another ${field} there: ${quote(text)}`;
}
