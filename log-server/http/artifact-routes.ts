// Artifacts by digest. PUT takes only bytes that have the digest and are a safe archive; GET hands out
// only bytes that still have it.
import type { IncomingMessage } from 'node:http';

import type { ArtifactPut } from '../store/artifact-store.ts';
import { SMALL_BYTES_MAX, sourceOf } from '../store/small-artifact.ts';
import {
  PARCEL_REQUEST_BYTES_MAX,
  formatParcel,
  readParcelRequest,
  type ParcelItem,
} from './artifact-parcel.ts';
import { artifactBody, isAnnouncedWithin, readDocument, readSmallArtifact } from './body.ts';
import { IMMUTABLE } from './caching.ts';
import { HttpError } from './errors.ts';
import type { PublicFace } from './face.ts';
import { PARCELS_MAX, PARCELS_PER_ADDRESS_MAX, PARCEL_SEND_MS, SharedGate } from './limits.ts';
import type { PublicApp, RouteContext } from './routes.ts';
import { answeredInside, askerOf, bytes, incomingOf, json, streamed } from './routes.ts';

const DIGEST_PATTERN = /^[0-9a-f]{128}$/;

/** Adds PUT, GET and HEAD of /v1/artifacts/<sha512>, and POST /v1/artifacts for many small ones. */
export function artifactRoutes(
  app: PublicApp,
  { face, artifactReads, uploads, allowWrite }: RouteContext,
): void {
  const parcels = new SharedGate(PARCELS_MAX, PARCELS_PER_ADDRESS_MAX);

  app.put('/v1/artifacts/:sha512', async (c) => {
    const incoming = incomingOf(c);
    allowWrite(incoming);
    const sha512 = readDigest(c.req.param('sha512'));
    const size = isSmall(incoming) ? 'small' : 'large';
    const { kind, facts } = await uploads.take(askerOf(c), sha512, size, (taken) =>
      takeUpload(face, sha512, incoming, taken),
    );
    return json({ sha512, status: kind, size: facts.size }, kind === 'created' ? 201 : 200);
  });

  // Hono answers HEAD with the headers of GET.
  app.get('/v1/artifacts/:sha512', async (c) => {
    const sha512 = readDigest(c.req.param('sha512'));
    if (c.req.method === 'HEAD') {
      const facts = await face.artifacts.facts(sha512);
      if (facts === undefined) throw notHeld();
      const length = { 'content-length': String(facts.size) };
      return new Response(null, { headers: { ...ARTIFACT_HEADERS, ...length } });
    }
    const small = face.artifacts.smallNow(sha512);
    if (small !== undefined) {
      return bytes(small, { ...ARTIFACT_HEADERS, 'content-length': String(small.length) });
    }
    return answeredInside(artifactReads, c, async () => {
      const content = await face.artifacts.read(sha512);
      if (content === undefined) throw notHeld();
      return streamed(content, ARTIFACT_HEADERS);
    });
  });

  app.post('/v1/artifacts', async (c) => {
    const incoming = incomingOf(c);
    const body = await readDocument(incoming, PARCEL_REQUEST_BYTES_MAX);
    const digests = readParcelRequest(body);
    if (digests === undefined) {
      throw new HttpError(400, 'REQUEST_MALFORMED', 'not SHA-512 digests of 64 bytes each');
    }
    const make = async (): Promise<Response> =>
      bytes(
        formatParcel(digests, (sha512) => itemOf(face, sha512)),
        ARTIFACT_HEADERS,
      );
    return answeredInside(parcels, c, make, PARCEL_SEND_MS);
  });
}

function itemOf({ artifacts }: PublicFace, sha512: string): ParcelItem {
  return artifacts.smallNow(sha512) ?? (artifacts.hasNow(sha512) ? 'alone' : 'absent');
}

function isSmall(incoming: IncomingMessage): boolean {
  return isAnnouncedWithin(incoming, SMALL_BYTES_MAX);
}

/** Idempotent: what is held already is not stored again. */
async function takeUpload(
  face: PublicFace,
  sha512: string,
  incoming: IncomingMessage,
  taken: AbortSignal,
): Promise<ArtifactPut> {
  const facts = await face.artifacts.facts(sha512);
  if (facts === undefined) {
    const source = isSmall(incoming)
      ? sourceOf(await readSmallArtifact(incoming, SMALL_BYTES_MAX, taken))
      : artifactBody(incoming, taken);
    return face.artifacts.put(sha512, source);
  }
  // Read to its end all the same: many clients don't look for an answer before they have sent all, and
  // would take the closed connection for a failure.
  for await (const chunk of artifactBody(incoming, taken)) void chunk;
  return { kind: 'present', facts };
}

const ARTIFACT_HEADERS: Record<string, string> = {
  'content-type': 'application/octet-stream',
  'cache-control': IMMUTABLE,
  // Made by strangers: a browser that is sent here must not try to show it.
  'content-disposition': 'attachment',
};

function readDigest(text: string): string {
  if (DIGEST_PATTERN.test(text)) return text;
  throw new HttpError(400, 'REQUEST_MALFORMED', 'not a SHA-512 in lower-case hexadecimal');
}

function notHeld(): HttpError {
  return new HttpError(404, 'NOT_FOUND', 'this replica does not hold that artifact');
}
