import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX, Outbox } from './outbox.ts';

const message = (text: string): Uint8Array => new TextEncoder().encode(text);
const texts = (messages: readonly Uint8Array[]): string[] =>
  messages.map((m) => new TextDecoder().decode(m));

describe('Outbox', () => {
  it('gives messages back in order', () => {
    const outbox = new Outbox();
    for (const text of ['a', 'b', 'c']) outbox.push(message(text));
    assert.deepEqual(texts(outbox.take(1000, 2)), ['a', 'b']);
    assert.deepEqual(texts(outbox.take(1000, 2)), ['c']);
    assert.ok(outbox.isEmpty);
    assert.equal(outbox.bytes, 0);
  });

  it('keeps only the newest of a kind that replaces', () => {
    const outbox = new Outbox();
    outbox.push(message('status 1'), 'status');
    outbox.push(message('vote'));
    outbox.push(message('status 2'), 'status');
    assert.deepEqual(texts(outbox.take(1000, 10)), ['vote', 'status 2']);
  });

  it('cuts by bytes but always gives at least one message', () => {
    const outbox = new Outbox();
    outbox.push(new Uint8Array(100));
    outbox.push(new Uint8Array(100));
    assert.equal(outbox.take(50, 10).length, 1);
    assert.equal(outbox.take(50, 10).length, 1);
    assert.equal(outbox.take(50, 10).length, 0);
  });

  const floods: readonly [string, number, number][] = [
    ['many messages', 1, OUTBOX_MESSAGES_MAX],
    ['large messages', OUTBOX_BYTES_MAX / 4, 4],
  ];
  for (const [why, size, kept] of floods) {
    it(`is bounded against ${why}`, () => {
      const outbox = new Outbox();
      for (let i = 0; i < kept; i++) assert.equal(outbox.push(new Uint8Array(size)), true);
      assert.equal(outbox.push(new Uint8Array(size)), false);
      assert.equal(outbox.length, kept);
      assert.ok(outbox.bytes <= OUTBOX_BYTES_MAX);
      assert.equal(outbox.dropped, 1);
    });
  }

  it('counts what it forgets', () => {
    const outbox = new Outbox();
    outbox.push(message('a'));
    outbox.clear();
    assert.ok(outbox.isEmpty);
    assert.equal(outbox.dropped, 1);
    assert.equal(outbox.bytes, 0);
  });
});
