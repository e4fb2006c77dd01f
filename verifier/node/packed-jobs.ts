// Signature jobs in one buffer: structured cloning of three arrays for each job would cost more than
// it saves. Both sides are this program; the bytes never come from outside the process.
import { PUBLIC_KEY_LENGTH, type PublicKey, SIGNATURE_LENGTH } from '../ed25519.ts';
import { assert } from '../errors.ts';
import type { SignatureJob } from '../signatures.ts';

const FIXED_LENGTH = PUBLIC_KEY_LENGTH + SIGNATURE_LENGTH + 4;

/** What a worker says first, once it can take jobs. */
export const READY = 'ready';

/** How many bytes `packJobs` makes of a job. */
export function packedLength(job: SignatureJob): number {
  return FIXED_LENGTH + job.message.length;
}

/**
 * Packs jobs, each as key, signature, u32 length of the message, message.
 *
 * @param jobs with signatures of 64 bytes
 */
export function packJobs(jobs: readonly SignatureJob[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(jobs.reduce((sum, job) => sum + packedLength(job), 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { publicKey, message, signature } of jobs) {
    assert(signature.length === SIGNATURE_LENGTH, 'only real signatures are packed');
    bytes.set(publicKey, at);
    bytes.set(signature, at + PUBLIC_KEY_LENGTH);
    view.setUint32(at + PUBLIC_KEY_LENGTH + SIGNATURE_LENGTH, message.length);
    bytes.set(message, at + FIXED_LENGTH);
    at += FIXED_LENGTH + message.length;
  }
  return bytes;
}

/** The jobs again, as views into `bytes`. */
export function unpackJobs(bytes: Uint8Array): readonly SignatureJob[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const jobs: SignatureJob[] = [];
  let at = 0;
  while (at < bytes.length) {
    const signatureAt = at + PUBLIC_KEY_LENGTH;
    const messageAt = at + FIXED_LENGTH;
    const end = messageAt + view.getUint32(messageAt - 4);
    assert(end <= bytes.length, 'a packed job is whole');
    jobs.push({
      // It was a PublicKey before it was packed.
      publicKey: bytes.subarray(at, signatureAt) as PublicKey,
      signature: bytes.subarray(signatureAt, messageAt - 4),
      message: bytes.subarray(messageAt, end),
    });
    at = end;
  }
  return jobs;
}
