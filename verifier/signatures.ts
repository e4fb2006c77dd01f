// The port through which Ed25519 verification is done. Callers collect all the checks that a task
// needs and ask once, so that a driver can spread them over cores; the rule itself is in ed25519.ts.
import type { PublicKey } from './ed25519.ts';

/** One question: did the holder of `publicKey` sign exactly `message`? */
export interface SignatureJob {
  readonly publicKey: PublicKey;
  readonly message: Uint8Array;
  /** 64 bytes; any other length is simply not a signature. */
  readonly signature: Uint8Array;
}

/** Answers many questions at once, in order. Every implementation follows the rule of ed25519.ts. */
export interface SignatureVerifier {
  verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]>;
}
