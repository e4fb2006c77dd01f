// Remembers good signatures: a submission's are verified when it comes in, and again when the batch it
// is in is checked. The second time is a hash look-up (CONSENSUS 4.4, rule 1).
import { concat } from '../../verifier/bytes.ts';
import { assert } from '../../verifier/errors.ts';
import { sha256Hex } from '../../verifier/sha256.ts';
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';
import { LruMap } from '../lru.ts';

/** Good signatures remembered, about 100 bytes each: several batches' worth of submissions. */
const SIGNATURE_COUNT_MAX = 65_536;

/** A verifier that asks another one only about what it has not seen. */
export class CachingVerifier implements SignatureVerifier {
  readonly #inner: SignatureVerifier;
  // Good ones only: bad ones cost a stranger nothing to make, and would push the good ones out.
  readonly #good: LruMap<string, true>;

  constructor(
    inner: SignatureVerifier,
    countMax: number = SIGNATURE_COUNT_MAX,
    good: LruMap<string, true> = new LruMap(countMax),
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
    const keys = jobs.map(keyOf);
    const answers = keys.map((key) => key !== undefined && this.#good.get(key) === true);
    const open = [...jobs.keys()].filter((i) => !answers[i]);
    if (open.length === 0) return answers;
    const asked = open.flatMap((i) => jobs[i] ?? []);
    const found = await this.#inner.verifyMany(asked);
    assert(found.length === open.length, 'a verifier answers each job');
    for (const [position, i] of open.entries()) {
      const key = keys[i];
      if (found[position] !== true || key === undefined) continue;
      answers[i] = true;
      this.#good.set(key, true);
    }
    return answers;
  }
}

const SIGNATURE_LENGTH = 64;

/**
 * One text per job: key and signature have fixed lengths in front of the message. A signature of another
 * length has none, and so is neither remembered nor found: with 65 bytes it could be a good one followed
 * by the message's first byte.
 */
function keyOf({ publicKey, signature, message }: SignatureJob): string | undefined {
  if (signature.length !== SIGNATURE_LENGTH) return undefined;
  return sha256Hex(concat(publicKey, signature, message));
}
