// One HTTP exchange with a server that may lie, hang, drip or flood: every dimension has a bound. The
// bytes that come back are untrusted; what they mean is decided by others.
import { Agent, request, type Dispatcher } from 'undici';

import { parseForeignJson } from '../../verifier/foreign-json.ts';
import { systemCode, TransportError } from '../errors.ts';

// A server on the same continent accepts in well under a second; after five, others are asked.
const CONNECT_TIMEOUT_MS = 5_000;
// Evidence for thousands of packages takes a replica some seconds to collect.
const HEADERS_TIMEOUT_MS = 40_000;
// Between two pieces of a body. A drip of one byte each nine seconds is stopped by the deadline of
// the exchange.
const BODY_TIMEOUT_MS = 10_000;
const HEADER_BYTES_MAX = 16_384;
const ERROR_BODY_BYTES_MAX = 16_384;
// Sockets for each server: enough to fetch many small tarballs at once, few enough to be polite.
const CONNECTIONS_MAX = 16;

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
  readonly #agent: Agent;
  /** Bytes of bodies received so far, for the report. */
  bytesReceived = 0;

  constructor() {
    this.#agent = new Agent({
      connect: { timeout: CONNECT_TIMEOUT_MS },
      connections: CONNECTIONS_MAX,
      pipelining: 1,
      headersTimeout: HEADERS_TIMEOUT_MS,
      bodyTimeout: BODY_TIMEOUT_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
      keepAliveTimeout: 4_000,
    });
  }

  /**
   * One exchange. Redirects are not followed: they would let one server speak in the name of another.
   *
   * @throws {TransportError}
   */
  async exchange(wanted: Exchange): Promise<Answer> {
    const deadline = AbortSignal.timeout(wanted.timeoutMs);
    const signal = AbortSignal.any([wanted.signal, deadline]);
    try {
      const response = await request(wanted.url, {
        dispatcher: this.#agent,
        method: wanted.method,
        signal,
        headers: {
          'accept-encoding': 'identity',
          ...(wanted.accept === undefined ? {} : { accept: wanted.accept }),
          ...(wanted.contentType === undefined ? {} : { 'content-type': wanted.contentType }),
        },
        ...(wanted.body === undefined ? {} : { body: wanted.body }),
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
      throw fromUndici(thrown);
    }
  }

  async #read(wanted: Exchange, response: Dispatcher.ResponseData): Promise<Answer> {
    const { statusCode: status, headers, body } = response;
    // Giving a body up makes it say so; nobody else listens for that.
    body.on('error', () => undefined);
    const encoding = headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      // A few kilobytes can unpack to gigabytes, and nobody asked for a compressed answer.
      body.destroy();
      throw new TransportError('PROTOCOL', 'sent a compressed answer that was not asked for', {
        status,
      });
    }
    const expected = wanted.statuses.includes(status);
    const bytesMax = expected ? wanted.bytesMax : ERROR_BODY_BYTES_MAX;
    // The answer to HEAD announces what GET would send.
    if (expected && wanted.method !== 'HEAD' && Number(headers['content-length']) > bytesMax) {
      body.destroy();
      throw new TransportError('TOO_LARGE', `announced more than ${bytesMax} bytes`, { status });
    }
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      length += chunk.length;
      this.bytesReceived += chunk.length;
      if (length > bytesMax) {
        body.destroy();
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
    return { status, dateSeconds, body: new Uint8Array(Buffer.concat(chunks)) };
  }

  /** Ends all connections, also those with an exchange under way. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

function readDate(header: string | string[] | undefined): number | undefined {
  const ms = typeof header === 'string' ? Date.parse(header) : Number.NaN;
  return Number.isFinite(ms) ? Math.floor(ms / 1000) : undefined;
}

const TIMEOUTS: ReadonlySet<string> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
]);

function fromUndici(thrown: unknown): TransportError {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const code = systemCode(thrown) ?? text;
  if (TIMEOUTS.has(code))
    return new TransportError('TIMEOUT', 'no answer in time', { cause: thrown });
  if (code === 'UND_ERR_HEADERS_OVERFLOW') {
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
