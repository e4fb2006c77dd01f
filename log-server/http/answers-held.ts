// Answers that are in memory until they have been read. Making one is bounded; but whoever asked for many and
// read none had them all pile up here, tens of megabytes each. So they are counted by their bytes, with a share
// for each network, and are sent in pieces: what a socket buffers is small.
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';

import { HttpError } from './errors.ts';
import { askerOf, bytes, streamed, type HeldAnswers } from './routes.ts';

/** Bytes of answers in memory. */
export interface HeldLimits {
  /** Of all together. */
  readonly max: number;
  /** Of those to one network; a larger one is let in alone. */
  readonly perNetwork: number;
}

const LIMITS: HeldLimits = { max: 256 * 1024 * 1024, perNetwork: 64 * 1024 * 1024 };

/** Answers up to here are sent as they are, bytes: what sockets buffer in any case. */
const PIECE_BYTES: number = 64 * 1024;

/** Answers on their way, by network. */
export class AnswersHeld implements HeldAnswers {
  readonly #limits: HeldLimits;
  readonly #networks = new Map<string, number>();
  #total = 0;

  constructor(limits: HeldLimits = LIMITS) {
    this.#limits = limits;
  }

  /** Bytes held. */
  get total(): number {
    return this.#total;
  }

  send(
    c: Context<{ Bindings: HttpBindings }>,
    body: string | readonly string[] | Uint8Array,
    headers: Record<string, string>,
  ): Response {
    // Who hung up while it was made: `close` has been said, and what is counted now would be for ever.
    if (c.env.outgoing.closed) return new Response(null);
    const size = bytesOf(body);
    if (size > PIECE_BYTES) {
      const network = askerOf(c);
      this.#enter(network, size);
      c.env.outgoing.once('close', () => this.#leave(network, size));
    }
    return isText(body) ? inTextPieces(body, size, headers) : inPieces(contentOf(body), headers);
  }

  #enter(network: string, count: number): void {
    const own = this.#networks.get(network) ?? 0;
    const isOver = own > 0 && own + count > this.#limits.perNetwork;
    if (isOver || (this.#total > 0 && this.#total + count > this.#limits.max)) {
      throw new HttpError(503, 'BUSY', 'too much that was asked for is not read yet', 1);
    }
    this.#networks.set(network, own + count);
    this.#total += count;
  }

  #leave(network: string, count: number): void {
    const left = (this.#networks.get(network) ?? 0) - count;
    if (left > 0) this.#networks.set(network, left);
    else this.#networks.delete(network);
    this.#total -= count;
  }
}

/** A body that others share, or that is counted: in pieces, each sent when the one before has left. */
export function inPieces(content: Uint8Array, headers: Record<string, string>): Response {
  if (content.length <= PIECE_BYTES) return bytes(content, headers);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield* piecesOf(content);
  }
  return streamed({ size: content.length, chunks }, headers);
}

/** Text in pieces as one body: bytes are made of a few of them at a time. */
function inTextPieces(
  texts: readonly string[],
  size: number,
  headers: Record<string, string>,
): Response {
  if (size <= PIECE_BYTES) return bytes(Buffer.from(texts.join('')), headers);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    let part: string[] = [];
    let length = 0;
    for (const text of texts) {
      part.push(text);
      length += text.length;
      if (length < PIECE_BYTES) continue;
      yield* piecesOf(Buffer.from(part.join('')));
      part = [];
      length = 0;
    }
    if (length > 0) yield* piecesOf(Buffer.from(part.join('')));
  }
  return streamed({ size, chunks }, headers);
}

function* piecesOf(content: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < content.length; start += PIECE_BYTES) {
    yield content.subarray(start, start + PIECE_BYTES);
  }
}

function isText(body: string | readonly string[] | Uint8Array): body is readonly string[] {
  return Array.isArray(body);
}

function contentOf(body: string | Uint8Array): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body) : body;
}

function bytesOf(body: string | readonly string[] | Uint8Array): number {
  if (typeof body === 'string') return Buffer.byteLength(body);
  if (!isText(body)) return body.length;
  return body.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}
