// The initiator's HTTP: the requests of the handshake, and the upgrade that ends it, on one connection.
import type { Duplex } from 'node:stream';
import { Socket } from 'node:net';

import { Client } from 'undici';

import { concat } from '../../verifier/bytes.ts';
import { decodeHex, encodeHex } from '../../verifier/encoding.ts';
import type { PublicKey } from '../../verifier/ed25519.ts';
import { quote } from '../../verifier/errors.ts';
import { HANDSHAKE_LENGTH_MAX, Initiator, PeerRefusal } from './handshake.ts';
import type { HandshakeContext, SessionKeys } from './handshake.ts';
import { OutgoingStream } from './outgoing-stream.ts';
import { FRAMES_PATH, FRAMES_PROTOCOL, OPENING_HEADER, openingOf } from './upgrade.ts';

/** How long one request may take before the connection counts as lost. */
const REQUEST_TIMEOUT_MS = 15_000;
const CONNECT_TIMEOUT_MS = 3000;

/** Largest answer: a welcome. */
const ANSWER_BYTES_MAX = HANDSHAKE_LENGTH_MAX;

interface Request {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
  readonly upgrade?: string;
  readonly headers?: Record<string, string>;
}

type Outcome =
  | { readonly status: number; readonly answer: Uint8Array }
  | { readonly status: 101; readonly protocol: string; readonly socket: Duplex };

/** Opens streams to one peer. */
export class PeerClient {
  readonly #client: Client;

  /** @param peerUrl base address of the peer's listener, without a final slash */
  constructor(peerUrl: string) {
    this.#client = new Client(peerUrl, {
      pipelining: 1,
      connect: { timeout: CONNECT_TIMEOUT_MS },
      headersTimeout: REQUEST_TIMEOUT_MS,
      bodyTimeout: REQUEST_TIMEOUT_MS,
      maxResponseSize: ANSWER_BYTES_MAX,
      maxHeaderSize: 4096,
    });
  }

  /**
   * Handshake and upgrade.
   *
   * @throws {PeerRefusal} when the peer is somebody else, or takes none of them
   */
  async open(context: HandshakeContext, peer: PublicKey): Promise<OutgoingStream> {
    const challenge = await this.#post('/peer/challenge', '');
    const initiator = new Initiator(context, peer, decodeHex(challenge));
    const keys = initiator.finish(await this.#post('/peer/hello', initiator.hello));
    return new OutgoingStream(await this.#upgrade(keys), keys);
  }

  async close(): Promise<void> {
    await this.#client.destroy();
  }

  async #post(path: string, body: string): Promise<string> {
    const outcome = await this.#request({ method: 'POST', path, body });
    if ('socket' in outcome || outcome.status !== 200) throw refused(outcome);
    return text(outcome.answer);
  }

  async #upgrade(keys: SessionKeys): Promise<Socket> {
    const outcome = await this.#request({
      method: 'GET',
      path: FRAMES_PATH,
      upgrade: FRAMES_PROTOCOL,
      headers: { [OPENING_HEADER]: encodeHex(openingOf(keys)) },
    });
    if (!('socket' in outcome)) throw refused(outcome);
    const { protocol, socket } = outcome;
    if (protocol !== FRAMES_PROTOCOL || !(socket instanceof Socket)) {
      socket.destroy();
      throw new PeerRefusal(`upgraded to ${quote(protocol)}, not to ${FRAMES_PROTOCOL}`);
    }
    return socket;
  }

  #request(request: Request): Promise<Outcome> {
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
      this.#client.dispatch(request, {
        onRequestStart: (controller) => {
          abort = (error) => controller.abort(error);
          if (isLate) abort(late());
        },
        onRequestUpgrade: (_, __, headers, socket) => {
          clearTimeout(timer);
          // Before anything else can happen to it.
          socket.on('error', () => undefined);
          resolve({ status: 101, protocol: String(headers['upgrade']), socket });
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
      });
    });
  }
}

function refused(outcome: Outcome): PeerRefusal {
  if ('socket' in outcome) {
    outcome.socket.destroy();
    return new PeerRefusal('upgraded without being asked');
  }
  return new PeerRefusal(`status ${outcome.status}: ${text(outcome.answer).slice(0, 200)}`);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
