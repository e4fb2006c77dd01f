// Puts the signature checks of many small tasks into one question, so that the pool can hand them to its
// threads in coarse jobs (DESIGN 8). A submission has two or three signatures; alone they would be
// verified on the event loop, and a busy gateway would be deaf for votes.
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';

interface Asked {
  readonly jobs: readonly SignatureJob[];
  readonly resolve: (answers: readonly boolean[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Collects what is asked within one turn of the event loop. */
export class CoalescingVerifier implements SignatureVerifier {
  readonly #verifier: SignatureVerifier;
  #asked: Asked[] = [];
  #isScheduled = false;

  constructor(verifier: SignatureVerifier) {
    this.#verifier = verifier;
  }

  verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ jobs, resolve, reject });
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      setImmediate(() => void this.#flush());
    });
  }

  async #flush(): Promise<void> {
    const asked = this.#asked;
    this.#asked = [];
    this.#isScheduled = false;
    try {
      const answers = await this.#verifier.verifyMany(asked.flatMap(({ jobs }) => jobs));
      let start = 0;
      for (const { jobs, resolve } of asked) {
        resolve(answers.slice(start, start + jobs.length));
        start += jobs.length;
      }
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }
}
