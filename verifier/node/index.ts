// What Node programs add to the pure verifier: OpenSSL's Ed25519, worker threads, zlib.
export { nativeVerifier, verifyNative } from './ed25519.ts';
export { gunzip } from './gunzip.ts';
export { SignaturePool, SignaturePoolError, type SignaturePoolOptions } from './signature-pool.ts';
export { threadedVerifier } from './threaded-verifier.ts';
export { SEED_LENGTH, SigningKey } from './signing-key.ts';
