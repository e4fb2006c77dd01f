// The responder's side on the network, on a listener of its own: two routes for the handshake, and an upgrade
// to a stream of frames for whoever proves to have a session, so that a stranger can't fill our memory.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

import { encodeHex } from '../../verifier/encoding.ts';
import { VerifyError, quote } from '../../verifier/errors.ts';
import { decodeUtf8 } from '../../verifier/text.ts';
import { AddressLimiter, networkOf } from '../http/limits.ts';
import type { Log } from '../log.ts';
import { acknowledge } from './frames.ts';
import { ChallengeBook, HANDSHAKE_LENGTH_MAX, PeerRefusal, respond } from './handshake.ts';
import type { HandshakeContext } from './handshake.ts';
import { IncomingStream } from './incoming-stream.ts';
import { SessionTable, type AcceptedFrame } from './sessions.ts';
import { PeerSockets } from './sockets.ts';
import { acceptUpgrade, readUpgrade, refuseUpgrade } from './upgrade.ts';

/**
 * Signatures of hellos that are checked per second for one network, ten times as many in a burst: a log's
 * replicas come back from behind one address at one moment. Not for all together: whoever used that up kept
 * replicas out, and a check (70 us) costs no more than the connection that it came with.
 */
const HELLOS_PER_SECOND = 20;

/** A hello is one packet; a body that takes longer is a stalled connection. */
const REQUEST_TIMEOUT_MS = 20_000;

/** Who may talk to us; asked anew for each handshake, since rosters change. */
export interface PeerDirectory {
  readonly context: HandshakeContext;
  /** Vote keys of the other replicas, hex. */
  readonly peers: ReadonlySet<string>;
}

/** What the listener reports to. */
export interface PeerEvents {
  /** Authentic messages of one peer, in the order it sent them. */
  received(peer: string, messages: readonly Uint8Array[]): void;
  /** When a peer may send more: at once without a promise. Until then nothing of it is read. */
  room(peer: string): Promise<void> | undefined;
  /** A peer has opened the first stream of a session. */
  connected(peer: string): void;
}

/** Listens for other replicas. */
export class PeerListener {
  readonly #server: Server;
  readonly #sessions = new SessionTable();
  readonly #challenges: ChallengeBook;
  /** By network. */
  readonly #hellos: AddressLimiter;
  readonly #sockets = new PeerSockets();
  readonly #streams = new Set<IncomingStream>();
  readonly #directory: () => PeerDirectory;
  readonly #events: PeerEvents;
  readonly #log: Log;

  /** @param nowMs a monotonic clock */
  constructor(
    directory: () => PeerDirectory,
    events: PeerEvents,
    log: Log,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#directory = directory;
    this.#events = events;
    this.#log = log;
    this.#challenges = new ChallengeBook(nowMs);
    this.#hellos = new AddressLimiter(HELLOS_PER_SECOND, nowMs);
    this.#server = createServer(
      {
        headersTimeout: 5000,
        requestTimeout: REQUEST_TIMEOUT_MS,
        keepAliveTimeout: 60_000,
        connectionsCheckingInterval: 1000,
        maxHeaderSize: 4096,
        noDelay: true,
      },
      (request, response) => void this.#handle(request, response),
    );
    this.#server.on('connection', (socket: Socket) => this.#sockets.accepted(socket));
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** Starts listening; port 0 lets the system choose. @returns the port */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => resolve());
    });
    return (this.#server.address() as AddressInfo).port;
  }

  /** Forgets sessions of replicas that have left the roster. */
  directoryChanged(): void {
    this.#sessions.retain(this.#directory().peers);
    this.#closeDeadStreams();
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
      // Which are not connections of the HTTP server any more.
      for (const stream of this.#streams) stream.close();
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await this.#route(request);
      response.writeHead(200, { 'content-length': body.length });
      response.end(body);
    } catch (error) {
      this.#refuse(request, response, error);
    }
  }

  #refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    const isExpected = error instanceof PeerRefusal || error instanceof VerifyError;
    const message = this.#logRefusal(remoteAddress(request), error);
    if (response.headersSent || response.destroyed) return;
    // What is left of the body is not read.
    response.writeHead(isExpected ? 401 : 500, {
      connection: 'close',
      'content-type': 'text/plain',
    });
    response.end(isExpected ? quote(message) : '');
  }

  #logRefusal(address: string | undefined, error: unknown): string {
    const reason = error instanceof Error ? error.message : String(error);
    this.#log.debug('peer_refused', { address, reason });
    return reason;
  }

  async #route(request: IncomingMessage): Promise<Uint8Array> {
    if (request.method !== 'POST') throw new PeerRefusal('only POST is answered here');
    switch (request.url) {
      case '/peer/challenge':
        return Buffer.from(encodeHex(this.#challenges.issue()));
      case '/peer/hello':
        return Buffer.from(this.#hello(await readBody(request, HANDSHAKE_LENGTH_MAX), request));
      case undefined:
      default:
        throw new PeerRefusal('no such route');
    }
  }

  #hello(body: Uint8Array, request: IncomingMessage): string {
    const network = networkOf(remoteAddress(request) ?? '');
    const { context, peers } = this.#directory();
    const { welcome, keys, challenge } = respond(
      decodeUtf8(body),
      context,
      this.#challenges,
      (key) => peers.has(encodeHex(key)),
      () => this.#hellos.allows(network),
    );
    this.#sessions.open(keys, challenge);
    // Fresh, and signed with a key of the roster.
    const socket = request.socket as Socket | null;
    if (socket !== null) this.#sockets.proven(socket, encodeHex(keys.peer));
    return welcome;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    socket.on('error', () => undefined);
    try {
      const opening = readUpgrade(request);
      if (!(socket instanceof Socket) || socket.destroyed) throw new Error('no socket any more');
      const { session, peer } = this.#accept(opening, socket);
      acceptUpgrade(socket);
      this.#open(socket, session.id, peer, head);
    } catch (error) {
      this.#logRefusal(remoteAddress(request), error);
      refuseUpgrade(socket, error);
    }
  }

  #open(socket: Socket, session: Uint8Array, peer: string, head: Uint8Array): void {
    const { remoteAddress: address } = socket;
    const stream = new IncomingStream(socket, session, {
      isLive: () => this.#sessions.knows(session),
      frame: (bytes) => this.#frame(bytes, socket),
      room: () => this.#events.room(peer),
      refused: (error) => this.#logRefusal(address, error),
      closed: () => this.#streams.delete(stream),
    });
    this.#streams.add(stream);
    stream.start(head);
  }

  #frame(bytes: Uint8Array, socket: Socket): Uint8Array {
    const { peer, session, counter, messages } = this.#accept(bytes, socket);
    this.#events.received(peer, messages);
    return acknowledge(session.id, counter, session.responseKey);
  }

  #accept(bytes: Uint8Array, socket: Socket): AcceptedFrame {
    const accepted = this.#sessions.accept(bytes);
    const { peer, isFirst } = accepted;
    this.#sockets.proven(socket, peer);
    if (isFirst) {
      this.#events.connected(peer);
      this.#closeDeadStreams();
    }
    return accepted;
  }

  /** Streams of sessions whose place another one has taken, or whose replica has left. */
  #closeDeadStreams(): void {
    for (const stream of this.#streams) {
      if (!this.#sessions.knows(stream.session)) stream.close();
    }
  }
}

/** The sender's address; a socket that is already gone has none. */
function remoteAddress(request: IncomingMessage): string | undefined {
  const socket = request.socket as IncomingMessage['socket'] | null;
  return socket?.remoteAddress;
}

/**
 * Reads a body of at most `lengthMax` bytes; counts what arrives, whatever the headers claim. Not by
 * `for await`: leaving that loop destroys the socket, and with it the answer that says why.
 */
function readBody(request: IncomingMessage, lengthMax: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const stop = (error: Error): void => {
      request.off('data', onData);
      request.pause();
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > lengthMax) stop(new PeerRefusal('body too long'));
      else chunks.push(chunk);
    };
    request.on('data', onData);
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('error', stop);
    // Without an end: the socket was cut or timed out.
    request.once('close', () => reject(new PeerRefusal('the connection was lost')));
  });
}
