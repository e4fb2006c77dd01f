// How slowly answers may be taken. Whoever asked for an artifact and read nothing kept a socket, and what was
// read of the file, for ever: Node has no limit for it. So all sockets are looked at now and then: one that
// has something to send, and gets rid of less than the pace asks for, is closed.
import type { Socket } from 'node:net';

import { Pace, type PaceLimits } from './pace.ts';

/**
 * What everybody has to read at who reads an answer: a tenth of a slow mobile connection. Whoever holds a
 * socket at that pace pays for it with traffic.
 *
 * The grace is what the largest piece of an answer (routes.ts) may take at that pace, and some lost packets.
 */
export const SEND_PACE: PaceLimits = { bytesPerSecond: 32 * 1024, graceMs: 15_000 };

/** How often sockets are looked at, milliseconds. */
const INTERVAL_MS = 1000;

interface Watched {
  pace: Pace;
  /** Bytes that had left when it was last looked at; absent when none waited. */
  left: number | undefined;
}

/** What is looked at of a socket. */
export type SendingSocket = Pick<
  Socket,
  'bytesWritten' | 'writableLength' | 'resetAndDestroy' | 'once'
>;

/** Closes the sockets of those who don't read. */
export class SendPace {
  readonly #limits: PaceLimits;
  readonly #sockets = new Map<SendingSocket, Watched>();
  readonly #timer: NodeJS.Timeout;

  /** @param intervalMs how often it looks */
  constructor(limits: PaceLimits = SEND_PACE, intervalMs: number = INTERVAL_MS) {
    this.#limits = limits;
    let lookedMs = performance.now();
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      // What this thread overslept is not their fault: nothing could leave meanwhile.
      this.look(Math.min(nowMs - lookedMs, 2 * intervalMs));
      lookedMs = nowMs;
    }, intervalMs).unref();
  }

  watch(socket: SendingSocket): void {
    this.#sockets.set(socket, { pace: new Pace(this.#limits), left: undefined });
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** Looks at all of them, so many milliseconds after the last time. */
  look(elapsedMs: number): void {
    for (const [socket, watched] of this.#sockets) {
      // Waiting for us is not counted, and whoever has read all begins anew.
      if (socket.writableLength === 0) {
        if (watched.left !== undefined) watched.pace = new Pace(this.#limits);
        watched.left = undefined;
        continue;
      }
      const left = socket.bytesWritten - socket.writableLength;
      if (watched.left !== undefined) watched.pace.received(left - watched.left, elapsedMs);
      watched.left = left;
      // Reset: closed in order, the system would keep megabytes for whoever never reads them.
      if (watched.pace.patienceMs <= 0) socket.resetAndDestroy();
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
