import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { sampleMessages } from '../../fixtures/transcripts/samples.ts';
import { request, testRoster } from '../../fixtures/transcripts/world.ts';
import { decodeMessage, encodeMessage } from '../../verifier/replication/encode-message.ts';
import type { Message } from '../consensus/types.ts';
import { FRAME_PREFIX_LENGTH, decodeFrame, encodeFrame, splitMessages } from './frames.ts';

const SESSION = new Uint8Array(16);
const KEY = new Uint8Array(32);

/** A frame without its length in front. */
const frameOf = (messages: readonly Uint8Array[]): Uint8Array =>
  encodeFrame(SESSION, 1, KEY, messages).subarray(FRAME_PREFIX_LENGTH);

/** The same message as it comes out of a frame, with much else before and behind it. */
function received(bytes: Uint8Array): Uint8Array {
  const junk = new Uint8Array(256 * 1024);
  // As the listener reads it: a part of something larger still.
  const body = Buffer.concat([frameOf([junk, bytes, junk])]);
  const [, message] = splitMessages(decodeFrame(body).payload);
  return message ?? assert.fail('three messages');
}

/** Twice itself, and a little. */
const boundOf = (length: number): number => 2 * length + 256;

interface Part {
  readonly path: string;
  readonly bytes: Uint8Array;
}

function partsOf(value: unknown, path: string): readonly Part[] {
  if (value instanceof Uint8Array) return [{ path, bytes: value }];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => partsOf(inner, `${path}.${key}`));
}

const requests = Array.from({ length: 200 }, (_, i) => request(`a request with the number ${i}`));
const large: readonly Message[] = [
  { kind: 'forward', epoch: 0, requests },
  { kind: 'prefetch', epoch: 0, view: 0, height: 1, start: 0, requests },
];

describe('splitMessages', () => {
  for (const message of [...sampleMessages(testRoster([1, 1, 1, 1])), ...large]) {
    const bytes = encodeMessage(message);
    it(`gives a ${message.kind} of ${bytes.length} bytes that keeps nothing else alive`, () => {
      const own = received(bytes);
      assert.deepEqual(own, bytes);
      assert.ok(own.buffer.byteLength <= boundOf(own.length), `${own.buffer.byteLength} bytes`);
      const decoded = decodeMessage(own);
      assert.deepEqual(decoded, message);
      for (const { path, bytes: part } of partsOf(decoded, message.kind)) {
        // The entries of a body are kept and forgotten together.
        const isEntry = /\.(body|entries)\.\d+$/.test(path);
        const bound = boundOf(isEntry ? own.length : part.length);
        const held = part.buffer.byteLength;
        assert.ok(held <= bound, `${path}: ${held} bytes held for ${part.length}`);
      }
    });
  }

  it('copies nothing that is nearly all of its frame', () => {
    const bytes = encodeMessage({
      kind: 'forward',
      epoch: 0,
      requests: [request('x'.repeat(500))],
    });
    const { payload } = decodeFrame(frameOf([bytes]));
    const [message] = splitMessages(payload);
    assert.equal(message?.buffer, payload.buffer);
    const decoded = decodeMessage(message ?? assert.fail('one message'));
    assert.equal(decoded.kind === 'forward' && decoded.requests[0]?.bytes.buffer, payload.buffer);
  });
});
