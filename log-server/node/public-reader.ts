// Reads answers of a message's length at other replicas' public addresses: batches and checkpoints. Whoever
// is asked may be faulty: silent, slow by the byte, or without an end.
import { Agent, request } from 'undici';
import type { Dispatcher } from 'undici';

import { concat } from '../../verifier/bytes.ts';
import { MESSAGE_BYTES_MAX } from '../../verifier/replication/encode-message.ts';
import { ARTIFACT_PACE, keepingPace, within } from '../http/pace.ts';
import type { PaceLimits } from '../http/pace.ts';
import { HolderError } from './slow-holders.ts';

/** How long one answer may take, milliseconds: 4 MiB over a slow line. */
const ANSWER_TIMEOUT_MS = 20_000;

/** How long it may take to begin, milliseconds: whoever asks has others to ask. */
const BEGIN_MS = 5000;

/** What was answered. */
export interface PublicAnswer {
  readonly status: number;
  /** Empty unless the status is 200. */
  readonly body: Uint8Array;
}

/** A client for other replicas' public addresses. */
export class PublicReader {
  readonly #pace: PaceLimits;
  readonly #reads = new Set<AbortController>();
  readonly #agent: Agent = new Agent({
    connect: { timeout: 3000 },
    headersTimeout: BEGIN_MS,
    bodyTimeout: 10_000,
    maxResponseSize: MESSAGE_BYTES_MAX,
    maxHeaderSize: 8192,
  });

  /** @param pace what a sender has to keep; for tests another one */
  constructor(pace: PaceLimits = ARTIFACT_PACE) {
    this.#pace = pace;
  }

  /**
   * Reads one answer.
   *
   * @throws {HolderError} it comes too slowly
   * @throws {Error} no connection, more than a message, or closed meanwhile
   */
  async get(address: string): Promise<PublicAnswer> {
    const read = new AbortController();
    this.#reads.add(read);
    const tooSlow = (): Error => new HolderError('the answer came too slowly');
    try {
      return await within(this.#get(address, read.signal, tooSlow), ANSWER_TIMEOUT_MS, tooSlow);
    } finally {
      // Whoever sends on after we have stopped reading must not keep the connection.
      read.abort();
      this.#reads.delete(read);
    }
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    for (const read of this.#reads) read.abort();
    await this.#agent.destroy();
  }

  async #get(address: string, signal: AbortSignal, tooSlow: () => Error): Promise<PublicAnswer> {
    const dispatcher = this.#agent;
    const headers = { 'accept-encoding': 'identity' };
    const answer: Dispatcher.ResponseData = await request(address, { dispatcher, signal, headers });
    // Cutting it off makes the stream fail once more, when nobody reads it any longer.
    answer.body.on('error', () => undefined);
    const { statusCode: status } = answer;
    if (status !== 200) {
      await within(answer.body.dump({ limit: 4096 }), this.#pace.graceMs, tooSlow);
      return { status, body: new Uint8Array(0) };
    }
    const chunks: Uint8Array[] = [];
    const source = answer.body as AsyncIterable<Uint8Array>;
    for await (const chunk of keepingPace(source, this.#pace, tooSlow)) chunks.push(chunk);
    return { status, body: concat(...chunks) };
  }
}
