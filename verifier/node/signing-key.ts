// A private Ed25519 key in memory. How it is kept on disk is the business of each program.
import {
  type KeyObject,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
} from 'node:crypto';

import { type PublicKey, parsePublicKey } from '../ed25519.ts';
import { decodeHex } from '../encoding.ts';
import { assert } from '../errors.ts';

/** Bytes of the secret seed (RFC 8032 section 5.1.5). */
export const SEED_LENGTH = 32;

// PrivateKeyInfo and SubjectPublicKeyInfo of Ed25519 (RFC 8410) end in the seed and in the key.
const PKCS8_PREFIX = decodeHex('302e020100300506032b657004220420');

/** Signs; never prints its secret, since only `seed` reveals it. */
export class SigningKey {
  readonly publicKey: PublicKey;
  readonly #key: KeyObject;

  private constructor(key: KeyObject) {
    this.#key = key;
    const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
    this.publicKey = parsePublicKey(spki.subarray(-32));
  }

  /** @param seed 32 secret bytes */
  static fromSeed(seed: Uint8Array): SigningKey {
    assert(seed.length === SEED_LENGTH, 'an Ed25519 seed has 32 bytes');
    const der = Buffer.concat([PKCS8_PREFIX, seed]);
    try {
      return new SigningKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
    } finally {
      // One copy less of the secret in memory; OpenSSL has its own.
      der.fill(0);
    }
  }

  /** A new key from the operating system's randomness. */
  static generate(): SigningKey {
    return new SigningKey(generateKeyPairSync('ed25519').privateKey);
  }

  /** The 32 secret bytes, a copy. */
  get seed(): Uint8Array {
    const pkcs8 = this.#key.export({ format: 'der', type: 'pkcs8' });
    const seed = Uint8Array.from(pkcs8.subarray(-SEED_LENGTH));
    pkcs8.fill(0);
    return seed;
  }

  /** @returns 64 bytes, the same for the same message */
  sign(message: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, message, this.#key));
  }
}
