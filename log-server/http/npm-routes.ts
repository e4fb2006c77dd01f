// An npm-compatible registry, read-only, made from the log (NPM.md 5). What a resolver gets here it can
// check with `bftpkg verify`; the registry itself is not trusted by anybody.
import { createHash } from 'node:crypto';

import type { PackageRow } from '../store/store.ts';
import { ABBREVIATED_TYPE, makePackument } from '../../verifier/npm/packument.ts';
import { parseRegistryPath } from '../../verifier/npm/registry-path.ts';
import { readPackage, readTarballDigest } from '../npm-view/registry.ts';
import { readDocument } from './body.ts';
import { inPieces } from './answers-held.ts';
import { IMMUTABLE, REVALIDATE, matchesEtag, revalidated } from './caching.ts';
import { HttpError } from './errors.ts';
import type { PublicFace } from './face.ts';
import { PackumentCache } from './packument-cache.ts';
import type { PublicApp, RouteContext } from './routes.ts';
import { answeredInside, incomingOf, json, streamed } from './routes.ts';

/** npm sends the names and versions of a whole tree here; we only have to read it to its end. */
const AUDIT_BYTES_MAX: number = 4 * 1024 * 1024;

const PREFIX = '/npm/';

/** Adds /npm/… */
export function npmRoutes(app: PublicApp, { face, packages, artifactReads }: RouteContext): void {
  const packuments = new PackumentCache<Uint8Array>();

  app.get('/npm/-/ping', () => json({}));

  // A wrong answer here makes npm exit without a message; "no advisories" is the truth about our data.
  app.post('/npm/-/npm/v1/security/advisories/bulk', async (c) => {
    await readDocument(incomingOf(c), AUDIT_BYTES_MAX);
    return json({});
  });

  app.get('/npm/*', async (c) => {
    const path = parseRegistryPath(rawPath(c.req.url).slice(PREFIX.length));
    if (path === undefined) throw new HttpError(404, 'NOT_FOUND', 'not an address of a package');
    if (path.kind === 'tarball') {
      return answeredInside(artifactReads, c, () => tarball(face, path.name, path.version));
    }
    const accept = c.req.header('accept') ?? '';
    const row = await packages.get(path.name);
    return packument(face, packuments, row, accept, c.req.header('if-none-match'));
  });
}

async function packument(
  face: PublicFace,
  packuments: PackumentCache<Uint8Array>,
  row: PackageRow | undefined,
  accept: string,
  ifNoneMatch: string | undefined,
): Promise<Response> {
  const form = accept.includes(ABBREVIATED_TYPE) ? 'abbreviated' : 'full';
  if (row === undefined) throw unknownPackage();
  // The records decide the document: with the same ones nothing has to be read and parsed again.
  const etag = packumentEtag(row, form, face.url);
  if (matchesEtag(ifNoneMatch, etag)) return revalidated('', '', ifNoneMatch, etag);
  const body = await packuments.get(etag, async () => {
    const source = await readPackage(face.store, row);
    if (source === undefined) return undefined;
    return Buffer.from(JSON.stringify(makePackument(source, `${face.url}/npm`, form)));
  });
  if (body === undefined) throw unknownPackage();
  const type = form === 'abbreviated' ? ABBREVIATED_TYPE : 'application/json';
  const caching = { etag, 'cache-control': REVALIDATE, vary: 'accept' };
  // Whoever reads it shares it with all others: it is held once.
  return inPieces(body, { ...caching, 'content-type': type });
}

async function tarball(face: PublicFace, name: string, version: string): Promise<Response> {
  const sha512 = await readTarballDigest(face.store, name, version);
  if (sha512 === undefined) {
    throw new HttpError(404, 'NOT_FOUND', 'the log has no such version, or it was revoked');
  }
  const content = await face.artifacts.read(sha512);
  if (content === undefined) {
    throw new HttpError(404, 'NOT_FOUND', 'this replica does not hold that artifact');
  }
  return streamed(content, {
    'content-type': 'application/octet-stream',
    'cache-control': IMMUTABLE,
  });
}

function packumentEtag(row: PackageRow, form: string, url: string): string {
  const text = JSON.stringify([form, url, row]);
  return `"${createHash('sha256').update(text).digest('hex').slice(0, 32)}"`;
}

function unknownPackage(): HttpError {
  return new HttpError(404, 'NOT_FOUND', 'the log has no installable version of that package');
}

/** The path as it was sent: routers decode, and `%2f` is part of npm's addresses. */
function rawPath(url: string): string {
  return new URL(url).pathname;
}
