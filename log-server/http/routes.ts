// What the route files share.
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

import type { HttpBindings } from '@hono/node-server';
import type { Context, Hono } from 'hono';

import type { Log } from '../log.ts';
import type { Admissions } from './admissions.ts';
import { HttpError } from './errors.ts';
import type { PublicFace } from './face.ts';
import type { SharedGate } from './limits.ts';
import { networkOf } from './limits.ts';
import type { PackageRow } from '../store/store.ts';
import type { RequestCounts } from './metrics.ts';
import type { PacedReads } from './paced-reads.ts';
import type { Uploads } from './uploads.ts';

/** The Hono application type of all route files. */
export type PublicApp = Hono<{ Bindings: HttpBindings }>;

/** Sends answers that may be large. */
export interface HeldAnswers {
  /**
   * Sends a body that is in memory for this answer. Text in pieces is made bytes of as they are sent.
   *
   * @throws {HttpError} 503 when too much is on its way already
   */
  send(
    c: Context<{ Bindings: HttpBindings }>,
    body: string | readonly string[] | Uint8Array,
    headers: Record<string, string>,
  ): Response;
}

/** What the routes share. */
export interface RouteContext {
  readonly face: PublicFace;
  /** Answers so far. */
  readonly requests: RequestCounts;
  readonly log: Log;
  /** Large artifacts that are being read, under whichever address. */
  readonly artifactReads: SharedGate;
  /** Large answers on their way. */
  readonly held: HeldAnswers;
  /** A monotonic clock. */
  readonly nowMs: () => number;
  /** Artifacts from strangers. */
  readonly uploads: Uploads;
  /** Submissions from strangers. */
  readonly admissions: Admissions;
  /** Packages, read at a pace that leaves votes their turn. @throws {BusyError} */
  readonly packages: PacedReads<PackageRow | undefined>;
  /** Throws when the sender has written too much lately. @throws {HttpError} 429 */
  readonly allowWrite: (request: IncomingMessage) => void;
}

/** A JSON answer. */
export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  const body = `${JSON.stringify(value)}\n`;
  return new Response(body, {
    status,
    headers: { 'content-type': 'application/json', ...headers },
  });
}

/** Bytes with their headers. */
export function bytes(body: Uint8Array, headers: Record<string, string>): Response {
  // A copy: the server adds the length to the very object.
  return new Response(body as Uint8Array<ArrayBuffer>, { headers: { ...headers } });
}

/** Content that is read in pieces while it is sent. */
export function streamed(
  content: { readonly size: number; chunks(): AsyncIterable<Uint8Array> },
  headers: Record<string, string>,
): Response {
  const body = Readable.toWeb(Readable.from(content.chunks(), { objectMode: false }));
  return new Response(body as ReadableStream<Uint8Array<ArrayBuffer>>, {
    headers: { ...headers, 'content-length': String(content.size) },
  });
}

/** Node's own request behind a Hono context: bodies are read from it under our bounds. */
export function incomingOf(c: Context<{ Bindings: HttpBindings }>): IncomingMessage {
  return c.env.incoming;
}

/** Whose share of a limit a request counts against. */
export function askerOf(c: Context<{ Bindings: HttpBindings }>): string {
  return networkOf(incomingOf(c).socket.remoteAddress ?? '');
}

/**
 * Answers from inside a gate, where the place is free when the answer has left: strangers who ask and don't
 * read must not pile answers up here.
 *
 * @param patienceMs see `sent`
 * @throws {HttpError} 503 when there is no place
 */
export function answeredInside(
  gate: SharedGate,
  c: Context<{ Bindings: HttpBindings }>,
  make: () => Promise<Response>,
  patienceMs?: number,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const work = async (): Promise<void> => {
      resolve(await make());
      await sent(c.env.outgoing, patienceMs);
    };
    gate
      .run(askerOf(c), work)
      .then((done) => {
        if (done === undefined) {
          throw new HttpError(503, 'BUSY', 'too much is asked for at one time', 1);
        }
      })
      .catch(reject);
  });
}

/**
 * Resolves when the answer has been sent, or its receiver has hung up.
 *
 * @param patienceMs a receiver that takes longer is hung up on: it would keep its place by not reading. When
 *        absent, only its pace is bounded (send-pace.ts)
 */
export async function sent(
  outgoing: Pick<HttpBindings['outgoing'], 'closed' | 'destroy' | 'once'>,
  patienceMs?: number,
): Promise<void> {
  if (outgoing.closed) return;
  const timer =
    patienceMs === undefined ? undefined : setTimeout(() => outgoing.destroy(), patienceMs);
  await new Promise<void>((resolve) => outgoing.once('close', () => resolve()));
  clearTimeout(timer);
}
