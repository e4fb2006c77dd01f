import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';

import { withSockets } from '../../fixtures/socket-pair.ts';
import { utf8 } from '../../verifier/bytes.ts';
import { FRAME_BYTES_MAX, encodeFrame } from './frames.ts';
import { IncomingStream } from './incoming-stream.ts';
import type { FrameSocket } from './incoming-stream.ts';

/** Only a hang meets it. */
const PATIENCE_MS = 120_000;

describe('IncomingStream', { timeout: PATIENCE_MS }, () => {
  const keys = { id: new Uint8Array(16), requestKey: new Uint8Array(32) };
  const wire = encodeFrame(keys.id, 1, keys.requestKey, [utf8('hello')]);
  const LONG_MS = 600_000;

  interface Served {
    /** What more has to wait for. */
    room: Promise<void> | undefined;
    readonly stream: IncomingStream;
    readonly refusals: string[];
    readonly closed: Promise<void>;
    frames: number;
  }

  function serve(
    socket: FrameSocket,
    times: { frameMs: number; idleMs: number },
    room?: Promise<void>,
  ): Served {
    let closed: () => void = () => undefined;
    const isClosed = new Promise<void>((resolve) => (closed = resolve));
    const events = {
      isLive: () => true,
      frame: () => {
        served.frames++;
        return new Uint8Array(32);
      },
      room: () => served.room,
      refused: (error: unknown) => served.refusals.push(String(error)),
      closed,
    };
    const stream = new IncomingStream(socket, keys.id, events, times);
    const served: Served = { stream, refusals: [], closed: isClosed, frames: 0, room };
    stream.start(new Uint8Array(0));
    return served;
  }

  it('ends a frame that comes too slowly, however steadily', async () => {
    await withSockets(async (near, far) => {
      const served = serve(near, { frameMs: 100, idleMs: LONG_MS });
      far.write(wire);
      // The next one may not begin before: on a busy machine both would be read at once, and refused for that.
      await once(far, 'data');
      let at = 0;
      const large = new Uint8Array(wire);
      new DataView(large.buffer).setUint32(0, FRAME_BYTES_MAX);
      const drip = setInterval(() => far.write(large.subarray(at % 60, (at++ % 60) + 1)), 5);
      await served.closed;
      clearInterval(drip);
      assert.equal(served.frames, 1);
      assert.deepEqual(served.refusals, ['PeerRefusal: a frame took too long']);
    });
  });

  it('rests between frames for longer than one may take, and not for ever', async () => {
    await withSockets(async (near, far) => {
      const served = serve(near, { frameMs: 1, idleMs: 100 });
      far.write(wire);
      await served.closed;
      assert.equal(served.frames, 1);
      assert.deepEqual(served.refusals, []);
    });
  });

  it('takes its time after a frame that came in pieces', async () => {
    const socket = new StubbornSocket();
    const served = serve(socket, { frameMs: 1, idleMs: LONG_MS });
    // Both are read before any timer runs.
    socket.push(wire.subarray(0, 30));
    socket.push(wire.subarray(30));
    await eventually(() => served.frames === 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(served.refusals, []);
    served.stream.close();
  });

  it('ends with half of the connection', async () => {
    await withSockets(async (near, far) => {
      const served = serve(near, { frameMs: LONG_MS, idleMs: LONG_MS });
      far.end(wire.subarray(0, 10));
      await served.closed;
      assert.equal(served.frames, 0);
    }, true);
  });

  it('reads no more from whoever takes no answers, and goes on when they are taken', async () => {
    const socket = new StubbornSocket();
    const served = serve(socket, { frameMs: LONG_MS, idleMs: LONG_MS });
    // One answer has 33 bytes.
    const enough = Math.ceil(socket.writableHighWaterMark / 33);
    for (let i = 0; i < 2 * enough; i++) socket.push(wire);
    await eventually(() => served.frames >= enough);
    for (let i = 0; i < 20; i++) await turn();
    assert.equal(served.frames, enough);
    socket.takeAll();
    await eventually(() => served.frames === 2 * enough);
    served.stream.close();
  });

  it('answers a frame only when its sender may send more', async () => {
    await withSockets(async (near, far) => {
      const served = serve(near, { frameMs: LONG_MS, idleMs: LONG_MS });
      const answers: Buffer[] = [];
      far.on('data', (bytes: Buffer) => answers.push(bytes));
      const read = new Room();
      served.room = read.told;
      far.write(wire);
      await eventually(() => served.frames === 1);
      for (let i = 0; i < 20; i++) await turn();
      assert.equal(answers.length, 0);
      served.room = undefined;
      read.tell();
      await eventually(() => answers.length === 1);
      far.write(wire);
      await eventually(() => served.frames === 2);
      served.stream.close();
    });
  });

  it('takes no second frame from whoever has to wait', async () => {
    await withSockets(async (near, far) => {
      const served = serve(near, { frameMs: LONG_MS, idleMs: LONG_MS });
      served.room = new Room().told;
      far.write(wire);
      await eventually(() => served.frames === 1);
      far.write(wire);
      await eventually(() => served.refusals.length > 0 || served.frames > 1);
      assert.equal(served.frames, 1);
      const [refusal] = served.refusals;
      assert.match(refusal ?? '', /before the answer to the one before/);
    });
  });

  it('reads nothing of another stream of theirs before that', async () => {
    await withSockets(async (near, far) => {
      const read = new Room();
      const served = serve(near, { frameMs: LONG_MS, idleMs: LONG_MS }, read.told);
      far.write(wire);
      for (let i = 0; i < 20; i++) await turn();
      assert.equal(served.frames, 0);
      served.room = undefined;
      read.tell();
      await eventually(() => served.frames === 1);
      served.stream.close();
    });
  });
});

/** What somebody waits for. */
class Room {
  readonly told: Promise<void>;
  tell: () => void = () => undefined;

  constructor() {
    this.told = new Promise((resolve) => (this.tell = resolve));
  }
}

/** A socket whose other end takes nothing until it is told to. */
class StubbornSocket extends Duplex {
  #waiting: (() => void)[] = [];
  #takes = false;

  override _read(): void {
    // Is pushed to.
  }

  override _write(_: unknown, __: unknown, done: () => void): void {
    if (this.#takes) done();
    else this.#waiting.push(done);
  }

  takeAll(): void {
    this.#takes = true;
    for (const done of this.#waiting) done();
    this.#waiting = [];
  }

  setNoDelay(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

async function eventually(isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!isSo()) {
    assert.ok(Date.now() < deadline, 'it never came');
    await turn();
  }
}
