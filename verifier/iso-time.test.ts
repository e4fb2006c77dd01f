import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { ISO_SECONDS_MAX, isoTime } from './iso-time.ts';

describe('isoTime', () => {
  const known: readonly (readonly [number, string])[] = [
    [0, '1970-01-01T00:00:00.000Z'],
    [951_782_399, '2000-02-28T23:59:59.000Z'],
    [951_782_400, '2000-02-29T00:00:00.000Z'],
    [1_709_251_199, '2024-02-29T23:59:59.000Z'],
    [4_107_542_400, '2100-03-01T00:00:00.000Z'],
    [ISO_SECONDS_MAX, '9999-12-31T23:59:59.000Z'],
    [ISO_SECONDS_MAX + 1, '9999-12-31T23:59:59.000Z'],
  ];
  for (const [seconds, text] of known) {
    it(`writes ${text}`, () => assert.equal(isoTime(seconds), text));
  }

  it('writes what JavaScript writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: ISO_SECONDS_MAX }), (seconds) => {
        assert.equal(isoTime(seconds), new Date(seconds * 1000).toISOString());
      }),
      { numRuns: 5000 },
    );
  });
});
