// The port for the artifacts' bytes.
import type { JsonObject } from '../../verifier/json.ts';

/**
 * Large artifacts of strangers that arrive at one time: each holds a file, and is checked in its turn with
 * its bytes in memory.
 */
export const OFFERED_AT_ONCE = 4;

/**
 * Artifacts that are fetched from replicas at one time. Each is a dozen short waits for disk and network, one
 * after the other, while a vote waits for the last of a batch's hundreds.
 */
export const FETCHED_AT_ONCE = 24;

/** Nothing is wrong with what was sent; there is no room for it now. */
export class StorageBusyError extends Error {
  override readonly name = 'StorageBusyError';
}

/** What a held and checked artifact says about itself. */
export interface ArtifactFacts {
  /** Lower-case hex SHA-512 of the bytes. */
  readonly sha512: string;
  /** Bytes. */
  readonly size: number;
  /** From the package.json inside. */
  readonly name: string;
  readonly version: string;
  /** Canonical manifest of that package.json. */
  readonly manifest: JsonObject;
}

/** The outcome of an upload. A refusal is thrown. */
export interface ArtifactPut {
  readonly kind: 'created' | 'present';
  readonly facts: ArtifactFacts;
}

/**
 * Who wants an artifact kept: somebody who may submit a release of it later, or a replica whose vote on
 * a batch waits for it. For votes there is room that nobody else can fill.
 */
export type ArtifactPurpose = 'offer' | 'vote';

/** An artifact's bytes, checked against their digest as a whole before the first byte is given out. */
export interface ArtifactContent {
  readonly size: number;
  /** Reads them in pieces: memory use does not depend on the size. */
  chunks(): AsyncIterable<Uint8Array>;
}

/**
 * Artifacts by digest. Only bytes that have the digest and pass the archive rules are ever held; an
 * upload that is refused, aborted or crashed leaves nothing behind.
 */
export interface ArtifactStore {
  /**
   * Takes an upload.
   *
   * @param source the bytes as they come; reading stops at the limit
   * @param purpose `offer` unless given
   * @throws {VerifyError} `ARTIFACT_DIGEST_MISMATCH`, `ARTIFACT_SIZE_MISMATCH` (above 256 MiB),
   *         `ARCHIVE_UNSAFE`, `MANIFEST_MALFORMED`
   * @throws {StorageBusyError} too many uploads at once, or no room for artifacts that no log entry
   *         names yet: try again later
   */
  put(
    sha512: string,
    source: AsyncIterable<Uint8Array>,
    purpose?: ArtifactPurpose,
  ): Promise<ArtifactPut>;
  /** What a held artifact says about itself; `undefined` when it is not held. */
  facts(sha512: string): Promise<ArtifactFacts | undefined>;
  /** Artifacts that the log or a batch under vote names and that are not held: fetch them from others. */
  missing(countMax: number): Promise<readonly string[]>;
  /** The bytes; `undefined` when not held, or when they no longer have their digest. */
  read(sha512: string): Promise<ArtifactContent | undefined>;
  /**
   * The bytes of a small artifact, at most 64 KiB, at once; `undefined` when it is not held, is not small,
   * or no longer has its digest.
   */
  smallNow(sha512: string): Uint8Array | undefined;
  /** Whether it is held, as far as the index says. */
  hasNow(sha512: string): boolean;
}
