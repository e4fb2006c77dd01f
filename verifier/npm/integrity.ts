// Integrity strings of lockfiles (Subresource Integrity), restricted to what can be bound to one
// artifact. npm accepts any one of several hashes, skips algorithms that it doesn't know, and takes
// SHA-1: each of these has been used to install other bytes than the ones that were reviewed.
import { decodeBase64, encodeBase64 } from '../encoding.ts';
import { VerifyError, assert, quote } from '../errors.ts';

const PREFIX = 'sha512-';
const DIGEST_BYTES = 64;
const BASE64_LENGTH = 88;

/**
 * Reads exactly one `sha512-` and 88 characters of canonical base64: no list, no options (`?…`), no
 * other algorithm, no white space.
 *
 * @returns the digest, 64 bytes
 * @throws {VerifyError} `ENCODING_MALFORMED`
 */
export function parseSri(text: string): Uint8Array {
  if (!text.startsWith(PREFIX) || text.length !== PREFIX.length + BASE64_LENGTH) {
    throw malformed(text);
  }
  let digest: Uint8Array;
  try {
    digest = decodeBase64(text.slice(PREFIX.length));
  } catch (cause) {
    throw malformed(text, cause);
  }
  if (digest.length !== DIGEST_BYTES) throw malformed(text);
  return digest;
}

/** The integrity string of a SHA-512 digest (64 bytes). */
export function formatSri(digest: Uint8Array): string {
  assert(digest.length === DIGEST_BYTES, 'a SHA-512 digest has 64 bytes');
  return PREFIX + encodeBase64(digest);
}

function malformed(text: string, cause?: unknown): VerifyError {
  return new VerifyError(
    'ENCODING_MALFORMED',
    `integrity ${quote(text)} is not exactly one sha512 digest`,
    { cause },
  );
}
