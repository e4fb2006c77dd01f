// SHA-512 of whole artifacts, which are too large for a hash in JavaScript.
import { createHash } from 'node:crypto';

/** SHA-512 of bytes: 64 bytes. */
export function sha512(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha512').update(bytes).digest());
}
