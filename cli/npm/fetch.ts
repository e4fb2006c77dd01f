// Step 7 of DESIGN 7: bytes. Each tarball is asked for by the digest that was *verified* (never by name
// or by the lockfile's URL), read into memory whole, hashed, and checked by the archive rules before
// anything else sees a byte of it.
import { checkTarball, type ArchiveListing } from '../../verifier/archive/tarball.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import type { VerifiedRelease } from '../../verifier/evidence/subject.ts';
import type { Gunzip } from '../../verifier/archive/gzip.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { askUntilGood } from '../client/hedge.ts';
import type { ReplicaClient } from '../client/replica.ts';
import { TransportError, UnreachableError, type ReplicaFailure } from '../errors.ts';
import { sha512 } from '../../verifier/node/sha512.ts';
import { hasDigest, type ArtifactStore } from './artifact-store.ts';
import { inflateInTurn } from './inflation.ts';

// Enough to hide the latency of small files.
const PARALLEL_MAX = 16;
// Above this, tarballs are fetched one at a time, so that memory stays bounded by a few hundred MiB.
const LARGE_BYTES_MIN = 16 * 1024 * 1024;

/** A tarball that passed every check, or why there is none. */
export type FetchOutcome =
  | {
      readonly kind: 'checked';
      readonly release: VerifiedRelease;
      readonly bytes: Uint8Array;
      readonly listing: ArchiveListing;
    }
  | { readonly kind: 'refused'; readonly release: VerifiedRelease; readonly error: VerifyError }
  | {
      readonly kind: 'unreachable';
      readonly release: VerifiedRelease;
      readonly failures: readonly ReplicaFailure[];
    };

/** Where tarballs come from. */
export interface FetchSources {
  readonly replicas: readonly ReplicaClient[];
  readonly store: ArtifactStore;
  readonly signal: AbortSignal;
  /** How often a replica was not the one to give the answer that it was asked for first. */
  readonly missed: Map<string, number>;
  /** Told about every bad answer, also when another replica had the right bytes. */
  readonly onFailure: (failure: ReplicaFailure) => void;
}

/**
 * Fetches and checks tarballs; each outcome is handed to `take`, and its bytes are not kept here.
 */
export async function fetchArtifacts(
  releases: readonly VerifiedRelease[],
  sources: FetchSources,
  take: (outcome: FetchOutcome) => Promise<void>,
): Promise<void> {
  const small = releases.filter(({ size }) => size < LARGE_BYTES_MIN);
  const large = releases.filter(({ size }) => size >= LARGE_BYTES_MIN);
  for (const [queue, lanes] of [
    [small, PARALLEL_MAX],
    [large, 1],
  ] as const) {
    const waiting = [...queue.entries()];
    const lane = async (): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const [at, release] = next;
        await fetchOne(release, at, sources, take);
      }
    };
    await Promise.all(Array.from({ length: Math.min(lanes, queue.length) }, lane));
  }
}

/**
 * Fetches and checks one tarball.
 *
 * @param use gets it; what it returns may be without the contents, which must not be held for long
 */
export async function fetchArtifact<T>(
  release: VerifiedRelease,
  sources: FetchSources,
  use: (outcome: FetchOutcome) => T | Promise<T>,
): Promise<T> {
  return await fetchOne(release, 0, sources, use);
}

/** An outcome without the unpacked archive. */
export function withoutContents(outcome: FetchOutcome): FetchOutcome {
  if (outcome.kind !== 'checked') return outcome;
  const nothing = new Uint8Array();
  const listing = { ...outcome.listing, archive: nothing, packageJson: nothing, files: [] };
  return { ...outcome, listing };
}

/** An outcome without the tarball and what is in it. */
export function withoutBytes(outcome: FetchOutcome): FetchOutcome {
  const small = withoutContents(outcome);
  return small.kind === 'checked' ? { ...small, bytes: new Uint8Array() } : small;
}

async function fetchOne<T>(
  release: VerifiedRelease,
  at: number,
  sources: FetchSources,
  use: (outcome: FetchOutcome) => T | Promise<T>,
): Promise<T> {
  const found = await bytesOf(release, at, sources);
  if ('kind' in found) return await use(found);
  // Unpacked until it was used.
  return await inflateInTurn(found.bytes, async (inflate) => {
    return await use(await check(release, found, inflate, sources));
  });
}

/** Bytes with the digest of a release. */
interface Found {
  readonly bytes: Uint8Array;
  /** Whether this machine had them. */
  readonly isKept: boolean;
}

async function bytesOf(
  release: VerifiedRelease,
  at: number,
  sources: FetchSources,
): Promise<Found | Exclude<FetchOutcome, { readonly kind: 'checked' }>> {
  try {
    const kept = await sources.store.read(release.sha512);
    const bytes = kept ?? (await fetchBytes(release, at, sources));
    return { bytes, isKept: kept !== undefined };
  } catch (error) {
    if (error instanceof VerifyError) return { kind: 'refused', release, error };
    if (!(error instanceof UnreachableError)) throw error;
    // Wrong bytes from anybody, and the right ones from nobody: that is tampering, not silence.
    const wrong = error.failures.find(({ error: each }) => each instanceof VerifyError)?.error;
    if (wrong instanceof VerifyError) return { kind: 'refused', release, error: wrong };
    return { kind: 'unreachable', release, failures: error.failures };
  }
}

async function check(
  release: VerifiedRelease,
  { bytes, isKept }: Found,
  inflate: Gunzip,
  { store }: FetchSources,
): Promise<FetchOutcome> {
  try {
    // Only now a fact about the release: the bytes are the ones that the maintainers signed.
    const listing = await checkTarball(bytes, inflate, release);
    if (!isKept) await store.keep(release.sha512, bytes);
    return { kind: 'checked', release, bytes, listing };
  } catch (error) {
    if (error instanceof VerifyError) return { kind: 'refused', release, error };
    throw error;
  }
}

async function fetchBytes(
  release: VerifiedRelease,
  at: number,
  { replicas, signal, missed, onFailure }: FetchSources,
): Promise<Uint8Array> {
  // Each starts with another replica, so that the load is spread; those that hang, fail or lie are
  // asked last from then on.
  const first = replicas.length === 0 ? 0 : at % replicas.length;
  const misses = ({ url }: ReplicaClient): number => missed.get(url) ?? 0;
  const order = [...replicas.slice(first), ...replicas.slice(0, first)].toSorted(
    (a, b) => misses(a) - misses(b),
  );
  const hex = encodeHex(release.sha512);
  const answer = await askUntilGood(
    order,
    async (replica, stop) => {
      try {
        const bytes = await askOne(replica, hex, release, stop);
        requireDigest(bytes, release, replica.url);
        return bytes;
      } catch (error) {
        if (error instanceof VerifyError) onFailure({ url: replica.url, error });
        throw error;
      }
    },
    { signal },
  );
  const [asked] = order;
  if (asked !== undefined && asked.url !== answer.url) missed.set(asked.url, misses(asked) + 1);
  return answer.value;
}

// The signed statement says the size, so more than that is other bytes, not a transport problem.
async function askOne(
  replica: ReplicaClient,
  hex: string,
  release: VerifiedRelease,
  signal: AbortSignal,
): Promise<Uint8Array> {
  try {
    return await replica.artifact(hex, release.size, signal);
  } catch (error) {
    if (!(error instanceof TransportError) || error.code !== 'TOO_LARGE') throw error;
    throw new VerifyError(
      'ARTIFACT_SIZE_MISMATCH',
      `${release.name}@${release.version}: ${replica.url} sent a larger tarball than was logged`,
      { expected: `${release.size} bytes`, found: 'more', cause: error },
    );
  }
}

/** @throws {VerifyError} `ARTIFACT_DIGEST_MISMATCH` with both digests and where the bytes came from */
function requireDigest(bytes: Uint8Array, release: VerifiedRelease, url: string): void {
  if (hasDigest(bytes, release.sha512)) return;
  throw new VerifyError(
    'ARTIFACT_DIGEST_MISMATCH',
    `${release.name}@${release.version}: the tarball is not the one in the log (entry ${release.index})`,
    {
      expected: formatSri(release.sha512),
      found: `${formatSri(sha512(bytes))} from ${url}`,
      hint: 'nothing was installed; report the server that is named',
    },
  );
}
