import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { getHeapSpaceStatistics } from 'node:v8';

import { shrinkHeap } from './shrink-heap.ts';

/** Bytes of the young generation, used or not. */
function youngBytes(): number {
  return getHeapSpaceStatistics().find((one) => one.space_name === 'new_space')?.space_size ?? 0;
}

// Some hundred MB of objects, a hundred thousand of them alive at a time.
function burst(): void {
  let alive: object[] = [];
  for (let i = 0; i < 2_000_000; i++) {
    alive.push({ i, list: [i] });
    if (alive.length === 100_000) alive = [];
  }
}

describe('shrinkHeap', () => {
  it('gives the young generation back, right behind a burst', async () => {
    burst();
    const before = youngBytes();
    await shrinkHeap();
    const after = youngBytes();
    assert.ok(
      before > 4 * 1024 * 1024,
      `${before} bytes of young generation: a burst makes it grow`,
    );
    assert.ok(2 * after < before, `${before} bytes of young generation before, ${after} after`);
  });
});
