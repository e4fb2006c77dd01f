// The responder's end of a stream of frames: reads frames within bounds, hands each on, and writes its answer.
import type { Duplex } from 'node:stream';

import { equalBytes } from '../../verifier/bytes.ts';
import { encodeAcknowledgement, encodeRefusal } from './answers.ts';
import { FrameReader } from './frame-reader.ts';
import { PeerRefusal } from './handshake.ts';
import { farewell } from './upgrade.ts';

/** A peer that sends a frame has it ready; one that takes longer is a stalled connection. */
const FRAME_TIMEOUT_MS = 20_000;

/** A stream on which nothing moves that long is closed. Longer than the dialer's, which may not resend. */
const IDLE_TIMEOUT_MS = 60_000;

/** As much of a socket as a stream needs. */
export interface FrameSocket extends Duplex {
  setNoDelay(noDelay: boolean): unknown;
  /** @param callback called when nothing has moved for so long */
  setTimeout(milliseconds: number, callback: () => void): unknown;
}

/** What a stream asks and tells its listener. */
export interface IncomingEvents {
  /** Whether frames of its session are still taken. */
  isLive(): boolean;
  /** A whole frame. @returns its acknowledgement @throws to end the stream */
  frame(bytes: Uint8Array): Uint8Array;
  /** When more may come: at once without a promise. */
  room(): Promise<void> | undefined;
  /** It ends because of what came. */
  refused(error: unknown): void;
  /** It is over, for whatever reason. Once. */
  closed(): void;
}

/** Shorter ones for tests. */
export interface IncomingTimes {
  readonly frameMs: number;
  readonly idleMs: number;
}

const TIMES: IncomingTimes = { frameMs: FRAME_TIMEOUT_MS, idleMs: IDLE_TIMEOUT_MS };

/** One upgraded connection. */
export class IncomingStream {
  readonly session: Uint8Array;
  readonly #socket: FrameSocket;
  readonly #events: IncomingEvents;
  readonly #times: IncomingTimes;
  readonly #reader: FrameReader;
  /** Runs while a frame has begun and is not whole: whatever comes meanwhile, it must end. */
  #stalled: NodeJS.Timeout | undefined;
  /** The last frame is not answered, since its sender has to wait. */
  #isHeld = false;
  #isOver = false;

  /** @param session the only one whose frames may come here */
  constructor(
    socket: FrameSocket,
    session: Uint8Array,
    events: IncomingEvents,
    times: IncomingTimes = TIMES,
  ) {
    this.session = session;
    this.#socket = socket;
    this.#events = events;
    this.#times = times;
    this.#reader = new FrameReader((named) => equalBytes(named, session) && events.isLive());
    socket.setNoDelay(true);
    socket.setTimeout(times.idleMs, () => this.close());
    socket.on('error', () => undefined);
    // Half a connection is none.
    socket.on('end', () => this.close());
    socket.on('drain', () => {
      if (!this.#isOver) socket.resume();
    });
    socket.once('close', () => this.#closed());
  }

  /** Starts reading. @param head what came behind the request for the upgrade */
  start(head: Uint8Array): void {
    // Also before the first frame: or whoever is to wait opens another stream.
    this.#whenRoom(() => {
      if (head.length > 0) this.#read(head);
      this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    });
  }

  close(): void {
    this.#isOver = true;
    this.#socket.destroy();
  }

  #read(chunk: Uint8Array): void {
    if (this.#isOver) return;
    try {
      if (this.#isHeld) throw tooEarly();
      const frame = this.#frameOf(chunk);
      if (frame !== undefined) {
        const acknowledgement = this.#events.frame(frame);
        // Nobody sends the next one before the answer to this one.
        this.#whenRoom(() => this.#answer(acknowledgement));
      }
    } catch (error) {
      this.#refuse(error);
      return;
    }
    if (this.#reader.isBetweenFrames) {
      this.#clearStalled();
      return;
    }
    this.#stalled ??= setTimeout(() => {
      this.#refuse(new PeerRefusal('a frame took too long'));
    }, this.#times.frameMs).unref();
  }

  /**
   * The frame that ends here, if one does. A peer waits for the answer to it: a thousand empty ones behind each
   * other are one packet, and half a second in which nobody else is heard.
   */
  #frameOf(chunk: Uint8Array): Uint8Array | undefined {
    const frames: Uint8Array[] = [];
    this.#reader.read(chunk, (frame) => frames.push(frame));
    const [frame] = frames;
    if (frames.length > 1 || (frame !== undefined && !this.#reader.isBetweenFrames)) {
      throw tooEarly();
    }
    return frame;
  }

  #whenRoom(then: () => void): void {
    const room = this.#events.room();
    if (room === undefined) {
      then();
      return;
    }
    this.#isHeld = true;
    void room.then(() => {
      this.#isHeld = false;
      if (!this.#isOver) then();
    });
  }

  #answer(acknowledgement: Uint8Array): void {
    // Whoever takes no answers gets no more read: or they would gather here without bound.
    if (!this.#socket.write(encodeAcknowledgement(acknowledgement))) this.#socket.pause();
  }

  #refuse(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#clearStalled();
    this.#events.refused(error);
    const isExpected = error instanceof PeerRefusal;
    farewell(this.#socket, encodeRefusal(isExpected ? error.message : 'the frame failed here'));
  }

  #closed(): void {
    this.#isOver = true;
    this.#clearStalled();
    this.#events.closed();
  }

  #clearStalled(): void {
    clearTimeout(this.#stalled);
    this.#stalled = undefined;
  }
}

function tooEarly(): PeerRefusal {
  return new PeerRefusal('a frame came before the answer to the one before it');
}
