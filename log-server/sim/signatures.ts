// Signatures inside the simulated world. The fast kind is a register: a signature is valid when the
// holder of the key has asked for it, which is what unforgeable means. The real kind is Ed25519.
import type { PublicKey } from '../../verifier/ed25519.ts';
import { verifyNative } from '../../verifier/node/ed25519.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import type { SignatureJob } from '../../verifier/signatures.ts';
import { createHash } from 'node:crypto';

/** Signs for everybody and checks for everybody. */
export interface Signatures {
  /** The same bytes for the same key and message, as Ed25519 gives. */
  sign(key: SigningKey, message: Uint8Array): Uint8Array;
  verify(job: SignatureJob): boolean;
}

interface Entry {
  readonly key: PublicKey;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** Signatures that nobody can forge because all are on a list. */
export class RegisteredSignatures implements Signatures {
  readonly #entries: Entry[] = [];
  /** By key and message, both as text of one character per byte. */
  readonly #known = new Map<string, Entry>();

  sign(key: SigningKey, message: Uint8Array): Uint8Array {
    const name = latin1(key.publicKey) + latin1(message);
    const known = this.#known.get(name);
    if (known !== undefined) return known.signature;
    // The position finds the entry; the rest only makes signatures look different from each other.
    const signature = new Uint8Array(64).fill(this.#entries.length % 251, 4);
    new DataView(signature.buffer).setUint32(0, this.#entries.length);
    const entry = { key: key.publicKey, message: Uint8Array.from(message), signature };
    this.#entries.push(entry);
    this.#known.set(name, entry);
    return signature;
  }

  verify({ publicKey, message, signature }: SignatureJob): boolean {
    if (signature.length !== 64) return false;
    const position = new DataView(signature.buffer, signature.byteOffset).getUint32(0);
    const entry = this.#entries[position];
    return (
      entry !== undefined &&
      Buffer.compare(entry.signature, signature) === 0 &&
      Buffer.compare(entry.key, publicKey) === 0 &&
      Buffer.compare(entry.message, message) === 0
    );
  }
}

/** Ed25519 by OpenSSL: slow, for a smaller number of runs. */
export const realSignatures: Signatures = {
  sign: (key, message) => key.sign(message),
  verify: verifyNative,
};

const keys = new Map<string, SigningKey>();

/** The key with this name, the same in every run. */
export function namedKey(name: string): SigningKey {
  let key = keys.get(name);
  if (key === undefined) {
    key = SigningKey.fromSeed(createHash('sha256').update(`sim key ${name}`).digest());
    keys.set(name, key);
  }
  return key;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
