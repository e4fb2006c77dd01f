// The proxy's socket: a registry under a secret path on loopback, and a forward proxy that leads nowhere
// else. Package managers are sent here by their settings (manager-environment.ts); what they ask of any
// other host comes here too, and is refused by name.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { diagnostic } from '../output/report.ts';
import { printable } from '../output/sanitize.ts';
import type { ProxyLedger } from './ledger.ts';
import type { RegistryRoutes } from './routes.ts';

const HOST = '127.0.0.1';
/** Package managers open some dozens. */
const CONNECTIONS_MAX = 256;
const HEADER_BYTES_MAX = 16 * 1024;
const HEADERS_TIMEOUT_MS = 5_000;
/** Bytes of the secret part of the address: beyond guessing. */
const SECRET_BYTES = 16;
/** An address longer than that is not one of a package. */
const TARGET_LENGTH_MAX = 4096;
const SHOWN_LENGTH_MAX = 200;

/** A running proxy. */
export interface ProxyServer {
  /** Address of the registry, with a slash at the end. It has the secret in it. */
  readonly registry: string;
  /** Address of the forward proxy. */
  readonly forward: string;
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Starts listening on 127.0.0.1.
 *
 * The registry's address has a secret of this run in its path: otherwise every user of the machine, and
 * every page in a browser on it, could ask for what only this user's tokens give access to.
 *
 * @param port 0 lets the system choose
 */
export async function startProxyServer(
  routesAt: (registry: string) => RegistryRoutes,
  ledger: ProxyLedger,
  port: number,
): Promise<ProxyServer> {
  const secret = randomBytes(SECRET_BYTES).toString('hex');
  const listener = new Listener(secret, ledger);
  const server = createServer({ maxHeaderSize: HEADER_BYTES_MAX }, listener.onRequest);
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.maxConnections = CONNECTIONS_MAX;
  server.on('connect', listener.onConnect);
  server.on('upgrade', (_request, socket: Duplex) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  const forward = `http://${HOST}:${bound}`;
  const registry = `${forward}/${secret}/`;
  listener.start(server, bound, routesAt(registry));
  return {
    registry,
    forward,
    port: bound,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

class Listener {
  readonly #secret: string;
  readonly #ledger: ProxyLedger;
  #server: Server | undefined;
  #routes: RegistryRoutes | undefined;
  /** What this server is called by those who mean it. */
  #names: ReadonlySet<string> = new Set();

  constructor(secret: string, ledger: ProxyLedger) {
    this.#secret = secret;
    this.#ledger = ledger;
  }

  start(server: Server, port: number, routes: RegistryRoutes): void {
    this.#server = server;
    this.#routes = routes;
    this.#names = new Set([`${HOST}:${port}`, `localhost:${port}`]);
  }

  readonly onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    // A client that goes away is nobody's fault.
    response.on('error', () => undefined);
    const target = request.url ?? '';
    if (target.length > TARGET_LENGTH_MAX) return refuse(response, 414, 'an address this long');
    const asked = readTarget(target, request.headers.host);
    if (asked === undefined) return refuse(response, 400, 'not an address');
    // By Host too: a page whose name leads to 127.0.0.1 (DNS rebinding) is not somebody who means us.
    if (!this.#names.has(asked.authority)) {
      const text = this.#escape(`${request.method ?? ''} http://${asked.authority}${asked.path}`);
      return refuse(response, 403, text);
    }
    const rest = this.#behindSecret(asked.path);
    if (rest === undefined) return refuse(response, 404, 'nothing is served here');
    if (this.#routes === undefined) return refuse(response, 503, 'not started yet');
    void this.#routes.answer(request, rest, response);
  };

  readonly onConnect = (request: IncomingMessage, socket: Duplex): void => {
    socket.on('error', () => undefined);
    const authority = request.url ?? '';
    // Some clients tunnel to everybody, us included.
    if (this.#names.has(authority) && this.#server !== undefined) {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      this.#server.emit('connection', socket as Socket);
      return;
    }
    const text = this.#escape(`CONNECT ${authority}`);
    const body = `${JSON.stringify({ error: text })}\n`;
    const length = Buffer.byteLength(body);
    socket.end(
      `HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\nconnection: close\r\n\r\n${body}`,
    );
  };

  #escape(what: string): string {
    const shown = printable(what, SHOWN_LENGTH_MAX);
    const refusal = diagnostic('BP6015', `asked for something outside of the proxy: ${shown}`, {
      hints: ['only what comes through the proxy is verified; bftpkg explain BP6015'],
    });
    this.#ledger.escape(shown, refusal);
    return `bftpkg BP6015: ${refusal.message}`;
  }

  #behindSecret(path: string): string | undefined {
    const end = path.indexOf('/', 1);
    if (end < 0) return undefined;
    const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
    return timingSafeEqual(digest(path.slice(1, end)), digest(this.#secret))
      ? path.slice(end + 1)
      : undefined;
  }
}

/** Whom a request means, and for what: `/path` with a Host, or as proxies are asked, with the whole address. */
function readTarget(
  target: string,
  host: string | undefined,
): { readonly authority: string; readonly path: string } | undefined {
  if (target.startsWith('/')) return { authority: (host ?? '').toLowerCase(), path: target };
  const match = /^http:\/\/([^/?#@]+)(\/[^#]*)?$/i.exec(target);
  const authority = match?.[1];
  if (authority === undefined) return undefined;
  return { authority: authority.toLowerCase(), path: match?.[2] ?? '/' };
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify({ error: text })}\n`);
}
