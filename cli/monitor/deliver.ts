// Notices on their way to people: a webhook gets them in pieces, and what it did not take stays pending.
import { TransportError } from '../errors.ts';
import type { HttpClient } from '../client/http.ts';
import { noticeJson, type Notice } from './notices.ts';

/** In one request: some chat systems take no more than this. */
const NOTICES_MAX = 50;
const TIMEOUT_MS = 15_000;
const ANSWER_BYTES_MAX = 64 * 1024;

/** What became of notices. */
export interface Delivery {
  readonly delivered: readonly Notice[];
  /** Why the rest was not. */
  readonly failure: string | undefined;
}

/**
 * Posts notices in order, until one request fails. Each is delivered at least once; receivers drop
 * doubles by id.
 *
 * @param url of the webhook
 */
export async function postNotices(
  http: HttpClient,
  url: string,
  notices: readonly Notice[],
  signal: AbortSignal,
): Promise<Delivery> {
  const delivered: Notice[] = [];
  for (let at = 0; at < notices.length; at += NOTICES_MAX) {
    const some = notices.slice(at, at + NOTICES_MAX);
    try {
      await http.exchange({
        method: 'POST',
        url,
        contentType: 'application/json',
        body: JSON.stringify({ format: 'bftpkg-notices/v1', notices: some.map(noticeJson) }),
        bytesMax: ANSWER_BYTES_MAX,
        timeoutMs: TIMEOUT_MS,
        statuses: [200, 201, 202, 204],
        signal,
      });
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      return { delivered, failure: error.message };
    }
    delivered.push(...some);
  }
  return { delivered, failure: undefined };
}
