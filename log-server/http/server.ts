// The socket under the public face: timeouts and sizes that keep slow or greedy clients from holding it.
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { createAdaptorServer } from '@hono/node-server';

import { ARTIFACT_TIMEOUT_MS } from './limits.ts';
import type { PublicApp } from './routes.ts';

/** Sockets at one time: each costs a few kilobytes, and file descriptors end at 65,536. */
const CONNECTIONS_MAX = 4096;

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
 * Headers have 5 seconds. The limit on a whole request is that of the largest upload, because Node has
 * one for all routes; each body has a tighter one of its own (body.ts).
 */
export async function serve(app: PublicApp, host: string, port: number): Promise<PublicServer> {
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
  server.maxConnections = CONNECTIONS_MAX;
  server.maxRequestsPerSocket = REQUESTS_PER_SOCKET_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: (drainMs) => closeServer(server, drainMs),
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
