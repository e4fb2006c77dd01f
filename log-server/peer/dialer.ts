// The initiator's side: one long-lived connection to one peer, one POST in flight, and behind it the
// outbox. What gathers while a POST is on its way leaves together in the next one, so that the cost per
// message falls as the load rises.
import { randomInt } from 'node:crypto';

import { Client } from 'undici';

import { concat } from '../../verifier/bytes.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import type { PublicKey } from '../../verifier/ed25519.ts';
import {
  FRAME_BYTES_MAX,
  FRAME_HEADER_LENGTH,
  FRAME_MESSAGES_MAX,
  encodeFrame,
  isAcknowledged,
} from './frames.ts';
import { HANDSHAKE_LENGTH_MAX, Initiator, PeerRefusal } from './handshake.ts';
import type { HandshakeContext, SessionKeys } from './handshake.ts';
import { Outbox } from './outbox.ts';

/** How long one POST may take before the connection counts as lost. */
const REQUEST_TIMEOUT_MS = 15_000;
const CONNECT_TIMEOUT_MS = 3000;

/** Pause after a failure: doubles from the first to the last, so that a dead peer costs little. */
const BACKOFF_FIRST_MS = 50;
const BACKOFF_LAST_MS = 2000;

/** Largest answer: a welcome. */
const ANSWER_BYTES_MAX = HANDSHAKE_LENGTH_MAX;

/** What the dialer reports. */
export interface DialerEvents {
  /** The peer has acknowledged a frame for the first time since the last loss. */
  connected(): void;
  /** Once per loss, with its reason; `dropped` messages were lost with it. */
  lost(reason: string, dropped: number): void;
}

/** Sends to one peer. */
export class Dialer {
  readonly #client: Client;
  readonly #outbox = new Outbox();
  readonly #peer: PublicKey;
  readonly #context: () => HandshakeContext;
  readonly #events: DialerEvents;
  #session: { readonly keys: SessionKeys; counter: number } | undefined;
  #isRunning = false;
  #isClosed = false;
  #isConnected = false;
  #failures = 0;
  #wake: (() => void) | undefined;

  /** @param peerUrl base address of the peer's listener, without a final slash */
  constructor(
    peerUrl: string,
    peer: PublicKey,
    context: () => HandshakeContext,
    events: DialerEvents,
  ) {
    this.#peer = peer;
    this.#context = context;
    this.#events = events;
    this.#client = new Client(peerUrl, {
      pipelining: 1,
      connect: { timeout: CONNECT_TIMEOUT_MS },
      headersTimeout: REQUEST_TIMEOUT_MS,
      bodyTimeout: REQUEST_TIMEOUT_MS,
      // Shorter than the listener's 60 s, so that the end which may not resend never loses the race.
      keepAliveTimeout: 30_000,
      keepAliveMaxTimeout: 50_000,
      maxResponseSize: ANSWER_BYTES_MAX,
      maxHeaderSize: 4096,
    });
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
    await this.#client.destroy();
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
    this.#session = undefined;
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
    const isFresh = this.#session === undefined;
    this.#session ??= { keys: await this.#greet(), counter: 0 };
    // Taken only now: whatever came in during the handshake goes along.
    const messages = this.#outbox.take(FRAME_BYTES_MAX - FRAME_HEADER_LENGTH, FRAME_MESSAGES_MAX);
    try {
      await this.#post(this.#session, messages);
    } catch (error) {
      // A peer that was restarted does not know the session any more: greet it again, once.
      if (isFresh || !(error instanceof PeerRefusal)) throw error;
      this.#session = { keys: await this.#greet(), counter: 0 };
      await this.#post(this.#session, messages);
    }
  }

  async #post(
    session: { readonly keys: SessionKeys; counter: number },
    messages: readonly Uint8Array[],
  ): Promise<void> {
    const { keys } = session;
    const counter = ++session.counter;
    const frame = encodeFrame(keys.id, counter, keys.requestKey, messages);
    const answer = await this.#request('/peer/frames', frame);
    if (!isAcknowledged(answer, keys.id, counter, keys.responseKey)) {
      throw new PeerRefusal('the acknowledgement does not fit');
    }
  }

  async #greet(): Promise<SessionKeys> {
    const challenge = text(await this.#request('/peer/challenge', ''));
    const initiator = new Initiator(this.#context(), this.#peer, decodeHex(challenge));
    return initiator.finish(text(await this.#request('/peer/hello', initiator.hello)));
  }

  async #request(path: string, body: Uint8Array | string): Promise<Uint8Array> {
    const { status, answer } = await post(this.#client, path, body);
    if (status !== 200) {
      throw new PeerRefusal(`status ${status}: ${text(answer).slice(0, 200)}`);
    }
    return answer;
  }
}

/** Sends one request. By undici's handlers: its streams and signals cost a third of a small frame. */
async function post(
  client: Client,
  path: string,
  body: Uint8Array | string,
): Promise<{ readonly status: number; readonly answer: Uint8Array }> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    let abort: ((error: Error) => void) | undefined;
    const late = (): Error => new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`);
    // An overall bound beside undici's, which both restart with each chunk.
    const timer = setTimeout(() => {
      isLate = true;
      abort?.(late());
    }, REQUEST_TIMEOUT_MS);
    let status = 0;
    const chunks: Uint8Array[] = [];
    client.dispatch(
      { path, method: 'POST', body },
      {
        onRequestStart: (controller) => {
          abort = (error) => controller.abort(error);
          if (isLate) abort(late());
        },
        onResponseStart: (_, statusCode) => {
          status = statusCode;
        },
        onResponseData: (_, chunk) => {
          chunks.push(chunk);
        },
        onResponseEnd: () => {
          clearTimeout(timer);
          resolve({ status, answer: concat(...chunks) });
        },
        onResponseError: (_, error) => {
          clearTimeout(timer);
          reject(error);
        },
      },
    );
  });
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
