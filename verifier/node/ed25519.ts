// Ed25519 verification by OpenSSL. Its own checks are S < L and the equation of ed25519.ts; what it
// lacks, canonical keys of large order, parsePublicKey has seen to.
import { type KeyObject, createPublicKey, verify } from 'node:crypto';

import { type PublicKey, SIGNATURE_LENGTH, publicKeyHex } from '../ed25519.ts';
import type { SignatureJob, SignatureVerifier } from '../signatures.ts';

// Making a KeyObject costs a tenth of a verification. Keys repeat (replicas, busy maintainers), but a
// stranger can send as many as he likes, so the cache forgets: 8,192 keys are 10 MB. Half as many were made
// anew in each round over 2,000 packages with three maintainers each, 10 microseconds apiece.
const KEYS_CACHED_MAX = 8192;
const keys = new Map<string, KeyObject>();

/** Whether the signature is valid by the rule of ed25519.ts. Synchronous, about 100 microseconds. */
export function verifyNative(job: SignatureJob): boolean {
  if (job.signature.length !== SIGNATURE_LENGTH) return false;
  return verify(null, job.message, keyObject(job.publicKey), job.signature);
}

/** The native implementation of the port, in this thread. Many jobs belong into a SignaturePool. */
export const nativeVerifier: SignatureVerifier = {
  verifyMany: async (jobs) => jobs.map(verifyNative),
};

/** The key as OpenSSL wants it; made once as long as it is among the last 8,192. */
export function keyObject(publicKey: PublicKey): KeyObject {
  // A text that whoever parsed the key has asked for already.
  const id = publicKeyHex(publicKey);
  const cached = keys.get(id);
  if (cached !== undefined) return cached;
  // As a JWK (RFC 8037): OpenSSL takes the bytes as they are. Decoding DER takes it eight times as
  // long, as long as a whole verification.
  const x = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length);
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url') };
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  if (keys.size >= KEYS_CACHED_MAX) {
    // The oldest goes: a Map keeps the order of insertion.
    for (const oldest of keys.keys()) {
      keys.delete(oldest);
      break;
    }
  }
  keys.set(id, key);
  return key;
}
