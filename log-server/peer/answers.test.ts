import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { AnswerReader, encodeAcknowledgement, encodeRefusal, type Answer } from './answers.ts';
import { PeerRefusal } from './handshake.ts';

const MAC = Uint8Array.from({ length: 32 }, (_, i) => i);

const answers: readonly [why: string, bytes: Uint8Array, Answer][] = [
  ['an acknowledgement', encodeAcknowledgement(MAC), { kind: 'acknowledged', mac: MAC }],
  ['a refusal', encodeRefusal('replayed frame'), { kind: 'refused', reason: 'replayed frame' }],
  ['a refusal without a reason', encodeRefusal(''), { kind: 'refused', reason: '' }],
  [
    'a refusal that goes on and on',
    encodeRefusal('x'.repeat(1000)),
    { kind: 'refused', reason: 'x'.repeat(255) },
  ],
];

describe('AnswerReader', () => {
  for (const [why, bytes, expected] of answers) {
    it(`reads ${why}, wherever it is cut`, () => {
      for (let at = 0; at < bytes.length; at++) {
        const reader = new AnswerReader();
        assert.equal(reader.read(bytes.subarray(0, at)), undefined, `cut at ${at}`);
        assert.deepEqual(reader.read(bytes.subarray(at)), expected, `cut at ${at}`);
      }
    });

    it(`refuses a byte behind ${why}`, () => {
      const more = Uint8Array.of(...bytes, 1);
      assert.throws(() => new AnswerReader().read(more), PeerRefusal);
    });
  }

  it('reads one after the other', () => {
    const reader = new AnswerReader();
    for (let i = 0; i < 3; i++) {
      const mac = MAC.map((byte) => byte + i);
      const answer = reader.read(encodeAcknowledgement(mac));
      assert.deepEqual(answer, { kind: 'acknowledged', mac });
    }
  });

  const refused: readonly [string, Uint8Array][] = [
    ['an unknown kind', Uint8Array.of(0)],
    ['text', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['more than any answer has', new Uint8Array(100_000).fill(1)],
  ];
  for (const [why, bytes] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => new AnswerReader().read(bytes), PeerRefusal);
    });
  }
});
