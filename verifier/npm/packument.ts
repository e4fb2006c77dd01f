// An npm registry's documents, made from the log alone: what maintainers signed, nothing that a
// registry could add. Withdrawn versions are not listed, so that resolvers don't choose them. Replicas
// serve such documents, and so does the client's own proxy, from what it has verified.
import { assert } from '../errors.ts';
import { isoTime } from '../iso-time.ts';
import type { JsonObject, JsonValue } from '../json.ts';
import { formatSri } from './integrity.ts';
import { parsePackageName } from './name.ts';
import { compareVersions, isPrerelease, parseVersion } from './version.ts';

/** Media type by which installers ask for the short form. */
export const ABBREVIATED_TYPE = 'application/vnd.npm.install-v1+json';

/** What a packument says of one release. */
export interface ListedRelease {
  readonly name: string;
  readonly version: string;
  /** Digest of the tarball, 64 bytes. */
  readonly sha512: Uint8Array;
  /** As computed by `manifestOf`. */
  readonly manifest: JsonObject;
}

/** A release as the log has it. */
export interface LoggedRelease {
  readonly subject: ListedRelease;
  /** Agreed time of its batch, Unix seconds. */
  readonly loggedAt: number;
}

/** What a packument is made of. */
export interface PackageReleases {
  readonly name: string;
  /** Version that `latest` stands for; `null` when there is none. */
  readonly latest: string | null;
  /** Active releases, in any order; at least one. */
  readonly releases: readonly LoggedRelease[];
}

/**
 * Makes a packument.
 *
 * @param registryUrl address that tarballs are served under, without a final slash
 * @param form `abbreviated` leaves out what only people read
 */
export function makePackument(
  source: PackageReleases,
  registryUrl: string,
  form: 'full' | 'abbreviated',
): JsonObject {
  const { name, latest } = source;
  const releases = [...source.releases].sort((a, b) =>
    compareVersions(a.subject.version, b.subject.version),
  );
  assert(releases.length > 0, 'a packument lists at least one version');
  const modified = isoTime(Math.max(...releases.map(({ loggedAt }) => loggedAt)));
  const created = isoTime(Math.min(...releases.map(({ loggedAt }) => loggedAt)));
  const versions = releases.map(({ subject }): [string, JsonObject] => [
    subject.version,
    makeVersion(subject, registryUrl, form),
  ]);
  const times = releases.map(({ subject, loggedAt }): [string, JsonValue] => [
    subject.version,
    isoTime(loggedAt),
  ]);
  // `latest` may stand for a version that was withdrawn a moment ago or that a policy filters out; a tag
  // that leads nowhere makes installers fail in strange ways, so the newest listed one takes its place.
  const isListed = versions.some(([version]) => version === latest);
  const tag = isListed && latest !== null ? latest : newestOf(versions.map(([version]) => version));
  return {
    name,
    modified,
    'dist-tags': { latest: tag },
    // Age gates of pnpm and yarn need the times in the short form as well.
    time: { created, modified, ...Object.fromEntries(times) },
    versions: Object.fromEntries(versions),
    ...(form === 'full' ? { _id: name } : {}),
  };
}

function makeVersion(
  subject: ListedRelease,
  registryUrl: string,
  form: 'full' | 'abbreviated',
): JsonObject {
  const { name, version, manifest } = subject;
  const { hasShrinkwrap, scripts, ...rest } = manifest;
  return {
    ...rest,
    ...(form === 'full' && scripts !== undefined ? { scripts } : {}),
    ...(form === 'full' ? { _id: `${name}@${version}` } : {}),
    ...(hasShrinkwrap === true ? { _hasShrinkwrap: true } : {}),
    // Last, so that no field of the manifest can replace them.
    name,
    version,
    dist: {
      integrity: formatSri(subject.sha512),
      tarball: tarballUrl(registryUrl, name, version),
    },
  };
}

/** Where npm looks for a tarball: `<registry>/<name>/-/<base>-<version>.tgz`. */
export function tarballUrl(registryUrl: string, name: string, version: string): string {
  return `${registryUrl}/${name}/-/${parsePackageName(name).base}-${version}.tgz`;
}

// Prereleases are for those who ask for them by range or version.
function newestOf(rising: readonly string[]): string | null {
  const stable = rising.findLast((version) => !isPrerelease(parseVersion(version)));
  return stable ?? rising.at(-1) ?? null;
}
