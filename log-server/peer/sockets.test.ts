import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { PeerSockets, type SocketLimits } from './sockets.ts';

/** What the sockets are asked and told of a socket. */
class FakeSocket extends EventEmitter {
  readonly remoteAddress: string;
  destroyed = false;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroy(): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    // As Node does: not within the call.
    setImmediate(() => this.emit('close'));
    return this;
  }
}

const LIMITS: SocketLimits = { strangersMax: 6, perNetwork: 4, perPeer: 2, patienceMs: 60_000 };

/**
 * Plays who connects and who proves themselves.
 *
 * @param script `a` connects from network a, `a=r` proves on the newest of a to be r, `a-` ends a's newest
 * @returns what is open, in the order of connecting
 */
async function play(script: string, limits = LIMITS): Promise<string> {
  const sockets = new PeerSockets(limits);
  const all: { readonly name: string; readonly socket: FakeSocket }[] = [];
  for (const [i, step] of script.split(' ').entries()) {
    const [network, what] = [step.slice(0, 1), step.slice(1)];
    const newest = all.findLast(({ name }) => name.startsWith(network))?.socket;
    if (what === '') {
      const socket = new FakeSocket(`192.0.2.${network.charCodeAt(0)}`);
      all.push({ name: `${network}${i}`, socket });
      sockets.accepted(socket as unknown as Socket);
    } else if (what === '-') {
      newest?.destroy();
    } else {
      sockets.proven(newest as unknown as Socket, what.slice(1));
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  const open = all.filter(({ socket }) => !socket.destroyed).map(({ name }) => name);
  for (const { socket } of all) socket.destroy();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(sockets.strangers, 0, 'none is counted for ever');
  return open.join(' ');
}

describe('PeerSockets', () => {
  const rows: readonly (readonly [why: string, script: string, open: string])[] = [
    ['lets strangers connect', 'a b c', 'a0 b1 c2'],
    ['closes the oldest of a network that has its share', 'a b a a a a', 'b1 a2 a3 a4 a5'],
    ['takes from whoever has most when all are taken', 'b a a a c c a', 'b0 a2 a3 c4 c5 a6'],
    ['never closes a replica’s for a stranger', 'a a=r a a a a a', 'a0 a3 a4 a5 a6'],
    ['counts no stranger’s that was closed', 'a a- a a a a', 'a2 a3 a4 a5'],
    ['closes the oldest of a replica that has its share', 'a a=r b b=r c c=r', 'b2 c4'],
    ['takes a second proof for nothing new', 'a a=r a=r a=r b b=r', 'a0 b4'],
    ['leaves one replica’s to it when another proves itself', 'a a=r b b=s c c=s', 'a0 b2 c4'],
  ];
  for (const [why, script, open] of rows) {
    it(why, async () => assert.equal(await play(script), open));
  }

  it('waits for nobody’s proof for ever, and for a replica as long as it likes', async () => {
    const sockets = new PeerSockets({ ...LIMITS, patienceMs: 5 });
    const [stranger, replica] = [new FakeSocket('192.0.2.1'), new FakeSocket('192.0.2.2')];
    for (const socket of [stranger, replica]) sockets.accepted(socket as unknown as Socket);
    sockets.proven(replica as unknown as Socket, 'r');
    while (!stranger.destroyed) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(replica.destroyed, false);
  });
});
