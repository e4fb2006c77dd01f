// How long others may keep an answer.
import { createHash } from 'node:crypto';

/** What never changes under its address: full tiles, artifacts by digest. */
export const IMMUTABLE = 'public, max-age=31536000, immutable';

/** What changes at any moment: keep it, but ask each time whether it is still the newest. */
export const REVALIDATE = 'no-cache';

/** A strong validator of a body. */
export function etagOf(body: string | Uint8Array): string {
  return `"${createHash('sha256').update(body).digest('hex').slice(0, 32)}"`;
}

/** Whether the client's `If-None-Match` names this validator. */
export function matchesEtag(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined || ifNoneMatch.length > 4096) return false;
  return ifNoneMatch.split(',').some((part) => {
    const given = part.trim();
    // A proxy that compresses weakens a validator; comparing weakly is right for GET (RFC 9110 13.1.2).
    return given === '*' || given.replace(/^W\//, '') === etag;
  });
}

/** The body with its validator, or 304 when the client has it already. */
export function revalidated(
  body: string,
  contentType: string,
  ifNoneMatch: string | undefined,
  etag: string = etagOf(body),
): Response {
  const headers = { etag, 'cache-control': REVALIDATE, vary: 'accept' };
  if (matchesEtag(ifNoneMatch, etag)) return new Response(null, { status: 304, headers });
  return new Response(body, { headers: { ...headers, 'content-type': contentType } });
}
