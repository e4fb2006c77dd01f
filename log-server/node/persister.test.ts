import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { PersistRequest, Write } from '../consensus/types.ts';
import { Lane } from './lane.ts';
import { Persister, firstTransaction } from './persister.ts';

const record = (name: 'promise' | 'prepared'): Write => ({
  kind: 'record',
  name,
  value: undefined,
});
const commit = { kind: 'commit' } as Write;

// A request is written as its token and its writes: r a record, c a commit.
function request(short: string): PersistRequest {
  const token = Number(short.replaceAll(/\D/g, ''));
  const writes = short
    .replaceAll(/\d/g, '')
    .split('')
    .map((w) => (w === 'c' ? commit : record('promise')));
  return { token, writes };
}

describe('firstTransaction', () => {
  const cases: readonly [string, string, string, string][] = [
    ['puts records together', '1r 2r 3rr', '1 2 3', ''],
    ['takes one commit along', '1r 2c 3r', '1 2 3', ''],
    ['ends before a second commit', '1c 2r 3c 4r', '1 2', '3 4'],
    ['starts with a commit', '1c 2c', '1', '2'],
    ['takes nothing of nothing', '', '', ''],
  ];
  for (const [why, queue, group, rest] of cases) {
    it(why, () => {
      const parts = firstTransaction(queue.split(' ').filter(Boolean).map(request));
      const tokens = (list: readonly PersistRequest[]): string =>
        list.map(({ token }) => token).join(' ');
      assert.equal(tokens(parts.group), group);
      assert.equal(tokens(parts.rest), rest);
    });
  }
});

describe('Persister', () => {
  function scene(fails: (transaction: number) => boolean = () => false) {
    const lane = new Lane();
    const events: string[] = [];
    let transactions = 0;
    const store = {
      write: async (writes: readonly Write[]) => {
        transactions++;
        const number = transactions;
        await new Promise((resolve) => setImmediate(resolve));
        if (fails(number)) throw new Error('disk full');
        events.push(`written ${writes.length}`);
      },
    };
    const persister = new Persister(
      store,
      lane,
      (token) => events.push(`persisted ${token}`),
      () => events.push('failed'),
    );
    return { lane, events, persister };
  }

  it('reports a token only after its writes are durable, and groups what gathers', async () => {
    const { lane, events, persister } = scene();
    persister.persist(request('1r'));
    persister.persist(request('2r'));
    persister.persist(request('3c'));
    persister.persist(request('4c'));
    await lane.idle();
    assert.deepEqual(events, ['written 3', 'persisted 3', 'written 1', 'persisted 4']);
  });

  it('lets a reader that is queued later see the writes', async () => {
    const { lane, events, persister } = scene();
    persister.persist(request('1r'));
    const read = lane.run(async () => events.push('read'));
    persister.persist(request('2r'));
    await read;
    await lane.idle();
    assert.equal(events.indexOf('read') > events.indexOf('persisted 1'), true, events.join());
  });

  it('stops for good at the first failure', async () => {
    const { lane, events, persister } = scene((transaction) => transaction === 1);
    persister.persist(request('1c'));
    persister.persist(request('2c'));
    await lane.idle();
    persister.persist(request('3r'));
    await lane.idle();
    assert.deepEqual(events, ['failed']);
  });
});

describe('Lane', () => {
  it('runs tasks in order and survives failing ones', async () => {
    const lane = new Lane();
    const order: number[] = [];
    const slow = lane.run(async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      order.push(1);
    });
    const failing = lane.run(() => Promise.reject(new Error('no')));
    const last = lane.run(async () => order.push(2));
    await assert.rejects(failing);
    await Promise.all([slow, last]);
    assert.deepEqual(order, [1, 2]);
    await lane.idle();
    assert.equal(lane.waiting, 0);
  });
});
