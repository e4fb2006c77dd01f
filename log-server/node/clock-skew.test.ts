import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ClockSkew } from './clock-skew.ts';

const NOW = 1_800_000_000;

/** A skew after two rounds in which each replica's clock is so far ahead, seconds; 0 is this one. */
function skewOf(ahead: readonly number[]): number | undefined {
  let nowMs = NOW * 1000;
  const skew = new ClockSkew(() => nowMs);
  for (let round = 0; round < 2; round++) {
    nowMs += 60_000;
    const seconds = Math.floor(nowMs / 1000);
    skew.observe(
      ahead.map((by, signer) => ({ signer, time: seconds + by })),
      0,
    );
  }
  return skew.medianSeconds;
}

describe('ClockSkew', () => {
  const cases: readonly (readonly [string, readonly number[], number | undefined])[] = [
    ['clocks that agree', [0, 0, 0, 0], 0.5],
    ['an own clock that is behind', [0, 30, 31, 32], 31.5],
    ['an own clock that is ahead', [0, -30, -31, -32], -30.5],
    ['one wrong clock of others', [0, 0, 0, 9999], 0.5],
    ['a replica by itself', [0], undefined],
  ];
  for (const [why, ahead, expected] of cases) {
    it(`measures ${why}`, () => assert.equal(skewOf(ahead), expected));
  }

  it('takes no old cosignature for a clock that is behind', () => {
    let nowMs = NOW * 1000;
    const skew = new ClockSkew(() => nowMs);
    const times = [NOW, NOW, NOW];
    const observe = (): void =>
      skew.observe(
        times.map((time, i) => ({ signer: i + 1, time })),
        0,
      );
    observe();
    assert.equal(skew.medianSeconds, undefined);
    // A minute later only one of them has signed again; the others say nothing new.
    nowMs += 60_000;
    times[0] = NOW + 60;
    observe();
    assert.equal(skew.medianSeconds, 0.5);
    skew.forget();
    assert.equal(skew.medianSeconds, undefined);
  });
});
