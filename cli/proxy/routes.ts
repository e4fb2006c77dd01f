// npm's registry protocol over what is verified (NPM.md 5). Read-only: whoever wants to publish, log in
// or change a tag talks to the registry itself.
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { finished } from 'node:stream/promises';
import { gunzipSync } from 'node:zlib';

import { parseForeignJson } from '../../verifier/foreign-json.ts';
import { ABBREVIATED_TYPE, makePackument } from '../../verifier/npm/packument.ts';
import { parseRegistryPath } from '../../verifier/npm/registry-path.ts';
import { decodeUtf8 } from '../../verifier/text.ts';
import { asTable } from '../lockfiles/classify.ts';
import { codeEntry } from '../output/codes.ts';
import { EXIT } from '../output/exit-codes.ts';
import { diagnostic, type Diagnostic } from '../output/report.ts';
import { printable } from '../output/sanitize.ts';
import { ProxyRefusal, type VerifiedRegistry } from './verified-registry.ts';

/** npm sends the names and versions of a whole tree to be audited. */
const AUDIT_BYTES_MAX = 4 * 1024 * 1024;

const JSON_TYPE = 'application/json';

// What npm and the others ask when they audit. Whole paths, not their beginning: behind that, `..` would
// lead out of it, and any POST would go to the registry with the user's token
// (`-/npm/v1/security/../../../-/package/x/access`).
const AUDIT_PATHS: ReadonlySet<string> = new Set([
  '-/npm/v1/security/advisories/bulk',
  '-/npm/v1/security/audits',
  '-/npm/v1/security/audits/quick',
]);

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
      // Half an answer can't be taken back: the client notices that it is cut. One that has gone needs none.
      if (response.headersSent || response.destroyed) return void response.destroy();
      sendRefusal(response, this.#registry.refusalOf(error));
    }
  }

  async #route(request: IncomingMessage, target: string, response: ServerResponse): Promise<void> {
    const path = target.replace(/\?.*$/s, '');
    const { method } = request;
    if (method === 'POST' && path.startsWith('-/npm/v1/security/')) {
      if (AUDIT_PATHS.has(path)) return await this.#audit(path, request, response);
      request.resume();
      return sendError(response, 404, 'the verifying proxy relays audits and nothing else');
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
    if (asked === undefined) return await this.#version(path, request, response);
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

  /** `<name>/<version>` and `<name>/latest`: one version's part of the packument. */
  async #version(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const at = path.lastIndexOf('/');
    const asked = parseRegistryPath(path.slice(0, Math.max(0, at)));
    if (asked?.kind !== 'packument') {
      return sendError(response, 404, 'not an address of a package');
    }
    const listing = await this.#registry.listing(asked.name);
    const document = makePackument(listing, this.#address, 'full');
    const wanted = path.slice(at + 1);
    const latest = asTable(document['dist-tags'])?.['latest'];
    const version = wanted === 'latest' && typeof latest === 'string' ? latest : wanted;
    const versions = asTable(document['versions']) ?? {};
    if (!Object.hasOwn(versions, version)) {
      return sendError(response, 404, `${asked.name}: no such version is offered`);
    }
    sendJson(response, 200, JSON.stringify(versions[version]), request.method);
  }

  async #audit(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const question = await readBody(request, AUDIT_BYTES_MAX);
    const answer = await this.#registry.permitted.audit(path, question);
    // "No advisories" is the truth about the log. Anything else than an object makes npm exit 1 without
    // a word.
    const text = answer === undefined ? '{}' : decodeUtf8(answer);
    const { value } = parseForeignJson(text, { lengthMax: text.length });
    if (asTable(value) === undefined) {
      return sendError(response, 503, 'the registry sent no object');
    }
    sendJson(response, 200, text, 'POST');
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

/** A body as text; npm compresses the trees that it wants audited. */
async function readBody(request: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bytesMax) throw new ProxyRefusal(diagnostic('BP9003', 'a request too large'));
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  const isPacked = request.headers['content-encoding'] === 'gzip';
  try {
    return decodeUtf8(isPacked ? gunzipSync(body, { maxOutputLength: bytesMax }) : body);
  } catch {
    throw new ProxyRefusal(diagnostic('BP9003', 'a request that can’t be read'));
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
