// Requests over Node's own HTTP client. It is in every Node, natively: the library that was here before
// cost each run of the program a fifth of a second and 50 MB (its parser is WebAssembly).
import {
  Agent,
  request as plainRequest,
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import type { Agent as SecureAgent } from 'node:https';

import { systemCode, TransportError } from '../errors.ts';

// A server on the same continent accepts in well under a second; after five, others are asked.
const CONNECT_TIMEOUT_MS = 5_000;
// Evidence for thousands of packages takes a replica some seconds to collect.
const HEADERS_TIMEOUT_MS = 40_000;
// Between two pieces of a body. A drip of one byte each nine seconds is stopped by the deadline of
// the exchange.
const BODY_TIMEOUT_MS = 10_000;
const HEADER_BYTES_MAX = 16_384;
// Sockets for each server: enough to fetch many small tarballs at once, few enough to be polite.
const CONNECTIONS_MAX = 16;
// Servers close what is idle after five seconds, usually; we do so before.
const IDLE_TIMEOUT_MS = 4_000;

/** What is sent. */
export interface Outgoing {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | undefined;
  readonly signal: AbortSignal;
}

/** Connections to any number of servers, kept for the next request. */
export class Connections {
  readonly #plain: Agent = new Agent(AGENT_OPTIONS);
  #secure: SecureAgent | undefined;

  /**
   * Sends a request and waits for the head of the answer. Redirects are answers like others.
   *
   * @returns the answer, for `piecesOf`
   * @throws whatever the system or the parser says; {@link TransportError} `TIMEOUT`
   */
  async send(outgoing: Outgoing): Promise<IncomingMessage> {
    const url = new URL(outgoing.url);
    const isSecure = url.protocol === 'https:';
    // TLS is loaded by who needs it.
    const secure = isSecure ? await import('node:https') : undefined;
    if (secure !== undefined) this.#secure ??= new secure.Agent(AGENT_OPTIONS);
    const options: RequestOptions = {
      agent: this.#secure !== undefined && isSecure ? this.#secure : this.#plain,
      method: outgoing.method,
      headers: outgoing.headers,
      maxHeaderSize: HEADER_BYTES_MAX,
      signal: outgoing.signal,
    };
    const open = (): ClientRequest => (secure?.request ?? plainRequest)(url, options);
    const first = open();
    try {
      return await headOf(first, outgoing.body, isSecure);
    } catch (error) {
      // A server may close an idle connection in the moment in which it is used again (RFC 9112, section
      // 9.3.1). Whatever is sent here may be sent twice: entries and artifacts are named by their hashes.
      if (!first.reusedSocket || systemCode(error) !== 'ECONNRESET') throw error;
      return await headOf(open(), outgoing.body, isSecure);
    }
  }

  /** Ends all connections, also those with an exchange under way. */
  close(): void {
    this.#plain.destroy();
    this.#secure?.destroy();
  }
}

const AGENT_OPTIONS = {
  keepAlive: true,
  maxSockets: CONNECTIONS_MAX,
  timeout: IDLE_TIMEOUT_MS,
};

function headOf(
  request: ClientRequest,
  body: Uint8Array | string | undefined,
  isSecure: boolean,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    // One clock for one stage after the other; none while a body is being sent.
    const within = (ms: number, what: string): void => {
      clearTimeout(timer);
      timer = setTimeout(() => request.destroy(new TransportError('TIMEOUT', what)), ms);
    };
    request.on('socket', (socket) => {
      if (!socket.connecting) return;
      within(CONNECT_TIMEOUT_MS, 'no answer in time');
      socket.once(isSecure ? 'secureConnect' : 'connect', () => clearTimeout(timer));
    });
    request.on('finish', () => within(HEADERS_TIMEOUT_MS, 'no answer in time'));
    request.on('response', (response) => {
      clearTimeout(timer);
      resolve(response);
    });
    // Stays for errors after the head: those are told through the answer's body.
    request.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    // An answer to nothing that was asked: 101, or a tunnel.
    request.on('upgrade', (_response, socket) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new TransportError('PROTOCOL', 'wants to speak another protocol'));
    });
    request.end(body);
  });
}

/**
 * The pieces of an answer's body as they come.
 *
 * @throws {TransportError} `TIMEOUT` when it stalls
 */
export async function* piecesOf(response: IncomingMessage): AsyncGenerator<Uint8Array> {
  const timer = setTimeout(() => {
    response.destroy(new TransportError('TIMEOUT', 'no answer in time'));
  }, BODY_TIMEOUT_MS);
  try {
    for await (const piece of response as AsyncIterable<Uint8Array>) {
      timer.refresh();
      yield piece;
    }
  } finally {
    clearTimeout(timer);
  }
}
