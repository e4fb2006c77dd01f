// Packages that come inside of another package's tarball. A lockfile lists them without a digest, because
// the tarball around them has one; so somebody who edits a lockfile could call anything bundled, and npm
// would fetch what it doesn't find in the tarball by name (tried). Here the list is compared with the
// files of the verified tarball, and what npm is told about a bundled package is read from there.
import type { ArchiveListing } from '../../verifier/archive/tarball.ts';
import { quote, VerifyError } from '../../verifier/errors.ts';
import { parseForeignJson } from '../../verifier/foreign-json.ts';
import type { JsonObject, JsonValue } from '../../verifier/json.ts';
import { PACKAGE_JSON_BYTES_MAX } from '../../verifier/npm/package-json.ts';
import { asStrings, asTable, asTexts, type Table } from '../lockfiles/classify.ts';
import { lookUp } from '../lockfiles/look-up.ts';
import type { LockEntry } from './lockfile.ts';

/** A package inside of a tarball. */
export interface BundledPackage {
  /** Its folder below the tarball's root, like `node_modules/a/node_modules/@s/b`. */
  readonly folder: string;
  /** What npm reads of its package.json; `undefined` when that is no JSON object. */
  readonly manifest: JsonObject | undefined;
  /** Whether npm would build it although no script says so (`binding.gyp`). */
  readonly isBuiltByGyp: boolean;
}

/** By folder. */
export type BundleListing = ReadonlyMap<string, BundledPackage>;

/** More than the largest bundle there is (npm itself has about 200). */
const BUNDLED_MAX = 20_000;

// A folder of a package is `node_modules/<name>`, once or nested. What lies deeper is a package's own.
const PACKAGE_JSON =
  /^((?:node_modules\/(?:@[^/]+\/)?[^/@][^/]*\/)*node_modules\/(?:@[^/]+\/)?[^/@][^/]*)\/package\.json$/;

/** Lists the packages inside of a checked tarball. */
export function bundledIn(listing: ArchiveListing): BundleListing {
  const found = new Map<string, BundledPackage>();
  const paths = new Set(listing.files.map(({ path }) => path));
  for (const { path, offset, size } of listing.files) {
    const folder = PACKAGE_JSON.exec(path)?.[1];
    if (folder === undefined || found.size >= BUNDLED_MAX) continue;
    const bytes = listing.archive.subarray(offset, offset + size);
    const table = readTable(bytes);
    const isBuiltByGyp = paths.has(`${folder}/binding.gyp`) && table?.['gypfile'] !== false;
    const manifest = table === undefined ? undefined : manifestFrom(table);
    found.set(folder, { folder, manifest, isBuiltByGyp });
  }
  return found;
}

// Read as leniently as npm does: a bundled package was never checked by the rules for publishing.
function readTable(bytes: Uint8Array): Table | undefined {
  try {
    return asTable(parseForeignJson(bytes, { lengthMax: PACKAGE_JSON_BYTES_MAX }).value);
  } catch (error) {
    if (error instanceof VerifyError) return undefined;
    throw error;
  }
}

function manifestFrom(table: Table): JsonObject {
  const { name, version, bin, peerDependenciesMeta } = table;
  const texts = (field: string): JsonObject => Object.fromEntries(asTexts(table[field]));
  const fields: Record<string, JsonValue> = {
    dependencies: texts('dependencies'),
    optionalDependencies: texts('optionalDependencies'),
    peerDependencies: texts('peerDependencies'),
    peerDependenciesMeta: { ...asTable(peerDependenciesMeta) },
    bin:
      typeof bin === 'string' && typeof name === 'string' ? { [baseOf(name)]: bin } : texts('bin'),
    scripts: texts('scripts'),
    os: asStrings(table['os']),
    cpu: asStrings(table['cpu']),
  };
  return {
    ...(typeof name === 'string' ? { name } : {}),
    ...(typeof version === 'string' ? { version } : {}),
    ...Object.fromEntries(
      Object.entries(fields).filter(([, value]) => Object.keys(value ?? {}).length > 0),
    ),
  };
}

function baseOf(name: string): string {
  return name.split('/').at(-1) ?? name;
}

/** What a lockfile says is bundled, beside what is. */
export interface BundleJudgement {
  /** Why an entry is not what it is called; by key. */
  readonly problems: ReadonlyMap<string, string>;
  /** By key of the entry: its package.json from the tarball. */
  readonly manifests: ReadonlyMap<string, JsonObject>;
}

/**
 * Compares what a lockfile calls bundled in one package with that package's verified tarball.
 *
 * @param owner   key of the package's entry
 * @param entries all entries of the lockfile
 */
export function judgeBundle(
  owner: string,
  entries: readonly LockEntry[],
  bundle: BundleListing,
): BundleJudgement {
  const problems = new Map<string, string>();
  const manifests = new Map<string, JsonObject>();
  const keys = new Map(entries.map((entry) => [entry.key, entry]));
  for (const entry of entries) {
    if (entry.kind !== 'bundled' || entry.owner !== owner) continue;
    const inside = bundle.get(entry.key.slice(owner.length + 1));
    const problem = differenceOf(entry, inside);
    if (problem !== undefined || inside?.manifest === undefined) {
      problems.set(entry.key, problem ?? 'its package.json cannot be read');
      continue;
    }
    manifests.set(entry.key, inside.manifest);
    const missing = missingNeed(entry.key, inside.manifest, keys);
    if (missing !== undefined) {
      problems.set(
        entry.key,
        `it needs ${quote(missing)}, which neither the bundle nor the lockfile has: npm would fetch any`,
      );
    }
  }
  return { problems, manifests };
}

function differenceOf(entry: LockEntry, inside: BundledPackage | undefined): string | undefined {
  if (inside === undefined)
    return 'the lockfile calls it bundled, but the tarball has no such folder';
  const { manifest } = inside;
  if (manifest === undefined) return 'its package.json cannot be read';
  const { name, version } = manifest;
  if (name === entry.name && version === entry.version) return undefined;
  const found = [name, version].map((text) => (typeof text === 'string' ? text : '?')).join('@');
  return `the tarball has ${quote(found)} in this place`;
}

// The first dependency that nobody provides, as Node would look it up. npm asks the registry for it.
function missingNeed(
  key: string,
  manifest: JsonObject,
  keys: ReadonlyMap<string, LockEntry>,
): string | undefined {
  const optional = asTable(manifest['optionalDependencies']) ?? {};
  for (const [name] of asTexts(manifest['dependencies'])) {
    if (
      !Object.hasOwn(optional, name) &&
      lookUp(key, name, (place) => keys.has(place)) === undefined
    )
      return name;
  }
  return undefined;
}
