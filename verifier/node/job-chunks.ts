// Cutting a question into what threads get in one message each: a message costs the event loop and the thread
// about as much as one verification, however little is in it.
import type { SignatureJob } from '../signatures.ts';
import { packedLength } from './packed-jobs.ts';

// Small chunks spend the event loop on messages; large ones leave other cores idle at the end.
const CHUNK_JOBS_MIN = 50;
const CHUNK_JOBS_MAX = 200;
// A chunk of large messages is closed early, so that copies in flight stay small.
const CHUNK_BYTES_MAX = 8 * 1024 * 1024;

/**
 * Cuts jobs into chunks of the same size, one for each lane as long as none has fewer than 50, and as many rounds of
 * that as none needs more than 200. Fewer than 100 stay together: a rest of 14 would cost a message of its own.
 *
 * @param lanes threads that there may be, 1 or more
 */
export function jobChunks(
  jobs: readonly SignatureJob[],
  lanes: number,
): readonly (readonly SignatureJob[])[] {
  const rounds = Math.ceil(jobs.length / (lanes * CHUNK_JOBS_MAX));
  const chunkCount = Math.max(
    1,
    Math.min(lanes * rounds, Math.floor(jobs.length / CHUNK_JOBS_MIN)),
  );
  const countMax = Math.ceil(jobs.length / chunkCount);
  const chunks: SignatureJob[][] = [];
  let current: SignatureJob[] = [];
  let bytes = 0;
  for (const job of jobs) {
    const length = packedLength(job);
    if (current.length === countMax || (current.length > 0 && bytes + length > CHUNK_BYTES_MAX)) {
      chunks.push(current);
      current = [];
      bytes = 0;
    }
    current.push(job);
    bytes += length;
  }
  if (current.length > 0) chunks.push(current);
  return chunks;
}
