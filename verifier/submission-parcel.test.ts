import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { concat } from './bytes.ts';
import { VerifyError } from './errors.ts';
import {
  PARCEL_ARTIFACTS_MAX,
  PARCEL_ARTIFACT_BYTES_MAX,
  PARCEL_ENVELOPE_BYTES_MAX,
  PARCEL_SUBMISSIONS_MAX,
  SubmissionParcelReader,
  formatSubmissionParcel,
  type ParcelFrame,
  type ParcelSubmission,
} from './submission-parcel.ts';

const bytesOf = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

const artifact = (
  value: number,
  length = 10,
): { readonly sha512: Uint8Array; readonly bytes: Uint8Array } => ({
  sha512: bytesOf(64, value),
  bytes: bytesOf(length, value),
});

const one = (artifacts: number, envelopeBytes = 7): ParcelSubmission => ({
  artifacts: Array.from({ length: artifacts }, (_, i) => artifact(i + 1)),
  envelope: bytesOf(envelopeBytes, 0x7b),
});

/** The frames, and the code of what ended them. */
function read(
  chunks: readonly Uint8Array[],
): readonly [frames: readonly ParcelFrame[], code: string] {
  const reader = new SubmissionParcelReader();
  const frames: ParcelFrame[] = [];
  try {
    for (const chunk of chunks) for (const frame of reader.push(chunk)) frames.push(copyOf(frame));
    reader.end();
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    return [frames, error.code];
  }
  return [frames, 'whole'];
}

const copyOf = (frame: ParcelFrame): ParcelFrame => ({
  ...frame,
  bytes: Uint8Array.from(frame.bytes),
});

const piecesOf = (bytes: Uint8Array, size: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  );

const MALFORMED = 'MESSAGE_MALFORMED';
const frame = (kind: number, length: number): Uint8Array =>
  Uint8Array.of(kind, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255);

describe('SubmissionParcelReader', () => {
  const parcel = formatSubmissionParcel([one(2), one(0), one(1, 300)]);

  it('reads what was written, however it comes in pieces', () => {
    const [whole] = read([parcel]);
    assert.deepEqual(
      whole.map(({ kind, bytes }) => [kind, bytes.length]),
      [
        ['artifact', 10],
        ['artifact', 10],
        ['envelope', 7],
        ['envelope', 7],
        ['artifact', 10],
        ['envelope', 300],
      ],
    );
    const [, second] = whole;
    assert.deepEqual(second, { kind: 'artifact', sha512: '02'.repeat(64), bytes: bytesOf(10, 2) });
    for (let size = 1; size < 100; size++) {
      assert.deepEqual(read(piecesOf(parcel, size)), [whole, 'whole'], `pieces of ${size}`);
    }
  });

  it('takes the largest frames', () => {
    const largest = {
      artifacts: [artifact(1, PARCEL_ARTIFACT_BYTES_MAX)],
      envelope: bytesOf(PARCEL_ENVELOPE_BYTES_MAX, 1),
    };
    const [frames, end] = read(piecesOf(formatSubmissionParcel([largest]), 1000));
    assert.deepEqual([frames.length, end], [2, 'whole']);
  });

  const many = (count: number, each: ParcelSubmission): Uint8Array =>
    formatSubmissionParcel(Array.from({ length: count }, () => each));
  const rows: readonly (readonly [why: string, request: Uint8Array, frames: number])[] = [
    ['nothing', new Uint8Array(0), 0],
    ['cut off in a frame', parcel.subarray(0, -1), 5],
    ['cut off in a head', concat(parcel, frame(2, 5).subarray(0, 4)), 6],
    ['artifacts without an envelope', parcel.subarray(0, 2 * (5 + 64 + 10)), 2],
    ['another kind', concat(parcel, frame(0, 5)), 6],
    ['an empty envelope', concat(parcel, frame(2, 0)), 6],
    ['an empty artifact', concat(parcel, frame(1, 0)), 6],
    ['a larger envelope', concat(parcel, frame(2, PARCEL_ENVELOPE_BYTES_MAX + 1)), 6],
    ['a larger artifact', concat(parcel, frame(1, PARCEL_ARTIFACT_BYTES_MAX + 1)), 6],
    ['the largest length', concat(parcel, frame(1, 0xffff_ffff)), 6],
    ['more envelopes', many(PARCEL_SUBMISSIONS_MAX + 1, one(0)), PARCEL_SUBMISSIONS_MAX],
    ['more artifacts', many(2, one(PARCEL_ARTIFACTS_MAX / 2 + 1)), PARCEL_ARTIFACTS_MAX + 1],
  ];
  for (const [why, request, frames] of rows) {
    it(`refuses ${why}, behind what is whole`, () => {
      for (const size of [1, 64, request.length + 1]) {
        const [found, end] = read(piecesOf(request, size));
        assert.deepEqual([found.length, end], [frames, MALFORMED], `pieces of ${size}`);
      }
    });
  }

  it('reads anything the same however it is cut, and refuses it in one way', () => {
    const valid = fc
      .array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 50 })), {
        minLength: 1,
        maxLength: 5,
      })
      .map((all) => formatSubmissionParcel(all.map(([count, length]) => one(count, length))));
    const damage = fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 3 });
    fc.assert(
      fc.property(valid, damage, fc.integer({ min: 1, max: 200 }), (request, changes, size) => {
        const damaged = Uint8Array.from(request);
        for (const [at, value] of changes) damaged[at % damaged.length] = value;
        const whole = read([damaged]);
        assert.ok([MALFORMED, 'whole'].includes(whole[1]), whole[1]);
        assert.deepEqual(read(piecesOf(damaged, size)), whole);
      }),
    );
  });
});
