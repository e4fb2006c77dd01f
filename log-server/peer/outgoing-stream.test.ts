import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { withSockets } from '../../fixtures/socket-pair.ts';
import { utf8 } from '../../verifier/bytes.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import { encodeAcknowledgement, encodeRefusal } from './answers.ts';
import { acknowledge, encodeFrame } from './frames.ts';
import { PeerRefusal } from './handshake.ts';
import type { SessionKeys } from './handshake.ts';
import { OutgoingStream } from './outgoing-stream.ts';

/** Only a hang meets it. */
const PATIENCE_MS = 120_000;

describe('OutgoingStream', { timeout: PATIENCE_MS }, () => {
  const keys: SessionKeys = {
    id: new Uint8Array(16).fill(1),
    peer: SigningKey.fromSeed(new Uint8Array(32).fill(2)).publicKey,
    peerEpoch: 0,
    requestKey: new Uint8Array(32).fill(2),
    responseKey: new Uint8Array(32).fill(3),
  };
  const answerOf = (counter: number, secret = keys.responseKey): Uint8Array =>
    encodeAcknowledgement(acknowledge(keys.id, counter, secret));

  it('sends one frame after the other, each acknowledged by its own MAC', async () => {
    await withSockets(async (near, far) => {
      const stream = new OutgoingStream(near, keys);
      const got: Buffer[] = [];
      far.on('data', (chunk: Buffer) => {
        got.push(chunk);
        far.write(answerOf(1 + got.length));
      });
      await stream.send([utf8('one')]);
      await stream.send([utf8('two')]);
      assert.deepEqual(got, [
        Buffer.from(encodeFrame(keys.id, 2, keys.requestKey, [utf8('one')])),
        Buffer.from(encodeFrame(keys.id, 3, keys.requestKey, [utf8('two')])),
      ]);
      assert.ok(stream.isOpen, 'the stream is open');
    });
  });

  const answers: readonly [string, (far: Socket) => void, RegExp][] = [
    ['is refused', (far) => far.write(encodeRefusal('no "more"')), /refused: "no \\"more\\""/],
    ['is acknowledged by somebody else', (far) => far.write(answerOf(2, keys.id)), /does not fit/],
    ['is acknowledged as another one', (far) => far.write(answerOf(3)), /does not fit/],
    [
      'gets two answers',
      (far) => far.write(Buffer.concat([answerOf(2), answerOf(2)])),
      /more than/,
    ],
    ['gets HTTP back', (far) => far.write('HTTP/1.1 400 Bad Request\r\n\r\n'), /no known kind/],
    ['loses its connection', (far) => far.destroy(), /connection/],
    ['loses half of its connection', (far) => far.end(), /connection/],
  ];
  for (const [why, answer, reason] of answers) {
    it(`ends when a frame ${why}, and may be replaced`, async () => {
      await withSockets(async (near, far) => {
        const stream = new OutgoingStream(near, keys);
        far.once('data', () => answer(far));
        await assert.rejects(
          stream.send([utf8('one')]),
          (error) => error instanceof PeerRefusal && reason.test(error.message),
        );
        assert.equal(stream.isOpen, false);
        await assert.rejects(stream.send([utf8('two')]), PeerRefusal);
      });
    });
  }

  it('ends when a peer says nothing, or not all of an answer, and is not to be replaced at once', async () => {
    for (const part of [0, 32]) {
      await withSockets(async (near, far) => {
        const stream = new OutgoingStream(near, keys, 100);
        far.once('data', () => far.write(answerOf(2).subarray(0, part)));
        await assert.rejects(
          stream.send([utf8('one')]),
          (error: Error) => !(error instanceof PeerRefusal) && /no answer/.test(error.message),
        );
        assert.equal(stream.isOpen, false);
      });
    }
  });

  it('ends when it gets an answer to nothing', async () => {
    await withSockets(async (near, far) => {
      const stream = new OutgoingStream(near, keys);
      far.resume();
      far.write(answerOf(2));
      await new Promise((resolve) => far.once('close', resolve));
      assert.equal(stream.isOpen, false);
    });
  });
});
