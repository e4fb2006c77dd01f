// The socket under the public face: timeouts and sizes that keep slow or greedy clients from holding it.
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

import { createAdaptorServer } from '@hono/node-server';

import { ARTIFACT_TIMEOUT_MS } from './limits.ts';
import type { PaceLimits } from './pace.ts';
import type { PublicApp } from './routes.ts';
import { SendPace } from './send-pace.ts';
import { SocketShares, type ShareLimits } from './socket-shares.ts';

/** What tests set otherwise. */
export interface ServeLimits {
  readonly sockets?: ShareLimits;
  readonly pace?: PaceLimits;
  /** How often the pace is looked at, milliseconds. */
  readonly paceIntervalMs?: number;
}

const SOCKETS: ShareLimits = {
  // Each costs a few kilobytes, and file descriptors end at 65,536.
  max: 4096,
  // A proxy before the replica, or a building full of machines that install; four such have a place each.
  perNetwork: 1024,
  // What is under way goes on.
  gives: 'newest',
};

/** Requests per socket, so that a load balancer's connections get spread again now and then. */
const REQUESTS_PER_SOCKET_MAX = 1000;

/** A running server. */
export interface PublicServer {
  readonly port: number;
  /** Takes no new connections; closes idle ones at once and the others after `drainMs`. */
  close(drainMs: number): Promise<void>;
}

/**
 * Starts serving; port 0 lets the system choose.
 *
 * Sockets are shared between networks, and answers have to be read at a pace. Headers have 5 seconds. The limit on a whole request is that of the largest upload, because Node has
 * one for all routes; each body has a tighter one of its own (body.ts).
 */
export async function serve(
  app: PublicApp,
  host: string,
  port: number,
  limits: ServeLimits = {},
): Promise<PublicServer> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    createServer,
    serverOptions: {
      headersTimeout: 5000,
      requestTimeout: ARTIFACT_TIMEOUT_MS + 10_000,
      keepAliveTimeout: 5000,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: 8 * 1024,
    },
  }) as Server;
  const sockets = new SocketShares(limits.sockets ?? SOCKETS);
  const pace = new SendPace(limits.pace, limits.paceIntervalMs);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    pace.watch(socket);
  });
  server.maxRequestsPerSocket = REQUESTS_PER_SOCKET_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: async (drainMs) => {
      await closeServer(server, drainMs);
      pace.close();
    },
  };
}

async function closeServer(server: Server, drainMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), drainMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
