// How much may be unpacked at one time. A tarball of some hundred kilobytes may unpack to hundreds of megabytes
// within the limits of the log, and many are checked together: each by itself is bounded, all of them together
// would not be.
import type { Gunzip } from '../../verifier/archive/gzip.ts';
import { claimedLength, gunzip } from '../../verifier/node/gunzip.ts';
import { WeightedGate } from './weighted-gate.ts';

/** Bytes of unpacked archives in this process; the largest archives come one at a time. */
export const INFLATED_BYTES_HELD_MAX: number = 512 * 1024 * 1024;

const gate = new WeightedGate(INFLATED_BYTES_HELD_MAX);

/**
 * Waits until there is room for what a tarball unpacks to, and does the work.
 *
 * Room is taken by the length that the tarball itself states. Nobody vouches for it, so `inflate` gives no
 * more than that: a tarball with another length is malformed, and is refused.
 *
 * @param work what it returns must not hold the archive
 * @param room for tests
 */
export async function inflateInTurn<T>(
  tarball: Uint8Array,
  work: (inflate: Gunzip) => Promise<T>,
  room: WeightedGate = gate,
): Promise<T> {
  const claimed = claimedLength(tarball);
  return await room.run(claimed, async () => {
    return await work((bytes, outputBytesMax) =>
      // zlib takes no zero; an archive of no bytes is refused by whoever reads it.
      gunzip(bytes, Math.max(1, Math.min(claimed, outputBytesMax))),
    );
  });
}
