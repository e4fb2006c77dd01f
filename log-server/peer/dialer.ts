// The initiator's side: one stream to one peer, one frame under way, and behind it the outbox. What
// gathers while a frame is on its way leaves together in the next one, so that the cost per message falls
// as the load rises.
import { randomInt } from 'node:crypto';

import type { PublicKey } from '../../verifier/ed25519.ts';
import { TokenBucket } from '../http/limits.ts';
import { FRAME_BYTES_MAX, FRAME_HEADER_LENGTH, FRAME_MESSAGES_MAX } from './frames.ts';
import { PeerRefusal } from './handshake.ts';
import type { HandshakeContext } from './handshake.ts';
import type { OutgoingStream } from './outgoing-stream.ts';
import { Outbox } from './outbox.ts';
import { PeerClient } from './peer-client.ts';

/** Pause after a failure: doubles from the first to the last, so that a dead peer costs little. */
const BACKOFF_FIRST_MS = 50;
const BACKOFF_LAST_MS = 2000;

/**
 * Handshakes with one peer, and how many more each second. Each is signatures and key exchanges on the thread that
 * votes, and a peer that took one frame of each session and refused the next had a hundred of them a second. Pauses
 * after failures keep far below.
 */
const GREETINGS = 10;
const GREETINGS_PER_SECOND = 1;

/** What the dialer reports. */
export interface DialerEvents {
  /** The peer has acknowledged a frame for the first time since the last loss. */
  connected(): void;
  /** Once per loss, with its reason; `dropped` messages were lost with it. */
  lost(reason: string, dropped: number): void;
}

/** Sends to one peer. */
export class Dialer {
  readonly #client: PeerClient;
  readonly #outbox = new Outbox();
  readonly #peer: PublicKey;
  readonly #context: () => HandshakeContext;
  readonly #events: DialerEvents;
  readonly #greetings: TokenBucket;
  #stream: OutgoingStream | undefined;
  #isRunning = false;
  #isClosed = false;
  #isConnected = false;
  #failures = 0;
  #wake: (() => void) | undefined;

  /**
   * @param peerUrl base address of the peer's listener, without a final slash
   * @param nowMs a monotonic clock
   */
  constructor(
    peerUrl: string,
    peer: PublicKey,
    context: () => HandshakeContext,
    events: DialerEvents,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#greetings = new TokenBucket(GREETINGS, GREETINGS_PER_SECOND, nowMs);
    this.#peer = peer;
    this.#context = context;
    this.#events = events;
    this.#client = new PeerClient(peerUrl);
  }

  /** Queues a message; see `Outbox.push`. Sending starts at the end of this event-loop turn. */
  send(message: Uint8Array, replaces?: string): boolean {
    if (this.#isClosed) return false;
    const queued = this.#outbox.push(message, replaces);
    if (!this.#isRunning) {
      this.#isRunning = true;
      setImmediate(() => void this.#run());
    }
    return queued;
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** Messages dropped because the peer was slow or away. */
  get dropped(): number {
    return this.#outbox.dropped;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#outbox.clear();
    this.#wake?.();
    this.#stream?.close();
    await this.#client.close();
  }

  async #run(): Promise<void> {
    while (!this.#isClosed && !this.#outbox.isEmpty) {
      try {
        await this.#flush();
        if (!this.#isConnected) {
          this.#isConnected = true;
          this.#events.connected();
        }
        this.#failures = 0;
      } catch (error) {
        await this.#failed(error);
      }
    }
    this.#isRunning = false;
  }

  async #failed(error: unknown): Promise<void> {
    this.#stream?.close();
    this.#stream = undefined;
    if (this.#isClosed) return;
    // What waits is stale when the peer is back; the status exchange says what it needs then.
    const waiting = this.#outbox.length;
    this.#outbox.clear();
    if (this.#isConnected || this.#failures === 0) {
      this.#isConnected = false;
      this.#events.lost(error instanceof Error ? error.message : String(error), waiting);
    }
    const pause = Math.min(BACKOFF_FIRST_MS * 2 ** this.#failures, BACKOFF_LAST_MS);
    this.#failures = Math.min(this.#failures + 1, 16);
    // Jitter, so that replicas which lost each other at one moment don't all come back at one.
    await this.#sleep(pause / 2 + randomInt(Math.ceil(pause / 2) + 1));
  }

  async #sleep(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      timer.unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  async #flush(): Promise<void> {
    const kept = this.#stream?.isOpen === true ? this.#stream : undefined;
    const stream = kept ?? (await this.#open());
    // Taken only now: whatever came in during the handshake goes along.
    const messages = this.#outbox.take(FRAME_BYTES_MAX - FRAME_HEADER_LENGTH, FRAME_MESSAGES_MAX);
    try {
      await stream.send(messages);
    } catch (error) {
      // A peer that was restarted, or something between us that forgets connections, has let the old stream
      // end: greet it again, once. What it has twice then does no harm.
      if (kept === undefined || !(error instanceof PeerRefusal) || this.#isClosed) throw error;
      const again = await this.#open();
      await again.send(messages);
    }
  }

  async #open(): Promise<OutgoingStream> {
    if (!this.#greetings.take()) throw new Error('it ends every stream, and was greeted enough');
    const stream = await this.#client.open(this.#context(), this.#peer);
    if (this.#isClosed) {
      stream.close();
      throw new PeerRefusal('the dialer was closed');
    }
    this.#stream = stream;
    return stream;
  }
}
