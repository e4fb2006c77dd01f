// The gzip container around an archive. Decompression is a port, because a native one is far faster
// (verifier/node/gunzip.ts); how much may come out is decided here, before a byte does.
import { VerifyError } from '../errors.ts';
import {
  ARCHIVE_BYTES_MAX,
  INFLATION_FREE_BYTES,
  INFLATION_RATIO_MAX,
  TARBALL_BYTES_MAX,
} from './limits.ts';

/**
 * Port: decompresses a gzip file (RFC 1952) that must be exactly one member from its first byte to
 * its last, with the checksum and length that its footer states. Programs disagree about a second
 * member (zlib appends its content, others stop), so a file with one would be two archives.
 *
 * Throws `VerifyError` `ARCHIVE_UNSAFE` for any other file, and when more than `outputBytesMax`
 * bytes would come out, without ever holding much more than that. Whatever else it throws is a
 * failure of the machine, and says nothing about the file.
 */
export type Gunzip = (
  bytes: Uint8Array,
  outputBytesMax: number,
) => Promise<Uint8Array> | Uint8Array;

/**
 * Decompresses a tarball within the limits of limits.ts.
 *
 * @returns the archive, at most `ARCHIVE_BYTES_MAX` bytes
 * @throws {VerifyError} `ARCHIVE_UNSAFE`
 */
export async function openTarball(tarball: Uint8Array, gunzip: Gunzip): Promise<Uint8Array> {
  if (tarball.length > TARBALL_BYTES_MAX) {
    throw new VerifyError('ARCHIVE_UNSAFE', `tarball: larger than ${TARBALL_BYTES_MAX} bytes`);
  }
  const outputBytesMax = Math.min(
    ARCHIVE_BYTES_MAX,
    Math.max(INFLATION_FREE_BYTES, tarball.length * INFLATION_RATIO_MAX),
  );
  return gunzip(tarball, outputBytesMax);
}
