import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { judgeClock } from './clock.ts';

const HOUR = 3600;

describe('judgeClock', () => {
  const rows: readonly (readonly [string, readonly number[], number, string])[] = [
    ['says nothing without clocks', [], 4, 'unknown'],
    ['says nothing by f+1 clocks of four', [0, 0], 4, 'unknown'],
    ['agrees with 2f+1', [0, 1, -1], 4, 'agrees 3 1'],
    ['agrees although one of four lies far ahead', [0, 1, 2, HOUR], 4, 'agrees 3 2'],
    ['agrees although one of three that answered lies behind', [0, 1, -HOUR], 4, 'agrees 2 1'],
    ['differs when this clock is ahead', [HOUR, HOUR, HOUR + 1], 4, 'differs 3 3600'],
    ['differs when it is behind', [-HOUR, -HOUR, -HOUR, -HOUR], 4, 'differs 4 -3600'],
    ['differs although one lies that it is right', [HOUR, 0, HOUR], 4, 'differs 3 3600'],
    ['takes the word of a single replica when there is but one', [HOUR], 1, 'differs 1 3600'],
    ['needs five of seven', [HOUR, HOUR, HOUR, HOUR], 7, 'unknown'],
    ['allows what NTP and whole seconds need', [5, -5, 5], 4, 'agrees 3 5'],
    ['allows no more than that', [6, 6, 6], 4, 'differs 3 6'],
  ];
  for (const [why, ahead, total, expected] of rows) {
    it(why, () => {
      assert.equal(Object.values(judgeClock(ahead, total)).join(' '), expected);
    });
  }
});
