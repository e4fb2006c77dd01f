// Reads releases out of the store for the registry view.
import { encodeHex } from '../../verifier/encoding.ts';
import { parseEntry } from '../../verifier/entry.ts';
import { assert } from '../../verifier/errors.ts';
import { parseRelease } from '../../verifier/statements/release.ts';
import type { PackageRow, Store } from '../store/store.ts';
import type { LoggedRelease, PackageReleases } from '../../verifier/npm/packument.ts';

/** Most versions in one packument: npm's largest have a few thousand. The newest are kept. */
export const VERSIONS_MAX = 10_000;

/** Releases read before others get a turn, votes among them: a few milliseconds. */
const RELEASES_PER_TURN = 32;

/** The active releases of a package as its records give them; `undefined` when it has none. */
export async function readPackage(
  store: Pick<Store, 'entry'>,
  row: PackageRow,
): Promise<PackageReleases | undefined> {
  const { name } = row;
  const active = row.versions.filter(({ record }) => record.status === 'active');
  const releases: LoggedRelease[] = [];
  for (const { version, record } of active.slice(-VERSIONS_MAX)) {
    releases.push(await readRelease(store, name, version, record.index));
    if (releases.length % RELEASES_PER_TURN === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  if (releases.length === 0) return undefined;
  return { name, latest: row.record.latest, releases };
}

/** The release in a leaf. */
export async function readRelease(
  store: Pick<Store, 'entry'>,
  name: string,
  version: string,
  index: number,
): Promise<LoggedRelease> {
  const data = await store.entry(index);
  assert(data !== undefined, 'the log holds each leaf that a record names');
  const entry = parseEntry(data);
  assert(entry.kind === 'release', 'a release record names a release entry');
  const subject = parseRelease(entry.envelope.payload).subjects.find(
    (candidate) => candidate.name === name && candidate.version === version,
  );
  assert(subject !== undefined, 'a release record names the entry that releases it');
  return { subject, loggedAt: entry.time };
}

/** Digest of a version's tarball; `undefined` when it is unknown or revoked. */
export async function readTarballDigest(
  store: Pick<Store, 'entry' | 'release'>,
  name: string,
  version: string,
): Promise<string | undefined> {
  const record = await store.release(name, version);
  // A yanked version is still served: lockfiles that name it go on working (DESIGN 4.4).
  if (record === undefined || record.status === 'revoked') return undefined;
  const { subject } = await readRelease(store, name, version, record.index);
  return encodeHex(subject.sha512);
}
