// Remembers good signatures: a submission's are verified when it comes in, and again when the batch it
// is in is checked. The second time is a hash look-up (CONSENSUS 4.4, rule 1).
import { PUBLIC_KEY_LENGTH, SIGNATURE_LENGTH } from '../../verifier/ed25519.ts';
import { assert } from '../../verifier/errors.ts';
import { HASH_LENGTH } from '../../verifier/merkle/hash.ts';
import { sha256, sha256Hex } from '../../verifier/sha256.ts';
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';
import { LruMap } from '../lru.ts';

/** Good signatures remembered, about 100 bytes each: several batches' worth of submissions. */
const SIGNATURE_COUNT_MAX = 65_536;

/** What was found good. Bad ones cost a stranger nothing to make, and would push the good ones out. */
class GoodSignatures {
  readonly #byHash: LruMap<string, true>;
  // The very same question, as long as somebody keeps it: a plan is kept with its statement.
  #jobs = new WeakSet<SignatureJob>();

  constructor(countMax: number) {
    this.#byHash = new LruMap(countMax);
  }

  /** Whether it is known to be good; else the key to `add` it by, `undefined` for what can't be good. */
  find(job: SignatureJob): true | { readonly key: string | undefined } {
    if (this.#jobs.has(job)) return true;
    const key = keyOf(job);
    if (key === undefined || this.#byHash.get(key) !== true) return { key };
    this.#jobs.add(job);
    return true;
  }

  add(job: SignatureJob, key: string | undefined): void {
    if (key === undefined) return;
    this.#byHash.set(key, true);
    this.#jobs.add(job);
  }

  clear(): void {
    this.#byHash.clear();
    this.#jobs = new WeakSet();
  }
}

/**
 * A verifier that asks another one only about what it has not seen. Nobody may change a job, nor the bytes in
 * it, once it was asked about.
 */
export class CachingVerifier implements SignatureVerifier {
  readonly #inner: SignatureVerifier;
  readonly #good: GoodSignatures;

  constructor(
    inner: SignatureVerifier,
    countMax: number = SIGNATURE_COUNT_MAX,
    good: GoodSignatures = new GoodSignatures(countMax),
  ) {
    this.#inner = inner;
    this.#good = good;
  }

  /** One that asks another verifier and remembers the same signatures. */
  asking(inner: SignatureVerifier): CachingVerifier {
    return new CachingVerifier(inner, 0, this.#good);
  }

  /** Forgets all of them: nothing has come in for a while. */
  clear(): void {
    this.#good.clear();
  }

  async verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    const known = jobs.map((job) => this.#good.find(job));
    const answers = known.map((found) => found === true);
    const asked = jobs.filter((_, i) => known[i] !== true);
    if (asked.length === 0) return answers;
    const found = await this.#inner.verifyMany(asked);
    assert(found.length === asked.length, 'a verifier answers each job');
    let next = 0;
    for (const [i, job] of jobs.entries()) {
      const open = known[i];
      if (open === true || found[next++] !== true) continue;
      answers[i] = true;
      this.#good.add(job, open?.key);
    }
    return answers;
  }
}

// Key, signature and hash of the message, put together in one place: the hash of it keeps no view.
const KEY_SCRATCH = new Uint8Array(PUBLIC_KEY_LENGTH + SIGNATURE_LENGTH + HASH_LENGTH);

// A message has several signatures, and each is looked up and then remembered.
const messageHashes = new WeakMap<Uint8Array, Uint8Array>();

/**
 * One text per job, of parts of fixed lengths. A signature of another length has none, and so is neither
 * remembered nor found: with 65 bytes it could be a good one followed by something else.
 */
function keyOf({ publicKey, signature, message }: SignatureJob): string | undefined {
  if (signature.length !== SIGNATURE_LENGTH) return undefined;
  let hash = messageHashes.get(message);
  if (hash === undefined) {
    hash = sha256(message);
    messageHashes.set(message, hash);
  }
  KEY_SCRATCH.set(publicKey, 0);
  KEY_SCRATCH.set(signature, PUBLIC_KEY_LENGTH);
  KEY_SCRATCH.set(hash, PUBLIC_KEY_LENGTH + SIGNATURE_LENGTH);
  return sha256Hex(KEY_SCRATCH);
}
