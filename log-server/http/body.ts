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
  SUBMISSION_PARCEL_TIMEOUT_MS,
} from './limits.ts';
import { ARTIFACT_PACE, Pace, within } from './pace.ts';
import type { PaceLimits } from './pace.ts';
import { gaveWay } from './yielding-gate.ts';

/** Bounds on one body. */
export interface BodyLimits {
  readonly bytesMax: number;
  /** For the whole body. */
  readonly timeoutMs: number;
  /** Between two chunks. */
  readonly idleTimeoutMs: number;
  /** What it has to come at, besides; without it, dripping is only bounded by `timeoutMs`. */
  readonly pace?: PaceLimits;
  /** Aborted when somebody else is to have its place: then it throws {HttpError} 503. */
  readonly taken?: AbortSignal;
}

/** Reads a small document whole. @throws {HttpError} 413, 408 */
export async function readDocument(
  request: IncomingMessage,
  bytesMax: number,
): Promise<Uint8Array> {
  return readWhole(request, bytesMax, DOCUMENT_TIMEOUT_MS);
}

/** Reads a larger document whole: besides the time for a small one it has a pace. @throws {HttpError} 413, 408, 400 */
export async function readLargeDocument(
  request: IncomingMessage,
  bytesMax: number,
): Promise<Uint8Array> {
  const limits = { timeoutMs: DOCUMENT_TIMEOUT_MS, idleTimeoutMs: DOCUMENT_TIMEOUT_MS };
  const chunks: Uint8Array[] = [];
  const body = boundedBody(request, { bytesMax, ...limits, pace: ARTIFACT_PACE });
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Whether no more than so much can come: Node reads no more of a body than was announced. */
export function isAnnouncedWithin({ headers }: IncomingMessage, bytesMax: number): boolean {
  const announced = headers['content-length'];
  return announced !== undefined && Number(announced) <= bytesMax;
}

/** Reads a small artifact whole. @param taken see `BodyLimits` @throws {HttpError} 413, 408, 400, 503 */
export async function readSmallArtifact(
  request: IncomingMessage,
  bytesMax: number,
  taken: AbortSignal,
): Promise<Uint8Array> {
  // The time that the pace allows for as much, without counting each piece.
  const { bytesPerSecond, graceMs } = ARTIFACT_PACE;
  return readWhole(request, bytesMax, graceMs + (1000 * bytesMax) / bytesPerSecond, taken);
}

/**
 * Reads a body into memory: one timer and no iterator, which cost as much as the rest of a small request.
 *
 * @throws {HttpError} 413, 408, 400
 */
export function readWhole(
  request: IncomingMessage,
  bytesMax: number,
  timeoutMs: number,
  taken?: AbortSignal,
): Promise<Uint8Array> {
  const limits = { bytesMax };
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const finish = (error?: HttpError): void => {
      clearTimeout(timer);
      request.off('data', take).off('end', end).off('close', cut).off('error', cut);
      taken?.removeEventListener('abort', give);
      if (error === undefined) {
        const [only] = chunks;
        resolve(only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks));
        return;
      }
      // Not destroyed: the answer has to be sent. Nothing more is read.
      request.pause();
      reject(error);
    };
    const take = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > bytesMax) finish(tooLarge(limits));
      else chunks.push(chunk);
    };
    // A cut connection ends the stream without an error in some Node versions.
    const end = (): void => finish(request.complete ? undefined : cutOff());
    const cut = (): void => finish(cutOff());
    const give = (): void => finish(gaveWay());
    const timer = setTimeout(() => finish(tooSlow()), timeoutMs);
    if (isAnnouncedLarger(request, bytesMax)) {
      finish(tooLarge(limits));
      return;
    }
    if (taken?.aborted === true) {
      give();
      return;
    }
    request.on('data', take).on('end', end).on('close', cut).on('error', cut);
    taken?.addEventListener('abort', give);
  });
}

// Announced lengths are only used to say no early.
function isAnnouncedLarger(request: IncomingMessage, bytesMax: number): boolean {
  const announced = request.headers['content-length'];
  return announced !== undefined && !(Number(announced) <= bytesMax);
}

/** The bytes of an upload as they come. @param taken see `BodyLimits`. The iterator throws {HttpError} 413, 408, 400, 503. */
export function artifactBody(
  request: IncomingMessage,
  taken: AbortSignal,
): AsyncIterable<Uint8Array> {
  return boundedBody(request, {
    taken,
    bytesMax: ARTIFACT_BYTES_MAX,
    timeoutMs: ARTIFACT_TIMEOUT_MS,
    idleTimeoutMs: ARTIFACT_IDLE_TIMEOUT_MS,
    pace: ARTIFACT_PACE,
  });
}

/** Submissions with their artifacts as they come. @param taken see `BodyLimits`. The iterator throws {HttpError} 413, 408, 400, 503. */
export function parcelBody(
  request: IncomingMessage,
  bytesMax: number,
  taken: AbortSignal,
): AsyncIterable<Uint8Array> {
  return boundedBody(request, {
    taken,
    bytesMax,
    timeoutMs: SUBMISSION_PARCEL_TIMEOUT_MS,
    idleTimeoutMs: ARTIFACT_IDLE_TIMEOUT_MS,
    pace: ARTIFACT_PACE,
  });
}

/** Chunks of a body within limits. */
export async function* boundedBody(
  request: IncomingMessage,
  limits: BodyLimits,
): AsyncGenerator<Uint8Array> {
  if (isAnnouncedLarger(request, limits.bytesMax)) throw tooLarge(limits);
  const chunks = request.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  const deadline = performance.now() + limits.timeoutMs;
  const pace = limits.pace === undefined ? undefined : new Pace(limits.pace);
  const given = whenTaken(limits.taken);
  let length = 0;
  for (;;) {
    const before = performance.now();
    const paceMs = pace?.patienceMs ?? Number.POSITIVE_INFINITY;
    const patience = Math.min(limits.idleTimeoutMs, deadline - before, paceMs);
    const coming = Promise.race([chunks.next().catch(refuseCut), given]);
    const next = await within(coming, patience, tooSlow);
    if (next.done === true) break;
    pace?.received(next.value.length, performance.now() - before);
    length += next.value.length;
    if (length > limits.bytesMax) throw tooLarge(limits);
    yield next.value;
  }
  // A cut connection ends the stream without an error in some Node versions.
  if (!request.complete) throw cutOff();
}

/** Never resolves; rejects when the place of what is read is to be somebody else's. */
function whenTaken(taken: AbortSignal | undefined): Promise<never> {
  const given = new Promise<never>((_, reject) => {
    if (taken?.aborted === true) reject(gaveWay());
    taken?.addEventListener('abort', () => reject(gaveWay()), { once: true });
  });
  given.catch(() => undefined);
  return given;
}

function cutOff(): HttpError {
  return new HttpError(400, 'REQUEST_MALFORMED', 'the body was cut off');
}

// Its sender's doing, and no failure of ours: each would be an error in the log, a stack and all, for a packet.
function refuseCut(): never {
  throw cutOff();
}

function tooLarge(limits: Pick<BodyLimits, 'bytesMax'>): HttpError {
  return new HttpError(413, 'BODY_TOO_LARGE', `the body is larger than ${limits.bytesMax} bytes`);
}

function tooSlow(): HttpError {
  return new HttpError(408, 'BODY_TOO_SLOW', 'the body came too slowly');
}
