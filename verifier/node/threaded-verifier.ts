// Ed25519 verification on the threads that every Node process has for its files (libuv's pool): for
// programs that run once. Threads of JavaScript, as in a SignaturePool, each cost such a program as much
// to start as a hundred signatures cost to verify, and 15 MB.
import { verify } from 'node:crypto';

import { SIGNATURE_LENGTH } from '../ed25519.ts';
import type { SignatureJob, SignatureVerifier } from '../signatures.ts';
import { keyObject, verifyNative } from './ed25519.ts';

// Up to here (2 ms) the way to a thread and back is longer than the work.
const INLINE_JOBS_MAX = 16;

// What waits for a thread at one time: enough that no core is idle while this thread makes more, few enough
// that a file which is to be read has its turn within some ten milliseconds.
const UNDER_WAY_MAX = 256;

/** Verifies on all cores, up to the four of libuv's pool; nothing has to be started or closed. */
export const threadedVerifier: SignatureVerifier = {
  verifyMany: async (jobs) => {
    if (jobs.length <= INLINE_JOBS_MAX) return jobs.map(verifyNative);
    return await verifyOnThreads(jobs);
  },
};

function verifyOnThreads(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
  const answers = jobs.map(() => false);
  return new Promise((resolve, reject) => {
    let next = 0;
    let open = 0;
    const done = (): void => {
      open -= 1;
      more();
    };
    const more = (): void => {
      while (next < jobs.length && open < UNDER_WAY_MAX) {
        const at = next++;
        const job = jobs[at];
        // What isn't 64 bytes is no signature.
        if (job?.signature.length !== SIGNATURE_LENGTH) continue;
        open += 1;
        ask(job).then((isValid) => {
          answers[at] = isValid;
          done();
        }, reject);
      }
      if (open === 0) resolve(answers);
    };
    more();
  });
}

async function ask(job: SignatureJob): Promise<boolean> {
  const { publicKey, message, signature } = job;
  return new Promise((resolve, reject) => {
    verify(null, message, keyObject(publicKey), signature, (error, isValid) => {
      // An accident on the way is no answer.
      if (error === null) resolve(isValid);
      else reject(error);
    });
  });
}
