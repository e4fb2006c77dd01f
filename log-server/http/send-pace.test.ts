import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, it } from 'node:test';

import { SendPace, type SendingSocket } from './send-pace.ts';

/** A socket of which a part of what was written has left. */
class FakeSocket extends EventEmitter {
  bytesWritten = 0;
  writableLength = 0;
  destroyed = false;

  resetAndDestroy(): this {
    this.destroyed = true;
    this.emit('close');
    return this;
  }

  /** The replica writes. */
  write(bytes: number): void {
    this.bytesWritten += bytes;
    this.writableLength += bytes;
  }

  /** The receiver reads. */
  read(bytes: number): void {
    this.writableLength -= Math.min(bytes, this.writableLength);
  }
}

describe('SendPace', () => {
  type Row = readonly [
    why: string,
    step: (socket: FakeSocket, second: number) => void,
    closedAfter: number | undefined,
  ];
  // 1,000 bytes a second, 3 seconds of grace; looked at each second.
  const rows: readonly Row[] = [
    ['closes who reads nothing', (socket, i) => i === 0 && socket.write(9999), 3],
    ['closes who drips', (socket) => (socket.write(500), socket.read(100)), 4],
    [
      'closes who reads half of the pace, later',
      (socket) => (socket.write(900), socket.read(500)),
      6,
    ],
    [
      'lets go on who keeps the pace',
      (socket) => (socket.write(1100), socket.read(1000)),
      undefined,
    ],
    [
      'counts no time in which nothing waits',
      (socket, i) => {
        if (i % 10 === 0) socket.write(500);
        else if (i % 10 === 2) socket.read(500);
      },
      undefined,
    ],
    [
      'gives no credit for what was read quickly before',
      (socket, i) => {
        socket.write(100_000);
        if (i < 10) socket.read(90_000);
      },
      12,
    ],
    ['leaves idle ones alone', () => undefined, undefined],
  ];
  for (const [why, step, closedAfter] of rows) {
    it(why, () => {
      const pace = new SendPace({ bytesPerSecond: 1000, graceMs: 3000 }, 1_000_000);
      const socket = new FakeSocket();
      pace.watch(socket as unknown as SendingSocket);
      let closed: number | undefined;
      for (let second = 0; second < 60 && closed === undefined; second++) {
        step(socket, second);
        pace.look(1000);
        if (socket.destroyed) closed = second;
      }
      assert.equal(closed, closedAfter);
      pace.close();
    });
  }
});
