// What signs for a maintainer: a key in a file, or one that an agent holds and never gives out.
import { keyId, type PublicKey } from '../../verifier/ed25519.ts';
import type { SigningKey } from '../../verifier/node/signing-key.ts';

/** A key that can sign, wherever its secret is. */
export interface Signer {
  /** Label of the key, as its owner calls it. */
  readonly name: string;
  readonly publicKey: PublicKey;
  /** Hex SHA-256 of the public key. */
  readonly keyId: string;
  /**
   * Ed25519 over exactly these bytes. May take as long as a person needs to allow it.
   *
   * @returns 64 bytes that are a valid signature by `publicKey`
   * @throws {CliError} BP8004 when an agent does not give one
   */
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
}

/** A key whose secret is in this process. */
export function memorySigner(name: string, key: SigningKey): Signer {
  return {
    name,
    publicKey: key.publicKey,
    keyId: keyId(key.publicKey),
    sign: async (message) => Promise.resolve(key.sign(message)),
  };
}
