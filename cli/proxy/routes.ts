// npm's registry protocol over what is verified (NPM.md 5). Read-only: whoever wants to publish, log in
// or change a tag talks to the registry itself.
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { finished } from 'node:stream/promises';

import { ABBREVIATED_TYPE, makePackument } from '../../verifier/npm/packument.ts';
import { parseRegistryPath } from '../../verifier/npm/registry-path.ts';
import { codeEntry } from '../output/codes.ts';
import { diagnoseThrown } from '../output/diagnose.ts';
import { EXIT } from '../output/exit-codes.ts';
import { diagnostic, type Diagnostic } from '../output/report.ts';
import { printable } from '../output/sanitize.ts';
import { ProxyRefusal, type VerifiedRegistry } from './verified-registry.ts';

/** npm sends the names and versions of a whole tree to be audited. */
const AUDIT_BYTES_MAX = 4 * 1024 * 1024;

const JSON_TYPE = 'application/json';

/** Answers requests behind the secret part of the path. */
export class RegistryRoutes {
  readonly #registry: VerifiedRegistry;
  /** Address of the registry without a slash at the end: tarballs are served under it. */
  readonly #address: string;

  constructor(registry: VerifiedRegistry, address: string) {
    this.#registry = registry;
    this.#address = address.replace(/\/$/, '');
  }

  /** Answers one request; never throws. */
  async answer(request: IncomingMessage, target: string, response: ServerResponse): Promise<void> {
    try {
      await this.#route(request, target, response);
    } catch (error) {
      // Half an answer can't be taken back: the client notices that it is cut.
      if (response.headersSent) return void response.destroy();
      const [found] = error instanceof ProxyRefusal ? [error.diagnostic] : diagnoseThrown(error);
      sendRefusal(response, found ?? diagnostic('BP9999', 'refused without a reason'));
    }
  }

  async #route(request: IncomingMessage, target: string, response: ServerResponse): Promise<void> {
    const path = target.replace(/\?.*$/s, '');
    const { method } = request;
    if (method === 'POST' && path.startsWith('-/npm/v1/security/')) {
      await drain(request, AUDIT_BYTES_MAX);
      // "No advisories" is the truth about the log, and anything else than an object makes npm exit 1
      // without a word.
      return sendJson(response, 200, '{}', method);
    }
    if (method !== 'GET' && method !== 'HEAD') {
      request.resume();
      return sendError(response, 403, 'the verifying proxy is read-only');
    }
    if (path === '-/ping') return sendJson(response, 200, '{}', method);
    if (path.startsWith('-/')) {
      return sendError(response, 404, 'the verifying proxy has packages and nothing else');
    }
    const asked = parseRegistryPath(path) ?? parseRegistryPath(tarballPart(path));
    if (asked === undefined) return sendError(response, 404, 'not an address of a package');
    if (asked.kind === 'packument') return await this.#packument(asked.name, request, response);
    if (method === 'HEAD') return sendError(response, 405, 'ask for tarballs with GET');
    await this.#registry.tarball(asked.name, asked.version, async (bytes) => {
      response.writeHead(200, {
        'content-type': 'application/octet-stream',
        'content-length': bytes.length,
      });
      response.end(bytes);
      // Held until they are on their way. A client that goes away needs them no longer.
      await finished(response).catch(() => undefined);
    });
  }

  async #packument(
    name: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const accept = request.headers.accept ?? '';
    const form = accept.includes(ABBREVIATED_TYPE) ? 'abbreviated' : 'full';
    const listing = await this.#registry.listing(name);
    const body = JSON.stringify(makePackument(listing, this.#address, form));
    const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 32)}"`;
    const type = form === 'abbreviated' ? ABBREVIATED_TYPE : JSON_TYPE;
    const headers = { etag, 'cache-control': 'no-cache', vary: 'accept', 'content-type': type };
    const known = (request.headers['if-none-match'] ?? '').split(',').map((each) => each.trim());
    if (known.some((each) => each === '*' || each.replace(/^W\//, '') === etag)) {
      response.writeHead(304, headers);
      response.end();
      return;
    }
    response.writeHead(200, { ...headers, 'content-length': Buffer.byteLength(body) });
    response.end(request.method === 'HEAD' ? undefined : body);
  }
}

// Lockfiles name tarballs of registries that lie deeper in their hosts, and npm exchanges the host alone
// (npm 10 even puts our own path in front of itself). What is served is bound to name and version, so
// whatever stands before them has no say.
function tarballPart(path: string): string {
  return /(?:^|\/)((?:(?:@|%40)[^/%]+(?:\/|%2f))?[^/@%]+\/-\/[^/]+\.tgz)$/i.exec(path)?.[1] ?? '';
}

/** Reads a body to its end without keeping it. */
async function drain(request: IncomingMessage, bytesMax: number): Promise<void> {
  let length = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > bytesMax) throw new ProxyRefusal(diagnostic('BP9003', 'a request too large'));
  }
}

// npm shows the text of a refusal word for word; the others show the status at most.
function sendRefusal(response: ServerResponse, { code, message, hints }: Diagnostic): void {
  const [hint] = hints;
  const text = `bftpkg ${code}: ${message}${hint === undefined ? '' : ` (${hint})`}`;
  sendError(response, statusOf(code), text);
}

function statusOf(code: Diagnostic['code']): number {
  const { exit } = codeEntry(code);
  if (exit === EXIT.notLogged) return 404;
  if (exit === EXIT.inconclusive || exit === EXIT.internal) return 503;
  return 403;
}

function sendError(response: ServerResponse, status: number, text: string): void {
  sendJson(response, status, JSON.stringify({ error: printable(text) }), 'GET');
}

function sendJson(
  response: ServerResponse,
  status: number,
  body: string,
  method: string | undefined,
): void {
  const length = Buffer.byteLength(body);
  response.writeHead(status, { 'content-type': JSON_TYPE, 'content-length': length });
  response.end(method === 'HEAD' ? undefined : body);
}
