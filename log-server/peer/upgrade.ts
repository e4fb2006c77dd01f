// How a connection becomes a stream of frames: after the handshake the initiator asks for it by name, in HTTP, with
// the first frame of its session in a header. That frame says nothing, but nobody else can make it, and nobody can
// use it twice. By its session alone, which everybody on the wire can read, one stranger opened hundreds of streams
// and began a frame of eight megabytes on each. From the answer 101 on nothing is HTTP any more. The name has a
// version: whoever asks for another one is told which is spoken here (426, RFC 9110 section 15.5.22) and both ends'
// logs say so.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

import { decodeHex } from '../../verifier/encoding.ts';
import { VerifyError, quote } from '../../verifier/errors.ts';
import { FRAME_HEADER_LENGTH, FRAME_PREFIX_LENGTH, encodeFrame } from './frames.ts';
import { PeerRefusal, type SessionKeys } from './handshake.ts';

export const FRAMES_PATH = '/peer/frames';

/** What is spoken after the upgrade, and which version of it. */
export const FRAMES_PROTOCOL = 'bftpkg-frames/1';

/** The first frame, in hex. */
export const OPENING_HEADER = 'bftpkg-opening';

/** Counter of the first frame, which opens the stream. */
export const OPENING_COUNTER = 1;

/** How long whoever was refused has to take the answer: it is a few hundred bytes. */
const FAREWELL_MS = 5000;

/** Somebody asks for a version that is not spoken here. */
export class ProtocolRefusal extends PeerRefusal {}

/** The frame that opens a stream: one without messages, and without a length in front. */
export function openingOf(
  { id, requestKey }: Pick<SessionKeys, 'id' | 'requestKey'>,
  counter: number = OPENING_COUNTER,
): Uint8Array {
  return encodeFrame(id, counter, requestKey, []).subarray(FRAME_PREFIX_LENGTH);
}

/**
 * Reads what an upgrade asks for.
 *
 * @returns the frame that opens it; whether its session exists and made it is not asked here
 * @throws {ProtocolRefusal} for another protocol
 * @throws {PeerRefusal} for anything else that is not as our dialer writes it
 */
export function readUpgrade(request: IncomingMessage): Uint8Array {
  const { method, url, headers } = request;
  if (url !== FRAMES_PATH || method !== 'GET') throw new PeerRefusal('nothing to upgrade here');
  if (headers.upgrade !== FRAMES_PROTOCOL) {
    const found = quote(headers.upgrade ?? '');
    throw new ProtocolRefusal(`this replica speaks ${FRAMES_PROTOCOL}, not ${found}`);
  }
  // What has a body has it read as frames.
  if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) {
    throw new PeerRefusal('an upgrade has no body');
  }
  const opening = headers[OPENING_HEADER];
  if (typeof opening !== 'string' || opening.length !== 2 * FRAME_HEADER_LENGTH) {
    throw new PeerRefusal('the upgrade has no opening frame');
  }
  return decodeHex(opening);
}

/** Says yes: from here on the socket carries frames one way and answers the other. */
export function acceptUpgrade(socket: Duplex): void {
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${FRAMES_PROTOCOL}\r\n\r\n`,
  );
}

/** Says no, and why if that is meant for the peer. */
export function refuseUpgrade(socket: Duplex, error: unknown): void {
  const isExpected = error instanceof PeerRefusal || error instanceof VerifyError;
  const body = isExpected ? quote(error.message) : '';
  const status =
    error instanceof ProtocolRefusal
      ? `426 Upgrade Required\r\nupgrade: ${FRAMES_PROTOCOL}`
      : isExpected
        ? '401 Unauthorized'
        : '500 Internal Server Error';
  const fields = `connection: close\r\ncontent-type: text/plain\r\ncontent-length: ${Buffer.byteLength(body)}`;
  farewell(socket, Buffer.from(`HTTP/1.1 ${status}\r\n${fields}\r\n\r\n${body}`));
}

/** Writes the last words and closes, whether or not they are taken. Nothing is read any more. */
export function farewell(socket: Duplex, words: Uint8Array): void {
  socket.pause();
  const timer = setTimeout(() => socket.destroy(), FAREWELL_MS).unref();
  socket.once('close', () => clearTimeout(timer));
  socket.end(words, () => socket.destroy());
}
