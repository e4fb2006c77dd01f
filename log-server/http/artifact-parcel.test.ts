import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { concat } from '../../verifier/bytes.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { SMALL_BYTES_MAX } from '../store/small-artifact.ts';
import {
  PARCEL_BYTES_MAX,
  PARCEL_COUNT_MAX,
  formatParcel,
  parseParcel,
  readParcelRequest,
} from './artifact-parcel.ts';

const digestOf = (i: number): string => i.toString(16).padStart(128, '0');
const DIGESTS = [1, 2, 3].map(digestOf);

describe('readParcelRequest', () => {
  const rows: readonly (readonly [why: string, length: number, count: number | undefined])[] = [
    ['one digest', 64, 1],
    ['as many as there may be', 64 * PARCEL_COUNT_MAX, PARCEL_COUNT_MAX],
    ['nothing', 0, undefined],
    ['a cut digest', 65, undefined],
    ['too many', 64 * (PARCEL_COUNT_MAX + 1), undefined],
  ];
  for (const [why, length, count] of rows) {
    it(why, () => assert.equal(readParcelRequest(new Uint8Array(length))?.length, count));
  }

  it('gives back the digests that were put in', () => {
    assert.deepEqual(readParcelRequest(concat(...DIGESTS.map((hex) => decodeHex(hex)))), DIGESTS);
  });
});

describe('formatParcel and parseParcel', () => {
  it('carry what is held, in order', () => {
    const held = new Map([
      [digestOf(1), Uint8Array.of(1)],
      [digestOf(3), Uint8Array.of(3, 3)],
    ]);
    const answer = formatParcel(DIGESTS, (sha512) => held.get(sha512) ?? 'absent');
    assert.deepEqual(parseParcel(answer, 3), [Uint8Array.of(1), 'absent', Uint8Array.of(3, 3)]);
  });

  it('stop at a full parcel, and look nothing up behind it', () => {
    const largest = new Uint8Array(SMALL_BYTES_MAX);
    const fitting = PARCEL_BYTES_MAX / SMALL_BYTES_MAX;
    let looked = 0;
    const digests = Array.from({ length: fitting + 2 }, (_, i) => digestOf(i));
    const answer = formatParcel(digests, () => {
      looked += 1;
      return largest;
    });
    assert.equal(looked, fitting);
    const found = parseParcel(answer, digests.length) ?? assert.fail('not an answer');
    assert.equal(found.filter((item) => item !== 'alone').length, fitting);
  });

  it('stop at the first artifact that does not fit, though there is room for a few bytes', () => {
    const fitting = PARCEL_BYTES_MAX / SMALL_BYTES_MAX;
    let looked = 0;
    const answer = formatParcel(
      Array.from({ length: PARCEL_COUNT_MAX }, (_, i) => digestOf(i)),
      () => {
        looked += 1;
        return new Uint8Array(looked === 1 ? SMALL_BYTES_MAX - 1 : SMALL_BYTES_MAX);
      },
    );
    assert.equal(looked, fitting + 1);
    const found = parseParcel(answer, PARCEL_COUNT_MAX) ?? assert.fail('not an answer');
    assert.deepEqual(
      found.map((item) => item !== 'alone'),
      found.map((_, i) => i < fitting),
    );
  });

  const good = formatParcel(DIGESTS, () => Uint8Array.of(7, 7));
  const lying = good.slice();
  new DataView(lying.buffer).setUint32(0, SMALL_BYTES_MAX + 1);
  const malformed: readonly (readonly [why: string, answer: Uint8Array, count: number])[] = [
    ['nothing', new Uint8Array(0), 3],
    ['an answer that is cut off', good.subarray(0, -1), 3],
    ['a cut length', good.subarray(0, 3), 1],
    ['bytes behind the last one', good, 2],
    ['fewer than were asked for', good, 4],
    ['a length that no small artifact has', lying, 3],
  ];
  for (const [why, answer, count] of malformed) {
    it(`refuse ${why}`, () => assert.equal(parseParcel(answer, count), undefined));
  }
});
