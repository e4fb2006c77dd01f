import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Hunt, Transfer, anyOf } from './hunt.ts';
import type { Holder } from './slow-holders.ts';

const holder = (name: string): Holder => ({ name, url: `http://${name}.example` });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Transfer', () => {
  // Each step: milliseconds of waiting, then bytes that come, then milliseconds until we ask for more.
  const rows: readonly (readonly [
    string,
    readonly (readonly [number, number, number])[],
    boolean,
  ])[] = [
    ['has brought nothing', [[1000, 0, 0]], true],
    ['drips', Array.from({ length: 100 }, () => [10, 100, 0] as const), true],
    ['brings a large artifact over a slow line', [[1000, 600_000, 0]], false],
    ['has only begun', [[400, 1, 0]], false],
    ['waits for our disk', [[100, 1, 5000]], false],
  ];
  for (const [why, steps, isCrawling] of rows) {
    it(`${isCrawling ? 'crawls' : 'does not crawl'} when it ${why}`, async () => {
      let nowMs = 0;
      const transfer = new Transfer(() => nowMs);
      async function* source(): AsyncGenerator<Uint8Array> {
        for (const [waitMs, bytes] of steps) {
          nowMs += waitMs;
          yield new Uint8Array(bytes);
        }
      }
      assert.equal(transfer.isCrawling(), false, 'nobody waits for it yet');
      transfer.begin(holder('a'));
      const coming = transfer.counted(source());
      for (const [, , pauseMs] of steps) {
        await coming.next();
        nowMs += pauseMs;
      }
      assert.equal(transfer.isCrawling(), isCrawling);
      assert.equal(transfer.isCrawling(), false, 'judged once');
    });
  }

  it('is not waited for once it is whole', async () => {
    let nowMs = 0;
    const transfer = new Transfer(() => nowMs);
    transfer.begin(holder('a'));
    async function* source(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(1);
    }
    for await (const chunk of transfer.counted(source())) void chunk;
    nowMs = 60_000;
    assert.equal(transfer.isCrawling(), false);
  });
});

describe('Hunt', () => {
  it('names whom to ask: the slow last, and those that a vote brings along', () => {
    const hunt = new Hunt('d', ['a', 'b'].map(holder), 'submission', 1);
    const isSlow = (name: string): boolean => name === 'a';
    assert.equal(hunt.next(isSlow)?.name, 'b');
    hunt.hurry(['b', 'c'].map(holder));
    assert.deepEqual(
      [hunt.next(isSlow), hunt.next(isSlow), hunt.next(isSlow)].map((one) => one?.name),
      ['c', 'a', undefined],
    );
  });

  it('calls an answer late only when a vote waits', async () => {
    const hunt = new Hunt('d', [], 'repair', 1);
    let asked = 0;
    let outcome = '';
    const waits = hunt
      .unlessLate(new Promise<string>(() => undefined), () => ++asked === 2)
      .then((what) => (outcome = what));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual([asked, outcome], [0, '']);
    hunt.hurry([]);
    await waits;
    assert.deepEqual([asked, outcome], [2, 'late']);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(asked, 2, 'and asks no more');
  });

  it('takes the answer when it comes', async () => {
    const hunt = new Hunt('d', [], 'batch', 1);
    assert.equal(await hunt.unlessLate(Promise.resolve('stored'), () => true), 'stored');
    await assert.rejects(
      hunt.unlessLate(Promise.reject(new Error('x')), () => true),
      /x/,
    );
  });
});

describe('anyOf', () => {
  it('is true with the first, and false after the last', async () => {
    const never = new Promise<boolean>(() => undefined);
    assert.equal(await anyOf([Promise.resolve(false), never, Promise.resolve(true)]), true);
    assert.equal(await anyOf([Promise.resolve(false), Promise.resolve(false)]), false);
    assert.equal(await anyOf([]), false);
    await turn();
  });
});
