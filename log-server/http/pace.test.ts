import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Pace } from './pace.ts';

describe('Pace', () => {
  const limits = { bytesPerSecond: 1000, graceMs: 500 };
  type Row = readonly [
    why: string,
    received: readonly (readonly [bytes: number, waitedMs: number])[],
    patienceMs: number,
  ];
  const rows: readonly Row[] = [
    ['gives a sender its grace', [], 500],
    ['takes waiting off it', [[0, 200]], 300],
    ['pays for bytes in time', [[100, 200]], 400],
    ['never lets credit grow above the grace', [[1_000_000, 0]], 500],
    ['takes waiting off before it caps the credit', [[1_000_000, 400]], 500],
    [
      'holds out with a sender at exactly the pace',
      Array.from({ length: 1000 }, () => [100, 100] as const),
      500,
    ],
    [
      'runs out with one at half the pace after twice the grace',
      Array.from({ length: 10 }, () => [50, 100] as const),
      0,
    ],
  ];
  for (const [why, received, patienceMs] of rows) {
    it(why, () => {
      const pace = new Pace(limits);
      for (const [bytes, waitedMs] of received) pace.received(bytes, waitedMs);
      assert.equal(pace.patienceMs, patienceMs);
    });
  }
});
