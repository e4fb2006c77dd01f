import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { createConnection } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { describe, it } from 'node:test';

import { boundedBody, readWhole } from './body.ts';
import type { BodyLimits } from './body.ts';
import { HttpError } from './errors.ts';

// A machine that is busy with something else must not turn one refusal into another: what is not about
// time has plenty of it, and what is about one limit has plenty of the others.
const PLENTY_MS = 600_000;
const LIMITS: BodyLimits = { bytesMax: 100, timeoutMs: PLENTY_MS, idleTimeoutMs: PLENTY_MS };
const SHORT: BodyLimits = { bytesMax: 100, timeoutMs: 200, idleTimeoutMs: 100 };
/** A limit that is not kept has to fail, not to hang. */
const HANG_MS = 60_000;
const HEAD = 'POST / HTTP/1.1\r\nhost: a\r\n';

type Reader = (request: IncomingMessage, limits: BodyLimits) => Promise<number>;

async function inPieces(request: IncomingMessage, limits: BodyLimits): Promise<number> {
  let length = 0;
  for await (const chunk of boundedBody(request, limits)) length += chunk.length;
  return length;
}

async function asAWhole(request: IncomingMessage, limits: BodyLimits): Promise<number> {
  const body = await readWhole(request, limits.bytesMax, limits.timeoutMs);
  return body.length;
}

/** Reads one request's body under `limits` while `send` plays the client. */
async function read(
  send: (socket: Socket) => void,
  limits = LIMITS,
  reader: Reader = inPieces,
): Promise<string> {
  let finish: (outcome: string) => void = () => undefined;
  const outcome = new Promise<string>((resolve) => (finish = resolve));
  const server = createServer((request: IncomingMessage, response) => {
    reader(request, limits)
      .then((length) => `${length} bytes`)
      .catch((error: unknown) => (error instanceof HttpError ? error.code : String(error)))
      .then((text) => {
        // The answer can still be sent: leaving the loop early has not destroyed the socket.
        response.writeHead(200, { connection: 'close' });
        response.end(text);
      })
      .catch(() => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket = createConnection((server.address() as AddressInfo).port, '127.0.0.1');
  const received: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => received.push(chunk));
  socket.on('error', () => undefined);
  socket.on('close', () => finish(Buffer.concat(received).toString().split('\r\n\r\n')[1] ?? ''));
  send(socket);
  const text = await outcome;
  await new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return text.split('\r\n').find((line) => /[A-Z]{3}|bytes/.test(line)) ?? text;
}

describe('boundedBody with a pace', () => {
  const paced: BodyLimits = {
    bytesMax: 10_000,
    timeoutMs: PLENTY_MS,
    idleTimeoutMs: PLENTY_MS,
    pace: { bytesPerSecond: 1000, graceMs: 150 },
  };
  const dripping =
    (first: number) =>
    (socket: Socket): void => {
      socket.write(`${HEAD}content-length: 9000\r\n\r\n${'x'.repeat(first)}`);
      const drip = setInterval(() => socket.write('x'), 20);
      socket.on('close', () => clearInterval(drip));
    };
  const cases: readonly [string, (socket: Socket) => void, string][] = [
    ['cuts a sender that drips without ever pausing', dripping(0), 'BODY_TOO_SLOW'],
    ['also one that began fast: what it sent early buys no time', dripping(8000), 'BODY_TOO_SLOW'],
    [
      'takes a small body whole, whatever its pace',
      (s) => s.write(`${HEAD}content-length: 3\r\n\r\nabc`),
      '3 bytes',
    ],
  ];
  for (const [why, send, expected] of cases) {
    it(why, { timeout: HANG_MS }, async () => {
      assert.equal(await read(send, paced), expected);
    });
  }
});

describe('boundedBody', () => {
  const chunk = (size: number): string => `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`;
  const cases: readonly [string, (socket: Socket) => void, string][] = [
    ['reads a body', (s) => s.write(`${HEAD}content-length: 3\r\n\r\nabc`), '3 bytes'],
    ['reads an empty body', (s) => s.write(`${HEAD}content-length: 0\r\n\r\n`), '0 bytes'],
    [
      'reads a body of exactly the limit',
      (s) => s.write(`${HEAD}content-length: 100\r\n\r\n${'x'.repeat(100)}`),
      '100 bytes',
    ],
    [
      'refuses an announced length over the limit at once',
      (s) => s.write(`${HEAD}content-length: 101\r\n\r\n`),
      'BODY_TOO_LARGE',
    ],
    [
      'counts chunks that announce nothing',
      (s) => s.write(`${HEAD}transfer-encoding: chunked\r\n\r\n${chunk(60)}${chunk(60)}`),
      'BODY_TOO_LARGE',
    ],
    [
      'gives up on a sender that pauses',
      (s) => s.write(`${HEAD}content-length: 3\r\n\r\na`),
      'BODY_TOO_SLOW',
    ],
    [
      'gives up on a sender that drips',
      (s) => {
        s.write(`${HEAD}content-length: 90\r\n\r\n`);
        const drip = setInterval(() => s.write('x'), 20);
        s.on('close', () => clearInterval(drip));
      },
      'BODY_TOO_SLOW',
    ],
  ];
  for (const [why, send, expected] of cases) {
    const limits = expected === 'BODY_TOO_SLOW' ? SHORT : LIMITS;
    it(why, { timeout: HANG_MS }, async () => assert.equal(await read(send, limits), expected));
    it(`as a whole: ${why}`, { timeout: HANG_MS }, async () =>
      assert.equal(await read(send, limits, asAWhole), expected),
    );
  }

  for (const [way, reader] of [
    ['in pieces', inPieces],
    ['as a whole', asAWhole],
  ] as const) {
    it(`says ${way} that a body was cut off`, async () => {
      let code: unknown;
      const seen = new Promise<void>((resolve) => {
        const watched: Reader = async (request, limits) => {
          try {
            return await reader(request, limits);
          } catch (error) {
            code = error instanceof HttpError ? error.code : String(error);
            throw error;
          } finally {
            resolve();
          }
        };
        const cut = (socket: Socket): void => {
          socket.end(`${HEAD}content-length: 3\r\n\r\na`);
        };
        void read(cut, LIMITS, watched);
      });
      await seen;
      assert.equal(String(code), 'REQUEST_MALFORMED');
    });
  }
});
