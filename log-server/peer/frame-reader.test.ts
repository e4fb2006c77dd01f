import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { equalBytes } from '../../verifier/bytes.ts';
import { FrameReader } from './frame-reader.ts';
import {
  FRAME_BYTES_MAX,
  FRAME_HEADER_LENGTH,
  FRAME_PREFIX_LENGTH,
  encodeFrame,
} from './frames.ts';
import { PeerRefusal } from './handshake.ts';

const SESSION = new Uint8Array(16).fill(7);
const OTHER = new Uint8Array(16).fill(8);
const KEY = new Uint8Array(32).fill(9);

/** A frame with so many bytes in one message, as it goes on the wire. */
const wire = (length: number, session = SESSION): Uint8Array =>
  encodeFrame(session, 1, KEY, [new Uint8Array(length).fill(length & 0xff)]);

/** The first bytes of a frame that claims a length. */
function claim(length: number, session = SESSION, has = FRAME_HEADER_LENGTH): Uint8Array {
  const start = new Uint8Array(FRAME_PREFIX_LENGTH + has);
  new DataView(start.buffer).setUint32(0, length);
  start.set(session.subarray(0, has), FRAME_PREFIX_LENGTH);
  return start;
}

/** Reads in the given pieces. @returns copies of the frames */
function read(pieces: Iterable<Uint8Array>): { frames: Uint8Array[]; reader: FrameReader } {
  const frames: Uint8Array[] = [];
  const reader = new FrameReader((session) => equalBytes(session, SESSION));
  for (const piece of pieces) reader.read(piece, (frame) => frames.push(Uint8Array.from(frame)));
  return { frames, reader };
}

function* cut(bytes: Uint8Array, places: readonly number[]): Generator<Uint8Array> {
  let from = 0;
  for (const place of [...places.toSorted((a, b) => a - b), bytes.length]) {
    yield bytes.slice(from, place);
    from = place;
  }
}

const contents = (frames: readonly Uint8Array[]): Uint8Array[] =>
  frames.map((frame) => frame.subarray(FRAME_PREFIX_LENGTH));

describe('FrameReader', () => {
  const small = wire(3);
  for (let at = 1; at < small.length; at++) {
    it(`reads a frame that is cut after ${at} bytes`, () => {
      const { frames, reader } = read(cut(small, [at]));
      assert.deepEqual(frames, contents([small]));
      assert.equal(reader.isBetweenFrames, true);
    });
  }

  it('reads one frame byte for byte, and two of them from one piece', () => {
    const places = Array.from({ length: small.length }, (_, i) => i);
    assert.deepEqual(read(cut(small, places)).frames, contents([small]));
    const two = Buffer.concat([small, wire(100_000)]);
    assert.deepEqual(read([two]).frames, contents([small, wire(100_000)]));
  });

  it('reads any frames however they are cut', () => {
    const lengths = fc.array(fc.oneof(fc.nat(40), fc.nat(200_000)), { maxLength: 5 });
    const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 30 });
    fc.assert(
      fc.property(lengths, cuts, (sizes, shares) => {
        const frames = sizes.map((size) => wire(size));
        const all = Buffer.concat(frames);
        const places = shares.map((share) => Math.floor(share * all.length));
        const { frames: found, reader } = read(cut(all, places));
        assert.deepEqual(found, contents(frames));
        assert.equal(reader.isBetweenFrames, true);
      }),
      { numRuns: 60 },
    );
  });

  it('reads the largest frame and says that it has begun', () => {
    const largest = Buffer.concat([claim(FRAME_BYTES_MAX), Buffer.alloc(FRAME_BYTES_MAX)]);
    const whole = largest.subarray(0, FRAME_PREFIX_LENGTH + FRAME_BYTES_MAX);
    const { frames, reader } = read(cut(whole.subarray(0, -1), [5, 70_000]));
    assert.equal(frames.length, 0);
    assert.equal(reader.isBetweenFrames, false);
    reader.read(whole.subarray(-1), (frame) => frames.push(frame));
    assert.equal(frames[0]?.length, FRAME_BYTES_MAX);
  });

  const refused: readonly [why: string, bytes: Uint8Array, RegExp][] = [
    ['no length', claim(0), /shorter than its header/],
    ['no length, and nothing behind it', claim(0, SESSION, 0), /shorter than its header/],
    ['a length below that of a header', claim(FRAME_HEADER_LENGTH - 1), /shorter than its header/],
    ['a length above the largest', claim(FRAME_BYTES_MAX + 1), /too long/],
    ['the largest number', claim(0xffff_ffff), /too long/],
    ['the largest number, and nothing behind it', claim(0xffff_ffff, SESSION, 0), /too long/],
    ['another session', wire(3, OTHER), /unknown session/],
    ['another session, before the rest is there', claim(1000, OTHER, 16), /unknown session/],
    ['noise', Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n'), /too long/],
  ];
  for (const [why, bytes, reason] of refused) {
    it(`refuses ${why}, in one piece or in many, first or behind another frame`, () => {
      const pieces = [
        ...cut(
          bytes,
          Array.from({ length: bytes.length }, (_, i) => i),
        ),
      ];
      for (const way of [[bytes], pieces, [small, bytes], [small, ...pieces]]) {
        assert.throws(
          () => read(way),
          (error) => error instanceof PeerRefusal && reason.test(error.message),
        );
      }
    });
  }

  it('hands on what came whole before what it refuses', () => {
    const frames: Uint8Array[] = [];
    const reader = new FrameReader((session) => equalBytes(session, SESSION));
    const bytes = Buffer.concat([small, claim(0)]);
    assert.throws(() => reader.read(bytes, (frame) => frames.push(frame)), PeerRefusal);
    assert.equal(frames.length, 1);
  });

  it('asks anew for each frame whether its session may go on', () => {
    let mayHold = true;
    const reader = new FrameReader(() => mayHold);
    reader.read(small, () => (mayHold = false));
    assert.throws(() => reader.read(small, () => assert.fail('taken')), /unknown session/);
  });

  it('reserves little for a frame that only claims to be large', () => {
    const reader = new FrameReader(() => true);
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 32 }, () => new FrameReader(() => true));
    for (const one of [...readers, reader]) {
      one.read(claim(FRAME_BYTES_MAX), () => assert.fail('not whole'));
    }
    const held = process.memoryUsage().arrayBuffers - before;
    assert.ok(held < 33 * 128 * 1024, `${held} bytes held by 33 streams`);
  });
});
