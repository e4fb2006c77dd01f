import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, it } from 'node:test';

import { sent } from './routes.ts';

/** An answer on its way. */
class Outgoing extends EventEmitter {
  closed = false;
  isDestroyed = false;

  destroy(): this {
    this.isDestroyed = true;
    this.close();
    return this;
  }

  close(): void {
    this.closed = true;
    this.emit('close');
  }
}

const outgoingOf = (outgoing: Outgoing): Parameters<typeof sent>[0] =>
  outgoing as unknown as Parameters<typeof sent>[0];

describe('sent', () => {
  it('waits until an answer has left', async () => {
    const outgoing = new Outgoing();
    let isSent = false;
    const waiting = sent(outgoingOf(outgoing), 60_000).then(() => {
      isSent = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(!isSent, 'it is still under way');
    outgoing.close();
    await waiting;
    assert.ok(!outgoing.isDestroyed, 'nobody was hung up on');
  });

  it('does not wait for one that has', async () => {
    const outgoing = new Outgoing();
    outgoing.close();
    await sent(outgoingOf(outgoing), 60_000);
  });

  it('hangs up on whoever does not read it', async () => {
    const outgoing = new Outgoing();
    await sent(outgoingOf(outgoing), 1);
    assert.ok(outgoing.isDestroyed, 'its place is free');
  });
});
