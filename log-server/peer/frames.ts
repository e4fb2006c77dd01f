// What travels in an authenticated session: a header (session, counter, MAC) and messages with their
// lengths before them, the length of it all in front. The MAC covers everything else (a wrong length gives a
// wrong MAC); the counter only ever grows, so a recorded frame is worthless.
import { createHmac, timingSafeEqual } from 'node:crypto';

import { concat, ownBytes, utf8 } from '../../verifier/bytes.ts';
import { encodeUint64 } from '../../verifier/encoding.ts';
import { MESSAGE_BYTES_MAX } from '../../verifier/replication/encode-message.ts';
import { PeerRefusal, SESSION_ID_LENGTH } from './handshake.ts';

/** Largest frame, its length in front not counted: one largest message, or many small ones. */
export const FRAME_BYTES_MAX: number = MESSAGE_BYTES_MAX + 64 * 1024;

/** Most messages in one frame: above it a flood of empty messages would cost more than its bytes. */
export const FRAME_MESSAGES_MAX = 4096;

const COUNTER_LENGTH = 8;
/** Of a frame and of its acknowledgement. */
export const MAC_LENGTH = 32;

/** Bytes of the length in front of a frame, big-endian. */
export const FRAME_PREFIX_LENGTH = 4;

/** Bytes of a frame before its messages. */
export const FRAME_HEADER_LENGTH: number = SESSION_ID_LENGTH + COUNTER_LENGTH + MAC_LENGTH;

const FRAME_DOMAIN: Uint8Array = utf8('bftpkg/v1/PEER-FRAME\n');
const ACK_DOMAIN: Uint8Array = utf8('bftpkg/v1/PEER-ACK\n');

/** A frame taken apart, its MAC not checked yet. */
export interface Frame {
  readonly session: Uint8Array;
  readonly counter: number;
  readonly mac: Uint8Array;
  readonly payload: Uint8Array;
}

/**
 * Puts messages into one frame.
 *
 * @param counter larger than that of every frame sent in this session
 * @returns the frame with its length in front, as it goes on the wire
 */
export function encodeFrame(
  session: Uint8Array,
  counter: number,
  key: Uint8Array,
  messages: readonly Uint8Array[],
): Uint8Array {
  const size = messages.reduce((sum, message) => sum + 4 + message.length, FRAME_HEADER_LENGTH);
  const wire = new Uint8Array(FRAME_PREFIX_LENGTH + size);
  const view = new DataView(wire.buffer, FRAME_PREFIX_LENGTH);
  new DataView(wire.buffer).setUint32(0, size);
  const frame = wire.subarray(FRAME_PREFIX_LENGTH);
  frame.set(session, 0);
  view.setBigUint64(SESSION_ID_LENGTH, BigInt(counter));
  let at = FRAME_HEADER_LENGTH;
  for (const message of messages) {
    view.setUint32(at, message.length);
    frame.set(message, at + 4);
    at += 4 + message.length;
  }
  frame.set(frameMac(key, frame), SESSION_ID_LENGTH + COUNTER_LENGTH);
  return wire;
}

/**
 * Takes a frame apart, without its length in front.
 *
 * @throws {PeerRefusal} when it is too short, too long, or its counter is beyond 2^53
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length < FRAME_HEADER_LENGTH) throw new PeerRefusal('frame shorter than its header');
  if (bytes.length > FRAME_BYTES_MAX) throw new PeerRefusal('frame too long');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const counter = view.getBigUint64(SESSION_ID_LENGTH);
  if (counter > BigInt(Number.MAX_SAFE_INTEGER)) throw new PeerRefusal('counter above 2^53 - 1');
  return {
    session: bytes.subarray(0, SESSION_ID_LENGTH),
    counter: Number(counter),
    mac: bytes.subarray(SESSION_ID_LENGTH + COUNTER_LENGTH, FRAME_HEADER_LENGTH),
    payload: bytes.subarray(FRAME_HEADER_LENGTH),
  };
}

/** Whether the MAC is right. Compared in constant time: it is the one secret-dependent comparison. */
export function frameIsAuthentic(bytes: Uint8Array, frame: Frame, key: Uint8Array): boolean {
  return timingSafeEqual(frameMac(key, bytes), frame.mac);
}

/**
 * The messages in a frame, each with bytes of its own: one that waits in the inbox, or is kept by the core,
 * must not hold the megabytes that somebody has put beside it.
 *
 * @throws {PeerRefusal} unless the lengths consume the payload exactly
 */
export function splitMessages(payload: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  let at = 0;
  while (at < payload.length) {
    if (payload.length - at < 4) throw new PeerRefusal('truncated message length');
    const length = view.getUint32(at);
    if (length > MESSAGE_BYTES_MAX) throw new PeerRefusal('message too long');
    if (length > payload.length - at - 4) throw new PeerRefusal('truncated message');
    if (messages.length === FRAME_MESSAGES_MAX) throw new PeerRefusal('too many messages');
    messages.push(ownBytes(payload.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return messages;
}

/** What the responder says of an accepted frame: 32 bytes. */
export function acknowledge(session: Uint8Array, counter: number, key: Uint8Array): Uint8Array {
  const mac = createHmac('sha256', key);
  return mac.update(concat(ACK_DOMAIN, session, encodeUint64(counter))).digest();
}

/** Whether this acknowledges exactly that frame. */
export function isAcknowledged(
  mac: Uint8Array,
  session: Uint8Array,
  counter: number,
  key: Uint8Array,
): boolean {
  return mac.length === MAC_LENGTH && timingSafeEqual(acknowledge(session, counter, key), mac);
}

/** MAC over everything in the frame but the MAC itself. */
function frameMac(key: Uint8Array, frame: Uint8Array): Uint8Array {
  return createHmac('sha256', key)
    .update(FRAME_DOMAIN)
    .update(frame.subarray(0, SESSION_ID_LENGTH + COUNTER_LENGTH))
    .update(frame.subarray(FRAME_HEADER_LENGTH))
    .digest();
}
