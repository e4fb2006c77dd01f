import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { concat, utf8 } from '../../../verifier/bytes.ts';
import { SigningKey } from '../../../verifier/node/signing-key.ts';
import {
  AGENT_FRAME_BYTES_MAX,
  AgentAnswerError,
  decodeKeys,
  decodeSignature,
  encodeFrame,
  encodeSignRequest,
  fingerprint,
  frameLength,
} from './wire.ts';

const KEY = SigningKey.fromSeed(new Uint8Array(32).fill(7));

// The answers of an agent that holds one key, put together from their parts.
const BLOB = concat(encodeFrame(utf8('ssh-ed25519')), encodeFrame(KEY.publicKey));
const KEYS = concat(
  Uint8Array.of(12, 0, 0, 0, 1),
  encodeFrame(BLOB),
  encodeFrame(utf8('alice@laptop')),
);
const SIGNED = concat(
  Uint8Array.of(14),
  encodeFrame(concat(encodeFrame(utf8('ssh-ed25519')), encodeFrame(new Uint8Array(64)))),
);

/** Whether it is read, or refused as an answer; anything else is a bug. */
function isRead(decode: () => unknown): boolean {
  try {
    decode();
    return true;
  } catch (error) {
    assert.ok(error instanceof AgentAnswerError, String(error));
    return false;
  }
}

describe('the agent protocol', () => {
  it('reads what an agent answers', () => {
    const { keys, others } = decodeKeys(KEYS);
    assert.deepEqual(keys, [{ publicKey: KEY.publicKey, comment: 'alice@laptop' }]);
    assert.equal(others, 0);
    assert.deepEqual(decodeSignature(SIGNED), new Uint8Array(64));
    assert.equal(decodeSignature(Uint8Array.of(5)), undefined);
  });

  it('asks for a signature without flags', () => {
    const request = encodeSignRequest(KEY.publicKey, utf8('m'));
    const expected = concat(Uint8Array.of(13), encodeFrame(BLOB), encodeFrame(utf8('m')));
    assert.deepEqual(request, concat(expected, new Uint8Array(4)));
  });

  it('shows a key as ssh-add does', () => {
    // ssh-keygen -l -E sha256 of the key with the seed 07…07.
    assert.equal(fingerprint(KEY.publicKey), 'SHA256:z/fSv0Z0RZS+Lccbc6ZoOWwt/fbj1VFJGSBKQbo4icE');
  });

  it('knows how long a frame is, and takes none that is too long', () => {
    const frame = (length: number): Uint8Array => {
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setUint32(0, length);
      return bytes;
    };
    assert.equal(frameLength(frame(5).subarray(0, 3)), undefined);
    assert.equal(frameLength(frame(AGENT_FRAME_BYTES_MAX)), AGENT_FRAME_BYTES_MAX);
    for (const length of [0, AGENT_FRAME_BYTES_MAX + 1, 0xffff_ffff]) {
      assert.throws(() => frameLength(frame(length)), AgentAnswerError);
    }
  });

  it('refuses every beginning of an answer, and everything after one', () => {
    for (const [whole, decode] of [
      [KEYS, decodeKeys],
      [SIGNED, decodeSignature],
    ] as const) {
      for (let end = 0; end < whole.length; end++) {
        assert.equal(
          isRead(() => decode(whole.subarray(0, end))),
          false,
          `${end} bytes`,
        );
      }
      assert.equal(
        isRead(() => decode(concat(whole, Uint8Array.of(0)))),
        false,
      );
    }
  });

  it('ends in an answer or a refusal whatever comes', () => {
    const mutated = (whole: Uint8Array): fc.Arbitrary<Uint8Array> =>
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
        const bytes = Uint8Array.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        return bytes;
      });
    const anything = fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated(KEYS), mutated(SIGNED));
    fc.assert(
      fc.property(anything, (bytes) => {
        isRead(() => decodeKeys(bytes));
        isRead(() => decodeSignature(bytes));
      }),
      { numRuns: 2000 },
    );
  });
});
