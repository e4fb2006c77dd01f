import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { SocketShares, type ShareLimits } from './socket-shares.ts';

class FakeSocket extends EventEmitter {
  readonly remoteAddress: string;
  destroyed = false;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroy(): this {
    this.destroyed = true;
    this.emit('close');
    return this;
  }
}

describe('SocketShares', () => {
  const rows: readonly (readonly [
    why: string,
    gives: ShareLimits['gives'],
    connect: string,
    open: string,
  ])[] = [
    ['keeps the old ones of a network', 'newest', 'a a a a b', '0 1 2 4'],
    ['or the new ones', 'oldest', 'a a a a b', '1 2 3 4'],
    ['makes room at the cost of whoever has most', 'newest', 'b a a a c d', '0 1 2 4 5'],
    [
      'counts an IPv6 network once',
      'newest',
      '2001:db8::1 2001:db8::2 2001:db8::3 2001:db8::4',
      '0 1 2',
    ],
    ['refuses the newest when all have one', 'newest', 'a b c d e f', '1 2 3 4 5'],
  ];
  for (const [why, gives, connect, open] of rows) {
    it(why, () => {
      const shares = new SocketShares({ max: 5, perNetwork: 3, gives });
      const sockets = connect.split(' ').map((address) => new FakeSocket(address));
      for (const socket of sockets) shares.add(socket as unknown as Socket);
      const left = [...sockets.keys()].filter((i) => sockets[i]?.destroyed === false);
      assert.equal(left.join(' '), open);
      assert.equal(shares.count, left.length);
      for (const socket of sockets) socket.destroy();
      assert.equal(shares.count, 0);
    });
  }
});
