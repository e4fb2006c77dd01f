// From a tarball's bytes to what may be said about it: a safe archive of exactly one package, whose
// package.json says what was signed, and a list of what a reviewer should know.
import { VerifyError, quote } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { describeManifestDifference, manifestOf } from '../npm/manifest.ts';
import { parsePackageJson } from '../npm/package-json.ts';
import { findingsOf } from './findings.ts';
import type { Finding } from './findings.ts';
import { openTarball } from './gzip.ts';
import type { Gunzip } from './gzip.ts';
import { unsafeArchive } from './header.ts';
import { foldPath } from './paths.ts';
import { readArchive } from './tar.ts';
import type { Archive, ArchiveFile } from './tar.ts';

/** What a signed statement says about a tarball. */
export interface ExpectedPackage {
  readonly name: string;
  readonly version: string;
  /** As computed by `manifestOf`. */
  readonly manifest: JsonObject;
}

/** A tarball that was checked. */
export interface ArchiveListing extends Archive {
  /** The decompressed archive that the files' offsets point into. */
  readonly archive: Uint8Array;
  /** Content of the package.json that counts. */
  readonly packageJson: Uint8Array;
  /** Name and version that package.json states, not checked to be ones that npm accepts. */
  readonly name: string;
  readonly version: string;
  readonly manifest: JsonObject;
  /** What deserves a look, in alphabetical order of kinds, then paths. */
  readonly findings: readonly Finding[];
}

/**
 * Checks a tarball. Its digest has been compared already, or is what the caller wants to sign.
 *
 * @param bytes    the whole tarball as it was received
 * @param expected what the statement says; left out by whoever is about to write the statement
 * @throws {VerifyError} `ARCHIVE_UNSAFE` when unpacking it could do harm or could mean different
 *         things to different programs; `MANIFEST_MALFORMED` when its package.json is not one;
 *         `MANIFEST_MISMATCH` when it is not the package that is expected
 */
export async function checkTarball(
  bytes: Uint8Array,
  gunzip: Gunzip,
  expected?: ExpectedPackage,
): Promise<ArchiveListing> {
  const archive = await openTarball(bytes, gunzip);
  const { root, files } = readArchive(archive);

  // The table of paths let one spelling through at most, so this one is the only candidate.
  const file = files.find(({ path }) => path === 'package.json');
  if (file === undefined) throw unsafeArchive('no package.json in the root folder');
  const packageJson = archive.subarray(file.offset, file.offset + file.size);
  const { name, version, document } = readPackageJson(packageJson);
  const manifest = manifestOf(
    document,
    hasRootFile(files, 'binding.gyp'),
    hasRootFile(files, 'npm-shrinkwrap.json'),
  );
  const findings = findingsOf(files, manifest);
  if (expected !== undefined) compare({ name, version, manifest }, expected);
  return { root, files, archive, packageJson, name, version, manifest, findings };
}

/** Malformed JSON is one more way in which package.json can be malformed. */
function readPackageJson(bytes: Uint8Array): ReturnType<typeof parsePackageJson> {
  try {
    return parsePackageJson(bytes);
  } catch (cause) {
    if (!(cause instanceof VerifyError)) throw cause;
    throw new VerifyError('MANIFEST_MALFORMED', `package.json: ${cause.message}`, { cause });
  }
}

/** Whether there is such a file, also for a file system that ignores case. */
function hasRootFile(files: readonly ArchiveFile[], name: string): boolean {
  return files.some(({ path }) => path.length === name.length && foldPath(path) === name);
}

function compare(found: ExpectedPackage, expected: ExpectedPackage): void {
  for (const field of ['name', 'version'] as const) {
    if (found[field] === expected[field]) continue;
    throw mismatch(field, quote(found[field]), quote(expected[field]));
  }
  const difference = describeManifestDifference(found.manifest, expected.manifest);
  if (difference !== undefined) throw mismatch(quote(difference));
}

function mismatch(field: string, found?: string, expected?: string): VerifyError {
  const detail =
    found === undefined || expected === undefined ? '' : `: ${found} is not the signed ${expected}`;
  return new VerifyError(
    'MANIFEST_MISMATCH',
    `package.json in the tarball differs from the signed statement in ${field}${detail}`,
    found === undefined || expected === undefined ? {} : { found, expected },
  );
}
