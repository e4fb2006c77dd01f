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
