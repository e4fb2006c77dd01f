import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import { silentLog } from '../log.ts';
import { Dialer } from './dialer.ts';
import { PeerRefusal } from './handshake.ts';
import { PeerListener } from './listener.ts';

/** Only a hang meets it. */
const PATIENCE_MS = 120_000;

const HOST = '127.0.0.1';
const key = (n: number): SigningKey => SigningKey.fromSeed(new Uint8Array(32).fill(n));
const [ALICE, BOB] = [key(1), key(2)];

describe('Dialer', { timeout: PATIENCE_MS }, () => {
  it('does not greet a peer again and again that takes one frame of each session', async () => {
    let frames = 0;
    let greetings = 0;
    const listener = new PeerListener(
      () => ({
        context: { origin: 'log.example', epoch: 0, signer: BOB },
        peers: new Set([publicKeyHex(ALICE.publicKey)]),
      }),
      {
        received: () => {
          frames += 1;
          if (frames % 2 === 0) throw new PeerRefusal('not this one');
        },
        room: () => undefined,
        connected: () => (greetings += 1),
      },
      silentLog,
    );
    const port = await listener.listen(HOST, 0);
    let nowMs = 0;
    const losses: string[] = [];
    const dialer = new Dialer(
      `http://${HOST}:${port}`,
      BOB.publicKey,
      () => ({ origin: 'log.example', epoch: 0, signer: ALICE }),
      { connected: () => undefined, lost: (reason) => losses.push(reason) },
      () => nowMs,
    );
    const talkUntil = async (isSo: () => boolean): Promise<void> => {
      while (!isSo()) {
        dialer.send(Uint8Array.of(1));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    };
    try {
      await talkUntil(() => losses.length === 1 || greetings > 20);
      assert.equal(greetings, 10);
      assert.match(losses[0] ?? '', /greeted enough/);
      nowMs = 3000;
      await talkUntil(() => losses.length === 2);
      assert.equal(greetings, 13);
    } finally {
      await dialer.close();
      await listener.close();
    }
  });
});
