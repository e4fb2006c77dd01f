// Ed25519 verification on noble's points, for browsers and wherever OpenSSL is not at hand.
// Not noble's own `verify`: its strict mode and its ZIP-215 mode both follow other rules than ed25519.ts.
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';

import { concat, equalBytes } from './bytes.ts';
import { SIGNATURE_LENGTH } from './ed25519.ts';
import type { SignatureJob, SignatureVerifier } from './signatures.ts';

const { Point } = ed25519;
const L = Point.Fn.ORDER;

/** Whether the signature is valid by the rule of ed25519.ts. About a millisecond. */
export function verifyPortable(job: SignatureJob): boolean {
  const { publicKey, message, signature } = job;
  if (signature.length !== SIGNATURE_LENGTH) return false;
  const r = signature.subarray(0, 32);
  const s = littleEndian(signature.subarray(32));
  // A larger S is a second spelling of the same signature.
  if (s >= L) return false;
  const key = decodePoint(publicKey);
  if (key === undefined) return false;
  const k = littleEndian(sha512(concat(r, publicKey, message))) % L;
  const expected = Point.BASE.multiplyUnsafe(s).subtract(key.multiplyUnsafe(k));
  // By encoding, so that R in another spelling is refused as OpenSSL does.
  return equalBytes(expected.toBytes(), r);
}

/** The portable implementation of the port: one job after the other, in this thread. */
export const portableVerifier: SignatureVerifier = {
  verifyMany: async (jobs) => jobs.map(verifyPortable),
};

type EdwardsPoint = InstanceType<typeof Point>;

function decodePoint(bytes: Uint8Array): EdwardsPoint | undefined {
  try {
    return Point.fromBytes(bytes, false);
  } catch {
    // Not a point of the curve; parsePublicKey leaves this question to us.
    return undefined;
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  return value;
}
