import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { fetchedInOrder } from './tile-client.ts';

const NEVER = new AbortController().signal;

async function collect<T>(items: AsyncGenerator<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe('fetchedInOrder', () => {
  it('gives everything in order, never more than so many at one time', async () => {
    for (const [count, ahead] of [
      [0, 3],
      [1, 3],
      [20, 1],
      [20, 3],
      [2, 50],
    ] as const) {
      let running = 0;
      let most = 0;
      const items = fetchedInOrder(count, ahead, NEVER, async (position) => {
        running++;
        most = Math.max(most, running);
        // Later ones are ready first.
        await new Promise((resolve) => setTimeout(resolve, (count - position) % 7));
        running--;
        return position;
      });
      assert.deepEqual(
        await collect(items),
        Array.from({ length: count }, (_, i) => i),
      );
      assert.ok(most <= ahead, `${most} of ${ahead}`);
      assert.equal(most, Math.min(count, ahead));
    }
  });

  it('throws a failure when its turn comes, and stops the rest', async () => {
    const aborted: number[] = [];
    const seen: number[] = [];
    const items = fetchedInOrder(10, 4, NEVER, async (position, signal) => {
      signal.addEventListener('abort', () => aborted.push(position));
      if (position === 2) throw new Error('no such tile');
      return position;
    });
    await assert.rejects(
      async () => {
        for await (const item of items) seen.push(item);
      },
      { message: 'no such tile' },
    );
    assert.deepEqual(seen, [0, 1]);
    assert.ok(aborted.includes(3));
  });

  it('stops fetching when nobody wants more', async () => {
    let started = 0;
    const items = fetchedInOrder(1000, 4, NEVER, async (position) => {
      started++;
      return position;
    });
    for await (const item of items) if (item === 1) break;
    assert.equal(started, 5);
  });
});
