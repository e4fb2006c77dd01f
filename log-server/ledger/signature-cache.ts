// Remembers good signatures: a submission's are verified when it comes in, and again when the batch it
// is in is checked. The second time is a hash look-up (CONSENSUS 4.4, rule 1).
import { createHash } from 'node:crypto';

import { assert } from '../../verifier/errors.ts';
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';
import { LruMap } from '../store/lru.ts';

/** Good signatures remembered, about 100 bytes each: several batches' worth of submissions. */
const SIGNATURE_COUNT_MAX = 65_536;

/** A verifier that asks another one only about what it has not seen. */
export class CachingVerifier implements SignatureVerifier {
  readonly #inner: SignatureVerifier;
  // Good ones only: bad ones cost a stranger nothing to make, and would push the good ones out.
  readonly #good: LruMap<string, true>;

  constructor(inner: SignatureVerifier, countMax: number = SIGNATURE_COUNT_MAX) {
    this.#inner = inner;
    this.#good = new LruMap(countMax);
  }

  async verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    const keys = jobs.map(keyOf);
    const answers = keys.map((key) => this.#good.get(key) === true);
    const open = [...jobs.keys()].filter((i) => !answers[i]);
    if (open.length === 0) return answers;
    const asked = open.flatMap((i) => jobs[i] ?? []);
    const found = await this.#inner.verifyMany(asked);
    assert(found.length === open.length, 'a verifier answers each job');
    for (const [position, i] of open.entries()) {
      if (found[position] !== true) continue;
      answers[i] = true;
      const key = keys[i];
      assert(key !== undefined, 'each job has a key');
      this.#good.set(key, true);
    }
    return answers;
  }
}

// Key and signature have fixed lengths in front of the message, so no two jobs share a text. A
// signature of another length is never good, and so never remembered.
function keyOf({ publicKey, signature, message }: SignatureJob): string {
  return createHash('sha256').update(publicKey).update(signature).update(message).digest('base64');
}
