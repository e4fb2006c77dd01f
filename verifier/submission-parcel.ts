// Several submissions with their small artifacts in one request (POST /v1/submissions): a monorepo's release
// is dozens of packages, and a request for each artifact and each statement costs both ends more than
// everything else about it.
//
//   request   frames, each a kind (1 byte), a length (4 bytes, big endian) and so many bytes:
//               1   an artifact: its SHA-512 (64 bytes, not counted in the length) stands before its bytes
//               2   an envelope: the submission that the artifacts since the one before it belong to
//
// Bytes of strangers: a length is compared with its bound before anything waits for so many bytes.
import { concat } from './bytes.ts';
import { encodeHex } from './encoding.ts';
import { VerifyError } from './errors.ts';

const ARTIFACT = 1;
const ENVELOPE = 2;
const HEAD_BYTES = 5;
const DIGEST_BYTES = 64;

/** Largest artifact in a parcel: larger ones are uploaded by themselves (PUT /v1/artifacts). */
export const PARCEL_ARTIFACT_BYTES_MAX: number = 64 * 1024;

/** Largest envelope (65,535 bytes) with air, as anywhere else. */
export const PARCEL_ENVELOPE_BYTES_MAX: number = 64 * 1024;

/** Submissions in one parcel: an eighth of a full batch, and a quarter of what one network may have waiting. */
export const PARCEL_SUBMISSIONS_MAX = 64;

/** Artifacts in one parcel: a statement names up to 64, and most one. */
export const PARCEL_ARTIFACTS_MAX = 128;

/** Largest parcel: what it holds is bounded one by one, this bounds what somebody sends. */
export const PARCEL_BODY_BYTES_MAX: number = 8 * 1024 * 1024;

/** Largest answer: a result for each submission, and no refusal names more than 64 artifacts. */
export const PARCEL_RESULTS_BYTES_MAX: number = 1024 * 1024;

/** One frame. Bytes may be a view into what was pushed. */
export type ParcelFrame =
  | { readonly kind: 'artifact'; readonly sha512: string; readonly bytes: Uint8Array }
  | { readonly kind: 'envelope'; readonly bytes: Uint8Array };

/** An artifact to send along. */
export interface ParcelArtifact {
  /** 64 bytes. */
  readonly sha512: Uint8Array;
  /** At most `PARCEL_ARTIFACT_BYTES_MAX`. */
  readonly bytes: Uint8Array;
}

/** A submission to send: the artifacts that it brings along, and its envelope. */
export interface ParcelSubmission {
  readonly artifacts: readonly ParcelArtifact[];
  readonly envelope: Uint8Array;
}

/** Makes a request. Its bounds are the sender's to keep: whoever reads it refuses what is beyond. */
export function formatSubmissionParcel(submissions: readonly ParcelSubmission[]): Uint8Array {
  return concat(
    ...submissions.flatMap(({ artifacts, envelope }) => [
      ...artifacts.flatMap(({ sha512, bytes }) => [head(ARTIFACT, bytes.length), sha512, bytes]),
      head(ENVELOPE, envelope.length),
      envelope,
    ]),
  );
}

function head(kind: number, length: number): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES);
  bytes[0] = kind;
  new DataView(bytes.buffer).setUint32(1, length);
  return bytes;
}

/** Takes a request apart as it comes. Keeps one frame at most. */
export class SubmissionParcelReader {
  /** Room for the frame that is not whole yet, or for its head as long as that is not. */
  #partial: Uint8Array = new Uint8Array(0);
  /** Bytes of it that have come; 0 between two frames. */
  #filled = 0;
  #submissions = 0;
  #artifacts = 0;
  /** Artifacts whose envelope has not come. */
  #open = 0;

  /**
   * Takes what came.
   *
   * @returns the frames that are whole now, in order
   * @throws {VerifyError} `MESSAGE_MALFORMED`, at the frame that can't be read; those before it were returned
   */
  *push(chunk: Uint8Array): Generator<ParcelFrame, void> {
    let at = 0;
    while (at < chunk.length) {
      const rest = chunk.subarray(at);
      if (this.#filled === 0) {
        const end = rest.length < HEAD_BYTES ? HEAD_BYTES : endOf(rest);
        if (rest.length >= end) {
          at += end;
          yield this.#count(frameOf(rest, end));
          continue;
        }
        this.#partial = new Uint8Array(end);
      }
      const part = rest.subarray(0, this.#partial.length - this.#filled);
      this.#partial.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      const frame = this.#whole();
      if (frame !== undefined) yield frame;
    }
  }

  /** The frame that was kept, when it is whole now. */
  #whole(): ParcelFrame | undefined {
    const bytes = this.#partial;
    if (this.#filled < bytes.length) return undefined;
    const end = endOf(bytes);
    if (end > bytes.length) {
      // So far it was the head alone. Not in pieces that are joined at the end: whoever sends byte by byte
      // would have us keep an object for each.
      this.#partial = new Uint8Array(end);
      this.#partial.set(bytes);
      return undefined;
    }
    this.#filled = 0;
    return this.#count(frameOf(bytes, end));
  }

  /** The request has come to its end. @throws {VerifyError} `MESSAGE_MALFORMED` */
  end(): void {
    if (this.#filled > 0) throw malformed('the last frame is cut off');
    if (this.#open > 0) throw malformed('artifacts at the end belong to no envelope');
    if (this.#submissions === 0) throw malformed('no envelope');
  }

  #count(frame: ParcelFrame): ParcelFrame {
    if (frame.kind === 'artifact') {
      this.#artifacts += 1;
      this.#open += 1;
      if (this.#artifacts > PARCEL_ARTIFACTS_MAX) {
        throw malformed(`more than ${PARCEL_ARTIFACTS_MAX} artifacts`);
      }
    } else {
      this.#submissions += 1;
      this.#open = 0;
      if (this.#submissions > PARCEL_SUBMISSIONS_MAX) {
        throw malformed(`more than ${PARCEL_SUBMISSIONS_MAX} envelopes`);
      }
    }
    return frame;
  }
}

/** Where the frame at the beginning ends, from its first five bytes. */
function endOf(bytes: Uint8Array): number {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  const isArtifact = bytes[0] === ARTIFACT;
  if (!isArtifact && bytes[0] !== ENVELOPE) throw malformed(`a frame of the kind ${bytes[0]}`);
  const max = isArtifact ? PARCEL_ARTIFACT_BYTES_MAX : PARCEL_ENVELOPE_BYTES_MAX;
  if (length === 0 || length > max) {
    throw malformed(`a frame of ${length} bytes; it may have 1 to ${max}`);
  }
  return HEAD_BYTES + (isArtifact ? DIGEST_BYTES : 0) + length;
}

function frameOf(bytes: Uint8Array, end: number): ParcelFrame {
  if (bytes[0] === ENVELOPE) return { kind: 'envelope', bytes: bytes.subarray(HEAD_BYTES, end) };
  const start = HEAD_BYTES + DIGEST_BYTES;
  const sha512 = encodeHex(bytes.subarray(HEAD_BYTES, start));
  return { kind: 'artifact', sha512, bytes: bytes.subarray(start, end) };
}

function malformed(why: string): VerifyError {
  return new VerifyError('MESSAGE_MALFORMED', `submissions: ${why}`);
}
