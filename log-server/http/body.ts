// Reading request bodies under bounds: bytes are counted as they arrive, whatever the headers claim,
// and a sender that stalls is cut. Not by a plain `for await`, which destroys the socket on leaving
// and so would swallow the answer.
import type { IncomingMessage } from 'node:http';

import { HttpError } from './errors.ts';
import {
  ARTIFACT_BYTES_MAX,
  ARTIFACT_IDLE_TIMEOUT_MS,
  ARTIFACT_TIMEOUT_MS,
  DOCUMENT_TIMEOUT_MS,
} from './limits.ts';
import { ARTIFACT_PACE, Pace, within } from './pace.ts';
import type { PaceLimits } from './pace.ts';

/** Bounds on one body. */
export interface BodyLimits {
  readonly bytesMax: number;
  /** For the whole body. */
  readonly timeoutMs: number;
  /** Between two chunks. */
  readonly idleTimeoutMs: number;
  /** What it has to come at, besides; without it, dripping is only bounded by `timeoutMs`. */
  readonly pace?: PaceLimits;
}

/** Reads a small document whole. @throws {HttpError} 413, 408 */
export async function readDocument(
  request: IncomingMessage,
  bytesMax: number,
): Promise<Uint8Array> {
  const limits = { bytesMax, timeoutMs: DOCUMENT_TIMEOUT_MS, idleTimeoutMs: DOCUMENT_TIMEOUT_MS };
  const chunks: Uint8Array[] = [];
  for await (const chunk of boundedBody(request, limits)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The bytes of an upload as they come. The iterator throws {HttpError} 413, 408, 400. */
export function artifactBody(request: IncomingMessage): AsyncIterable<Uint8Array> {
  return boundedBody(request, {
    bytesMax: ARTIFACT_BYTES_MAX,
    timeoutMs: ARTIFACT_TIMEOUT_MS,
    idleTimeoutMs: ARTIFACT_IDLE_TIMEOUT_MS,
    pace: ARTIFACT_PACE,
  });
}

/** Chunks of a body within limits. */
export async function* boundedBody(
  request: IncomingMessage,
  limits: BodyLimits,
): AsyncGenerator<Uint8Array> {
  const announced = request.headers['content-length'];
  // Announced lengths are only used to say no early.
  if (announced !== undefined && !(Number(announced) <= limits.bytesMax)) throw tooLarge(limits);
  const chunks = request.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  const deadline = performance.now() + limits.timeoutMs;
  const pace = limits.pace === undefined ? undefined : new Pace(limits.pace);
  let length = 0;
  for (;;) {
    const before = performance.now();
    const paceMs = pace?.patienceMs ?? Number.POSITIVE_INFINITY;
    const patience = Math.min(limits.idleTimeoutMs, deadline - before, paceMs);
    const next = await within(chunks.next(), patience, tooSlow);
    if (next.done === true) break;
    pace?.received(next.value.length, performance.now() - before);
    length += next.value.length;
    if (length > limits.bytesMax) throw tooLarge(limits);
    yield next.value;
  }
  // A cut connection ends the stream without an error in some Node versions.
  if (!request.complete) throw new HttpError(400, 'REQUEST_MALFORMED', 'the body was cut off');
}

function tooLarge(limits: BodyLimits): HttpError {
  return new HttpError(413, 'BODY_TOO_LARGE', `the body is larger than ${limits.bytesMax} bytes`);
}

function tooSlow(): HttpError {
  return new HttpError(408, 'BODY_TOO_SLOW', 'the body came too slowly');
}
