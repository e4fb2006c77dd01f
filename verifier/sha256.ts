// SHA-256, for everything in this folder. Where the platform is Node, OpenSSL computes it: ten times as
// fast on an entry, and the hashing of a log's content is half of what verifying costs beside the
// signatures. Elsewhere (browsers) noble does. Both are the same function; sha256.test.ts holds them to it.
import { sha256 as portableSha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';

/** Bytes of a SHA-256 hash. */
const DIGEST_LENGTH = 32;

interface OneShot {
  (algorithm: 'sha256', data: Uint8Array, encoding: 'hex' | 'latin1'): string;
}

interface Platform {
  readonly process?: {
    /** Exists for code that also runs elsewhere and so can't import `node:crypto` (Node 20.16 on). */
    getBuiltinModule?(id: 'node:crypto'): { readonly hash?: OneShot } | undefined;
  };
}

// Decided once, when this module is loaded: nothing can exchange the function afterwards.
const native: OneShot | undefined = (globalThis as Platform).process?.getBuiltinModule?.(
  'node:crypto',
)?.hash;

/** SHA-256 of `bytes`, as a plain `Uint8Array` of 32 bytes that nobody else has. */
export const sha256: (bytes: Uint8Array) => Uint8Array =
  native === undefined ? portableSha256 : (bytes) => nativeSha256(native, bytes);

/** The same in lower-case hex. */
export const sha256Hex: (bytes: Uint8Array) => string =
  native === undefined
    ? (bytes) => bytesToHex(portableSha256(bytes))
    : (bytes) => native('sha256', bytes, 'hex');

function nativeSha256(hash: OneShot, bytes: Uint8Array): Uint8Array {
  // By way of a text, a character for each byte: Node's Buffer holds memory outside of the heap of
  // JavaScript, which the collector has to track piece by piece, and takes twice as long.
  const text = hash('sha256', bytes, 'latin1');
  const digest = new Uint8Array(DIGEST_LENGTH);
  for (let i = 0; i < DIGEST_LENGTH; i++) digest[i] = text.charCodeAt(i);
  return digest;
}
