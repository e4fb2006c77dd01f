import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  createServer as createTcpServer,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import { TransportError, type TransportErrorCode } from '../errors.ts';
import { HttpClient } from './http.ts';

/** Of requests that nobody ever answers: all of it is waited for. */
const SHORT_TIMEOUT_MS = 400;
/** Of all others, on a machine that is busy with something else. */
const TIMEOUT_MS = 60_000;
/** A request that does not end by itself is ended from outside, which has a code of its own. */
const HANG_MS = 120_000;

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function ask(
  url: string,
  signal: AbortSignal = AbortSignal.timeout(HANG_MS),
  timeoutMs: number = TIMEOUT_MS,
): Promise<string> {
  const client = new HttpClient({ offline: false });
  try {
    const { body } = await client.exchange({
      method: 'GET',
      url: `${url}/x`,
      bytesMax: 1000,
      timeoutMs,
      statuses: [200],
      signal,
    });
    return Buffer.from(body).toString('utf8');
  } finally {
    await client.close();
  }
}

async function refusedWith(url: string, code: TransportErrorCode): Promise<TransportError> {
  let caught: unknown;
  const timeoutMs = code === 'TIMEOUT' ? SHORT_TIMEOUT_MS : TIMEOUT_MS;
  await ask(url, undefined, timeoutMs).catch((error: unknown) => {
    caught = error;
  });
  assert.ok(caught instanceof TransportError, String(caught));
  assert.equal(caught.code, code, caught.message);
  return caught;
}

const HOSTILE: readonly (readonly [string, Handler, TransportErrorCode])[] = [
  ['never answers', () => undefined, 'TIMEOUT'],
  [
    'never ends its body',
    (_, response) => {
      response.writeHead(200);
      response.write('x');
    },
    'TIMEOUT',
  ],
  [
    'drips a byte at a time for ever',
    (_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(timer));
    },
    'TIMEOUT',
  ],
  [
    'floods',
    (_, response) => {
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    },
    'TOO_LARGE',
  ],
  [
    'promises more than it may send',
    (_, response) => {
      response.writeHead(200, { 'content-length': '1001' });
      response.end(Buffer.alloc(1001));
    },
    'TOO_LARGE',
  ],
  [
    'redirects',
    (_, response) => {
      response.writeHead(302, { location: 'http://127.0.0.1:1/' });
      response.end();
    },
    'STATUS',
  ],
  [
    'fails',
    (_, response) => {
      response.writeHead(500);
      response.end('x'.repeat(100_000));
    },
    'STATUS',
  ],
  [
    'compresses without being asked',
    (_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' });
      response.end(gzipSync(Buffer.alloc(1_000_000)));
    },
    'PROTOCOL',
  ],
  [
    'sends huge headers',
    (_, response) => {
      response.writeHead(200, { 'x-pad': 'x'.repeat(64 * 1024) });
      response.end('x');
    },
    'TOO_LARGE',
  ],
  [
    'wants to speak another protocol',
    (_, response) => {
      response.writeHead(101, { connection: 'upgrade', upgrade: 'websocket' });
      response.end();
    },
    'PROTOCOL',
  ],
  [
    'cuts the body off',
    (_, response) => {
      response.writeHead(200, { 'content-length': '500' });
      response.write('x');
      setTimeout(() => response.destroy(), 10);
    },
    'UNREACHABLE',
  ],
];

describe('HttpClient', () => {
  for (const [what, handler, code] of HOSTILE) {
    it(`gives up on a server that ${what}`, async () => {
      const server = createServer({ maxHeaderSize: 1 << 20 }, handler);
      try {
        await refusedWith(await listen(server), code);
      } finally {
        server.closeAllConnections();
        server.close();
      }
    });
  }

  it('gives up on what does not speak HTTP', async () => {
    const server = createTcpServer((socket) => socket.end('SSH-2.0-x\r\n'));
    try {
      await refusedWith(await listen(server), 'UNREACHABLE');
    } finally {
      server.close();
    }
  });

  it('names a refused connection', async () => {
    const server = createTcpServer();
    const url = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    const error = await refusedWith(url, 'UNREACHABLE');
    assert.equal(error.message, 'ECONNREFUSED');
  });

  it('reads an answer of exactly the size allowed', async () => {
    const server = createServer((_, response) => response.end('y'.repeat(1000)));
    try {
      assert.equal((await ask(await listen(server))).length, 1000);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('passes on the error that a replica names', async () => {
    const server = createServer((_, response) => {
      response.writeHead(409);
      response.end('{"error":{"code":"RELEASE_CONFLICT","message":"taken"}}');
    });
    try {
      const error = await refusedWith(await listen(server), 'STATUS');
      assert.deepEqual(error.remote, { code: 'RELEASE_CONFLICT', message: 'taken' });
      assert.equal(error.status, 409);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  const exchange = (client: HttpClient, url: string, body?: string) =>
    client.exchange({
      method: body === undefined ? 'GET' : 'POST',
      url,
      ...(body === undefined ? {} : { body }),
      bytesMax: 1000,
      timeoutMs: TIMEOUT_MS,
      statuses: [200],
      signal: AbortSignal.timeout(HANG_MS),
    });

  it('uses a connection again', async () => {
    let connections = 0;
    const server = createServer((_, response) => response.end('ok'));
    server.on('connection', () => connections++);
    const client = new HttpClient({ offline: false });
    try {
      const url = await listen(server);
      for (let i = 0; i < 5; i++) await exchange(client, url, i % 2 === 0 ? undefined : 'body');
      assert.equal(connections, 1);
    } finally {
      await client.close();
      server.closeAllConnections();
      server.close();
    }
  });

  it('asks once more when the server gave the connection up in the same moment', async () => {
    const sockets: Socket[] = [];
    let asked = 0;
    const server = createTcpServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.on('data', () => {
        asked += 1;
        // The first request on a connection is answered, the second one meets its end.
        if (asked === 2) socket.resetAndDestroy();
        else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      });
    });
    const client = new HttpClient({ offline: false });
    try {
      const url = await listen(server);
      await exchange(client, url, 'one');
      const { body } = await exchange(client, url, 'two');
      assert.equal(Buffer.from(body).toString(), 'ok');
      assert.deepEqual([asked, sockets.length], [3, 2]);
    } finally {
      await client.close();
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });

  it('does not ask again on a fresh connection that is cut', async () => {
    let asked = 0;
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => {
        asked += 1;
        socket.resetAndDestroy();
      });
    });
    try {
      await refusedWith(await listen(server), 'UNREACHABLE');
      assert.equal(asked, 1);
    } finally {
      server.close();
    }
  });

  it('sends the bytes that it was given, whole', async () => {
    const sent = 'ä'.repeat(200_000);
    let received = 0;
    let announced: string | undefined;
    const server = createServer((request, response) => {
      announced = request.headers['content-length'];
      request.on('data', (piece: Buffer) => (received += piece.length));
      request.on('end', () => response.end('ok'));
    });
    const client = new HttpClient({ offline: false });
    try {
      await client.exchange({
        method: 'PUT',
        url: await listen(server),
        body: sent,
        bytesMax: 10,
        timeoutMs: TIMEOUT_MS,
        statuses: [200],
        signal: AbortSignal.timeout(HANG_MS),
      });
      assert.deepEqual([received, announced], [400_000, '400000']);
    } finally {
      await client.close();
      server.closeAllConnections();
      server.close();
    }
  });

  it('stops when it is told to', async () => {
    const stop = new AbortController();
    const server = createServer(() => stop.abort());
    try {
      const asked = ask(await listen(server), stop.signal);
      await assert.rejects(
        asked,
        (error) => error instanceof TransportError && error.code === 'ABORTED',
      );
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
