// Frames out of a stream of bytes, which comes in whatever pieces the network and the sender like. Nothing is
// held of a frame before its length is known to be allowed and its first bytes name a session that may speak
// here, and never more than twice what has come: a length alone reserves nothing.
import { FRAME_BYTES_MAX, FRAME_HEADER_LENGTH, FRAME_PREFIX_LENGTH } from './frames.ts';
import { PeerRefusal, SESSION_ID_LENGTH } from './handshake.ts';

/** Length and session: what decides whether the rest is held. */
const START_LENGTH: number = FRAME_PREFIX_LENGTH + SESSION_ID_LENGTH;

/** What a frame gets at least once its session is known (or all it needs): one read of a socket. */
const FIRST_HOLD_BYTES: number = 64 * 1024;

const NOTHING: Uint8Array = new Uint8Array(0);

/** Takes one stream apart. After a refusal it must not be used any more. */
export class FrameReader {
  readonly #mayHold: (session: Uint8Array) => boolean;
  /** The start of a frame that is not whole, its length in front. */
  #held: Uint8Array = NOTHING;
  #heldLength = 0;
  /** How much must be there before the next step. */
  #wanted = FRAME_PREFIX_LENGTH;

  /** @param mayHold whether frames of this session may come on this stream; asked once for each frame */
  constructor(mayHold: (session: Uint8Array) => boolean) {
    this.#mayHold = mayHold;
  }

  /** Whether no frame has begun that is not whole. */
  get isBetweenFrames(): boolean {
    return this.#heldLength === 0;
  }

  /**
   * Takes in what has come.
   *
   * @param whole gets each frame that is whole now, in order, without its length in front: a view into `chunk`
   *   where that has all of it
   * @throws {PeerRefusal} when a length is out of bounds, or a frame of another session begins
   */
  read(chunk: Uint8Array, whole: (frame: Uint8Array) => void): void {
    let rest = chunk;
    while (rest.length > 0) {
      const length = this.isBetweenFrames ? this.#wholeLength(rest) : undefined;
      if (length === undefined) {
        rest = this.#hold(rest, whole);
      } else {
        whole(rest.subarray(FRAME_PREFIX_LENGTH, length));
        rest = rest.subarray(length);
      }
    }
  }

  /** Length of the frame that these bytes begin with, if all of it is there. */
  #wholeLength(bytes: Uint8Array): number | undefined {
    if (bytes.length < START_LENGTH) return undefined;
    const length = wireLength(bytes);
    if (bytes.length < length) return undefined;
    this.#checkSession(bytes);
    return length;
  }

  /** Puts bytes to what is held, up to the next step. @returns those behind it */
  #hold(bytes: Uint8Array, whole: (frame: Uint8Array) => void): Uint8Array {
    const part = bytes.subarray(0, this.#wanted - this.#heldLength);
    this.#append(part);
    if (this.#heldLength === this.#wanted) this.#step(whole);
    return bytes.subarray(part.length);
  }

  #step(whole: (frame: Uint8Array) => void): void {
    const held = this.#held;
    switch (this.#wanted) {
      case FRAME_PREFIX_LENGTH:
        wireLength(held);
        this.#wanted = START_LENGTH;
        break;
      case START_LENGTH:
        this.#checkSession(held);
        this.#wanted = wireLength(held);
        break;
      default: {
        const frame = held.subarray(FRAME_PREFIX_LENGTH, this.#wanted);
        this.#held = NOTHING;
        this.#heldLength = 0;
        this.#wanted = FRAME_PREFIX_LENGTH;
        whole(frame);
      }
    }
  }

  #append(part: Uint8Array): void {
    const length = this.#heldLength + part.length;
    if (length > this.#held.length) {
      const room = Math.max(length, 2 * this.#held.length, FIRST_HOLD_BYTES);
      const most = Math.max(this.#wanted, START_LENGTH);
      const grown = new Uint8Array(Math.min(room, most));
      grown.set(this.#held.subarray(0, this.#heldLength));
      this.#held = grown;
    }
    this.#held.set(part, this.#heldLength);
    this.#heldLength = length;
  }

  #checkSession(start: Uint8Array): void {
    if (!this.#mayHold(start.subarray(FRAME_PREFIX_LENGTH, START_LENGTH))) {
      throw new PeerRefusal('unknown session');
    }
  }
}

/** Length of a frame and of the length in front of it. */
function wireLength(bytes: Uint8Array): number {
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0);
  if (length < FRAME_HEADER_LENGTH) throw new PeerRefusal('frame shorter than its header');
  if (length > FRAME_BYTES_MAX) throw new PeerRefusal('frame too long');
  return FRAME_PREFIX_LENGTH + length;
}
