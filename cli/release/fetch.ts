// Tarballs from the replicas: verified ones of releases in the log, and those of releases that are still
// being signed, of which only the digest is known.
import { join } from 'node:path';

import { checkTarball, type ArchiveListing } from '../../verifier/archive/tarball.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import type { VerifiedRelease } from '../../verifier/evidence/subject.ts';
import { gunzip } from '../../verifier/node/gunzip.ts';
import type { ReleaseSubject } from '../../verifier/statements/release.ts';
import { askUntilGood } from '../client/hedge.ts';
import type { Invocation } from '../context.ts';
import { CliError, UnreachableError } from '../errors.ts';
import { ArtifactStore, hasDigest } from '../npm/artifact-store.ts';
import { fetchArtifacts } from '../npm/fetch.ts';
import { diagnoseFailures } from '../output/diagnose.ts';
import type { LogSession } from '../session/log-session.ts';
import { cacheFolder } from '../trust/folders.ts';

/**
 * The contents of verified releases, by `name@version`.
 *
 * @throws {VerifyError} when somebody served other bytes and nobody the right ones
 * @throws {CliError} BP7001 when no replica could be reached for one
 */
export async function fetchListings(
  { context }: Invocation,
  session: LogSession,
  releases: readonly VerifiedRelease[],
): Promise<ReadonlyMap<string, ArchiveListing>> {
  const listings = new Map<string, ArchiveListing>();
  await fetchArtifacts(
    releases,
    {
      replicas: await session.readyFirst(),
      missed: new Map(),
      store: new ArtifactStore(join(cacheFolder(context.env), 'artifacts')),
      signal: context.signal,
      // Whoever sent other bytes was passed over; here the right ones are what matters.
      onFailure: () => undefined,
    },
    async (outcome) => {
      const { release } = outcome;
      const label = `${release.name}@${release.version}`;
      if (outcome.kind === 'refused') throw outcome.error;
      if (outcome.kind === 'unreachable') {
        const what = `${label}: no replica could be reached for its tarball`;
        const found = diagnoseFailures(what, outcome.failures, false);
        throw new CliError(found.code, found.message, { details: found.details });
      }
      listings.set(label, await checkTarball(outcome.bytes, gunzip, release));
    },
  );
  return listings;
}

/**
 * The tarball of a release that is not in the log yet, from whichever replica has it.
 *
 * @returns bytes with the digest that the statement names; `undefined` when nobody has them
 */
export async function fetchProposed(
  session: LogSession,
  { sha512, size }: Pick<ReleaseSubject, 'sha512' | 'size'>,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const hex = encodeHex(sha512);
  try {
    const { value } = await askUntilGood(
      await session.readyFirst(),
      async (replica, stop) => {
        const bytes = await replica.artifact(hex, size, stop);
        if (hasDigest(bytes, sha512)) return bytes;
        throw new VerifyError('INTEGRITY_MISMATCH', `${replica.url} serves other bytes`);
      },
      { signal },
    );
    return value;
  } catch (error) {
    if (error instanceof UnreachableError) return undefined;
    throw error;
  }
}
