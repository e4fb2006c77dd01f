// Many small artifacts in one answer, for replicas: a batch names hundreds, and a request for each costs
// both sides more than everything else about it. Whoever asks compares every digest.
//
//   request   64 bytes of SHA-512 for each artifact
//   answer    for each, in order: length (4 bytes, big endian) and bytes; length 0 when it is not given
import { concat } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { SMALL_BYTES_MAX } from '../store/small-artifact.ts';

const DIGEST_BYTES = 64;
const LENGTH_BYTES = 4;

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
 * @param smallOf a small artifact's bytes, if it is held; asked in order until the answer is full
 */
export function formatParcel(
  digests: readonly string[],
  smallOf: (sha512: string) => Uint8Array | undefined,
): Uint8Array {
  let left = PARCEL_BYTES_MAX;
  const parts = digests.flatMap((sha512) => {
    const bytes = left > 0 ? smallOf(sha512) : undefined;
    const given = bytes !== undefined && bytes.length <= left ? bytes : undefined;
    left -= given?.length ?? 0;
    const length = new Uint8Array(LENGTH_BYTES);
    new DataView(length.buffer).setUint32(0, given?.length ?? 0);
    return given === undefined ? [length] : [length, given];
  });
  return concat(...parts);
}

/**
 * Takes an answer apart.
 *
 * @param count artifacts that were asked for
 * @returns for each its bytes, or `undefined` when it was not given; `undefined` altogether when the
 *          answer is not one to that request
 */
export function parseParcel(
  answer: Uint8Array,
  count: number,
): readonly (Uint8Array | undefined)[] | undefined {
  const view = new DataView(answer.buffer, answer.byteOffset, answer.length);
  const found: (Uint8Array | undefined)[] = [];
  let at = 0;
  while (found.length < count) {
    if (answer.length - at < LENGTH_BYTES) return undefined;
    const length = view.getUint32(at);
    at += LENGTH_BYTES;
    if (length > SMALL_BYTES_MAX || length > answer.length - at) return undefined;
    found.push(length === 0 ? undefined : answer.subarray(at, at + length));
    at += length;
  }
  return at === answer.length ? found : undefined;
}
