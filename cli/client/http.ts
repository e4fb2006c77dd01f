// One HTTP exchange with a server that may lie, hang, drip or flood: every dimension has a bound. The
// bytes that come back are untrusted; what they mean is decided by others.
import type { IncomingMessage } from 'node:http';

import { parseForeignJson } from '../../verifier/foreign-json.ts';
import { requireOnline, systemCode, TransportError } from '../errors.ts';
import { Connections, piecesOf } from './connection.ts';

const ERROR_BODY_BYTES_MAX = 16_384;

/** A request and the most that its answer may cost. */
export interface Exchange {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  readonly url: string;
  readonly contentType?: string;
  /** Media type that is wanted, where a server has several. */
  readonly accept?: string;
  readonly body?: Uint8Array | string;
  /** The most bytes of the answer's body. */
  readonly bytesMax: number;
  /** Wall clock for the whole exchange, milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Statuses that are answers; any other is a {@link TransportError} `STATUS`. */
  readonly statuses: readonly number[];
}

/** An answer within its bounds. */
export interface Answer {
  readonly status: number;
  /** The server's clock when it answered, Unix seconds, as it says; strangers' word. */
  readonly dateSeconds: number | undefined;
  readonly body: Uint8Array;
}

/** Sends requests. `close` ends all connections at once. */
export class HttpClient {
  readonly #connections = new Connections();
  readonly #isOffline: boolean;
  /** Bytes of bodies received so far, for the report. */
  bytesReceived = 0;

  /** @param options `offline`: every exchange fails before a socket is opened, whoever asks for it */
  constructor({ offline }: { readonly offline: boolean }) {
    this.#isOffline = offline;
  }

  /**
   * One exchange. Redirects are not followed: they would let one server speak in the name of another.
   *
   * @throws {TransportError}
   */
  async exchange(wanted: Exchange): Promise<Answer> {
    requireOnline(this.#isOffline);
    const deadline = AbortSignal.timeout(wanted.timeoutMs);
    const signal = AbortSignal.any([wanted.signal, deadline]);
    try {
      const response = await this.#connections.send({
        method: wanted.method,
        url: wanted.url,
        signal,
        headers: {
          'accept-encoding': 'identity',
          ...(wanted.accept === undefined ? {} : { accept: wanted.accept }),
          ...(wanted.contentType === undefined ? {} : { 'content-type': wanted.contentType }),
        },
        body: wanted.body,
      });
      return await this.#read(wanted, response);
    } catch (thrown) {
      if (thrown instanceof TransportError) throw thrown;
      if (wanted.signal.aborted) {
        throw new TransportError('ABORTED', 'stopped before it answered', { cause: thrown });
      }
      if (deadline.aborted) {
        const seconds = wanted.timeoutMs / 1000;
        throw new TransportError('TIMEOUT', `no whole answer in ${seconds}s`, { cause: thrown });
      }
      throw fromSystem(thrown);
    }
  }

  async #read(wanted: Exchange, response: IncomingMessage): Promise<Answer> {
    const { statusCode: status = 0, headers } = response;
    // Giving a body up makes it say so; nobody else listens for that.
    response.on('error', () => undefined);
    const encoding = headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      // A few kilobytes can unpack to gigabytes, and nobody asked for a compressed answer.
      response.destroy();
      throw new TransportError('PROTOCOL', 'sent a compressed answer that was not asked for', {
        status,
      });
    }
    const expected = wanted.statuses.includes(status);
    const bytesMax = expected ? wanted.bytesMax : ERROR_BODY_BYTES_MAX;
    // The answer to HEAD announces what GET would send.
    if (expected && wanted.method !== 'HEAD' && Number(headers['content-length']) > bytesMax) {
      response.destroy();
      throw new TransportError('TOO_LARGE', `announced more than ${bytesMax} bytes`, { status });
    }
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of piecesOf(response)) {
      length += chunk.length;
      this.bytesReceived += chunk.length;
      if (length > bytesMax) {
        response.destroy();
        if (!expected) break;
        throw new TransportError('TOO_LARGE', `sent more than ${bytesMax} bytes`, { status });
      }
      chunks.push(chunk);
    }
    if (!expected) {
      const remote = readErrorBody(Buffer.concat(chunks));
      throw new TransportError('STATUS', `answered ${status}`, {
        status,
        ...(remote === undefined ? {} : { remote }),
      });
    }
    const dateSeconds = readDate(headers['date']);
    const whole = Buffer.concat(chunks);
    // A view: a copy of the evidence for a large tree would be megabytes more.
    return { status, dateSeconds, body: new Uint8Array(whole.buffer, whole.byteOffset, length) };
  }

  /** Ends all connections, also those with an exchange under way. */
  async close(): Promise<void> {
    this.#connections.close();
  }
}

function readDate(header: string | undefined): number | undefined {
  const ms = header === undefined ? Number.NaN : Date.parse(header);
  return Number.isFinite(ms) ? Math.floor(ms / 1000) : undefined;
}

function fromSystem(thrown: unknown): TransportError {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const code = systemCode(thrown) ?? text;
  if (code === 'ETIMEDOUT')
    return new TransportError('TIMEOUT', 'no answer in time', { cause: thrown });
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new TransportError('TOO_LARGE', 'sent oversized headers', { cause: thrown });
  }
  return new TransportError('UNREACHABLE', code, { cause: thrown });
}

// `{"error":{"code","message"}}`; whatever else was sent is of no use to anyone.
function readErrorBody(bytes: Uint8Array): TransportError['remote'] {
  try {
    const { value } = parseForeignJson(new TextDecoder().decode(bytes), {
      lengthMax: ERROR_BODY_BYTES_MAX,
    });
    const { error } = value as {
      readonly error?: { readonly code?: unknown; readonly message?: unknown };
    };
    if (typeof error?.code !== 'string' || typeof error.message !== 'string') return undefined;
    return { code: error.code, message: error.message };
  } catch {
    return undefined;
  }
}
