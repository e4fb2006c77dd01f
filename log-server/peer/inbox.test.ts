import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { INBOX_MESSAGES_MAX, Inbox } from './inbox.ts';

const message = (n: number): Uint8Array => Uint8Array.of(n);

describe('Inbox', () => {
  it('takes from the peers in turn, and keeps the order of each', () => {
    const inbox = new Inbox();
    inbox.push('a', [message(1), message(2), message(3)]);
    inbox.push('b', [message(9)]);
    const taken = inbox.take(2).map(({ peer, message }) => `${peer}${message[0]}`);
    assert.deepEqual(taken, ['a1', 'b9', 'a2']);
    assert.deepEqual(
      inbox.take(2).map(({ message }) => message[0]),
      [3],
    );
    assert.ok(inbox.isEmpty);
  });

  it('drops only the messages of the peer that floods', () => {
    const inbox = new Inbox();
    const flood = Array.from({ length: INBOX_MESSAGES_MAX + 5 }, () => message(0));
    assert.equal(inbox.push('flooder', flood), 5);
    assert.equal(inbox.push('honest', [message(1)]), 0);
    const first = inbox.take(1);
    assert.deepEqual(
      first.map(({ peer }) => peer),
      ['flooder', 'honest'],
    );
  });

  it('bounds the bytes of a lane', () => {
    const inbox = new Inbox();
    const large = new Uint8Array(8 * 1024 * 1024);
    assert.equal(inbox.push('a', [large, large, large]), 1);
    inbox.take(1);
    assert.equal(inbox.push('a', [large, large]), 1);
  });

  // Of a turn's 512 KiB: [why, bytes of the messages that wait, how many of them go in one turn after the other]
  const turns: readonly (readonly [string, readonly number[], readonly number[]])[] = [
    ['small ones as many as are asked for', [10, 10, 10, 10], [3, 1]],
    ['those of half a turn in pairs', [262_144, 262_144, 262_144], [2, 1]],
    [
      'one that is larger at once, and the next when it is paid for',
      [1_572_864, 1, 1],
      [1, 0, 0, 2],
    ],
    ['of the largest one in sixteen turns', [8_388_608, 1], [1, ...Array<number>(15).fill(0), 1]],
  ];
  for (const [why, sizes, expected] of turns) {
    it(`takes turns of bytes: ${why}`, () => {
      const inbox = new Inbox();
      for (const size of sizes) inbox.push('a', [new Uint8Array(size)]);
      const taken = expected.map(() => {
        inbox.push('b', [message(1)]);
        const { length } = inbox.take(3);
        return length - 1;
      });
      assert.deepEqual(taken, expected, 'beside one of somebody else in each');
    });
  }

  it('saves up no turns in which nothing was there', () => {
    const inbox = new Inbox();
    inbox.push('a', []);
    for (let i = 0; i < 100; i++) inbox.take(9);
    for (let i = 0; i < 9; i++) inbox.push('a', [new Uint8Array(262_144)]);
    assert.equal(inbox.take(9).length, 2);
  });

  it('leaves what is there of whoever rests', () => {
    const inbox = new Inbox();
    inbox.push('a', [message(1)]);
    inbox.push('b', [message(2)]);
    const taken = inbox.take(9, (peer) => peer === 'a');
    assert.deepEqual(
      taken.map(({ peer }) => peer),
      ['b'],
    );
    assert.deepEqual(inbox.waiting, ['a']);
  });

  // [what waits, how many of them, bytes of each]
  const crowds: readonly (readonly [string, number, number])[] = [
    ['many', 1025, 0],
    ['large ones', 5, 1024 * 1024],
  ];
  for (const [what, count, size] of crowds) {
    it(`has whoever sends too fast wait until it was read: ${what}`, async () => {
      const inbox = new Inbox();
      const one = new Uint8Array(size);
      inbox.push(
        'a',
        Array.from({ length: count - 1 }, () => one),
      );
      assert.equal(inbox.room('a'), undefined);
      inbox.push('a', [one]);
      let isTold = false;
      const told = inbox.room('a')?.then(() => (isTold = true));
      assert.equal(inbox.room('b'), undefined, 'nobody else');
      await turn();
      assert.equal(isTold, false);
      inbox.take(1);
      await turn();
      assert.equal(isTold, true);
      await told;
      assert.equal(inbox.room('a'), undefined);
    });
  }

  it('lets nobody wait for a lane that is gone', async () => {
    const inbox = new Inbox();
    inbox.push('a', Array<Uint8Array>(2000).fill(message(0)));
    const told = inbox.room('a');
    inbox.retain(new Set());
    await told;
    assert.equal(inbox.room('a'), undefined);
  });

  it('forgets peers that have left the roster', () => {
    const inbox = new Inbox();
    inbox.push('a', [message(1)]);
    inbox.push('b', [message(2)]);
    inbox.retain(new Set(['b']));
    assert.deepEqual(
      inbox.take(9).map(({ peer }) => peer),
      ['b'],
    );
  });
});

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
