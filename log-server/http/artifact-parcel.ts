// Many small artifacts in one answer, for replicas: a batch names hundreds, and a request for each costs
// both sides more than everything else about it. Whoever asks compares every digest.
//
//   request   64 bytes of SHA-512 for each artifact
//   answer    for each, in order: length (4 bytes, big endian) and bytes; instead of a length 0 for one
//             that is not held, and 2^32 - 1 for one that has to be asked for alone
import { concat } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { SMALL_BYTES_MAX } from '../store/small-artifact.ts';

const DIGEST_BYTES = 64;
const LENGTH_BYTES = 4;

/** Instead of a length: it is not held. No artifact has no bytes. */
const ABSENT = 0;

/** Instead of a length: it is held, and not small or behind the end of a full parcel. */
const ALONE = 0xffff_ffff;

/** What a parcel says of an artifact: its bytes, or why not. */
export type ParcelItem = Uint8Array | 'absent' | 'alone';

/** Artifacts in one request: half of a full batch, a few milliseconds of work for who answers. */
export const PARCEL_COUNT_MAX = 256;

/** Largest request. */
export const PARCEL_REQUEST_BYTES_MAX: number = PARCEL_COUNT_MAX * DIGEST_BYTES;

/** Bytes of artifacts in one answer; those behind are not given, and asked for again. */
export const PARCEL_BYTES_MAX: number = 2 * 1024 * 1024;

/** Largest answer. */
export const PARCEL_ANSWER_BYTES_MAX: number = PARCEL_BYTES_MAX + PARCEL_COUNT_MAX * LENGTH_BYTES;

/** @returns the digests in a request, lower-case hex; `undefined` when it is none */
export function readParcelRequest(body: Uint8Array): readonly string[] | undefined {
  const count = body.length / DIGEST_BYTES;
  if (!Number.isSafeInteger(count) || count < 1 || count > PARCEL_COUNT_MAX) return undefined;
  return Array.from({ length: count }, (_, i) =>
    encodeHex(body.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES)),
  );
}

/**
 * Makes an answer.
 *
 * @param find a small artifact's bytes, or what is known of another; asked in order
 */
export function formatParcel(
  digests: readonly string[],
  find: (sha512: string) => ParcelItem,
): Uint8Array {
  let left = PARCEL_BYTES_MAX;
  const parts = digests.flatMap((sha512) => {
    // A full parcel does not look behind its end: whoever asks comes back for that anyway.
    const item = left > 0 ? find(sha512) : 'alone';
    if (item === 'absent') return [encodeLength(ABSENT)];
    if (item === 'alone') return [encodeLength(ALONE)];
    if (item.length > left) {
      // The end, however little room is left: a stranger who asks for a full parcel less a few bytes would
      // have every further artifact read and hashed for an answer without it.
      left = 0;
      return [encodeLength(ALONE)];
    }
    left -= item.length;
    return [encodeLength(item.length), item];
  });
  return concat(...parts);
}

function encodeLength(length: number): Uint8Array {
  const bytes = new Uint8Array(LENGTH_BYTES);
  new DataView(bytes.buffer).setUint32(0, length);
  return bytes;
}

/**
 * Takes an answer apart.
 *
 * @param count artifacts that were asked for
 * @returns what it says of each; `undefined` when the answer is not one to that request
 */
export function parseParcel(answer: Uint8Array, count: number): readonly ParcelItem[] | undefined {
  const view = new DataView(answer.buffer, answer.byteOffset, answer.length);
  const found: ParcelItem[] = [];
  let at = 0;
  while (found.length < count) {
    if (answer.length - at < LENGTH_BYTES) return undefined;
    const length = view.getUint32(at);
    at += LENGTH_BYTES;
    if (length === ABSENT || length === ALONE) {
      found.push(length === ABSENT ? 'absent' : 'alone');
      continue;
    }
    if (length > SMALL_BYTES_MAX || length > answer.length - at) return undefined;
    found.push(answer.subarray(at, at + length));
    at += length;
  }
  return at === answer.length ? found : undefined;
}
