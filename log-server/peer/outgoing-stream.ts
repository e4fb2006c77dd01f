// The initiator's end of a stream of frames: one frame under way, whose answer the next one waits for.
import type { Socket } from 'node:net';

import { quote } from '../../verifier/errors.ts';
import { AnswerReader } from './answers.ts';
import { encodeFrame, isAcknowledged } from './frames.ts';
import { PeerRefusal } from './handshake.ts';
import type { SessionKeys } from './handshake.ts';
import { OPENING_COUNTER } from './upgrade.ts';

/** How long a frame may take to be acknowledged before the connection counts as lost. */
const FRAME_TIMEOUT_MS = 15_000;

/** Shorter than the listener's 60 s, so that the end which may not resend never loses the race. */
const IDLE_TIMEOUT_MS = 30_000;

interface UnderWay {
  readonly counter: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** One upgraded connection, and its session. */
export class OutgoingStream {
  readonly #socket: Socket;
  readonly #keys: SessionKeys;
  readonly #timeoutMs: number;
  readonly #answers: AnswerReader = new AnswerReader();
  #counter = OPENING_COUNTER;
  #underWay: UnderWay | undefined;
  #isOpen = true;

  /** @param timeoutMs a shorter one for tests */
  constructor(socket: Socket, keys: SessionKeys, timeoutMs: number = FRAME_TIMEOUT_MS) {
    this.#timeoutMs = timeoutMs;
    this.#socket = socket;
    this.#keys = keys;
    socket.setNoDelay(true);
    socket.setTimeout(IDLE_TIMEOUT_MS, () => this.#end(new PeerRefusal('the stream was idle')));
    socket.on('error', (error) => this.#end(new PeerRefusal(`connection lost: ${error.message}`)));
    socket.once('close', () => this.#end(new PeerRefusal('the connection was lost')));
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.resume();
  }

  /** Whether a frame may be sent. A stream that is over stays so. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Sends one frame; never while another one is under way.
   *
   * @returns when the peer has acknowledged it
   * @throws {PeerRefusal} when the peer refuses it or the stream ends: it may be sent again on another one
   * @throws {Error} when the peer says nothing for too long
   */
  send(messages: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.#isOpen) {
        reject(new PeerRefusal('the stream is over'));
        return;
      }
      if (this.#underWay !== undefined) throw new Error('one frame is under way');
      const counter = ++this.#counter;
      const timer = setTimeout(() => {
        this.#end(new Error(`no answer within ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
      this.#underWay = { counter, resolve, reject, timer };
      const { id, requestKey } = this.#keys;
      this.#socket.write(encodeFrame(id, counter, requestKey, messages));
    });
  }

  close(): void {
    this.#end(new PeerRefusal('the stream was closed'));
  }

  #read(chunk: Uint8Array): void {
    if (!this.#isOpen) return;
    try {
      this.#answered(chunk);
    } catch (error) {
      this.#end(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #answered(chunk: Uint8Array): void {
    const answer = this.#answers.read(chunk);
    if (answer?.kind === 'refused') throw new PeerRefusal(`refused: ${quote(answer.reason)}`);
    const underWay = this.#underWay;
    if (underWay === undefined) throw new PeerRefusal('an answer to nothing');
    if (answer === undefined) return;
    const { id, responseKey } = this.#keys;
    if (!isAcknowledged(answer.mac, id, underWay.counter, responseKey)) {
      throw new PeerRefusal('the acknowledgement does not fit');
    }
    clearTimeout(underWay.timer);
    this.#underWay = undefined;
    underWay.resolve();
  }

  #end(error: Error): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#socket.destroy();
    const underWay = this.#underWay;
    this.#underWay = undefined;
    if (underWay === undefined) return;
    clearTimeout(underWay.timer);
    underWay.reject(error);
  }
}
