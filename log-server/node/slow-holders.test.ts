import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SlowHolders } from './slow-holders.ts';

describe('SlowHolders', () => {
  it('forgets a replica after a minute, counted from the last time', () => {
    let now = 0;
    const slow = new SlowHolders(() => now);
    assert.equal(slow.has('r1'), false);
    slow.note('r1');
    now = 30_000;
    slow.note('r1');
    now = 89_999;
    assert.deepEqual([slow.has('r1'), slow.has('r2')], [true, false]);
    now = 90_000;
    assert.equal(slow.has('r1'), false);
  });

  it('remembers a bounded number, the latest', () => {
    const slow = new SlowHolders(() => 0);
    for (let i = 0; i < 250; i++) slow.note(`r${i}`);
    assert.equal(slow.size, 100);
    assert.deepEqual([slow.has('r149'), slow.has('r150')], [false, true]);
  });
});
