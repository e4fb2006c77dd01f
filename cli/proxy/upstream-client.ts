// Exchanges with the registry that a package comes from when a policy allows it without the log. Redirects
// are followed here, because npm would take its token along to whatever host they lead to (tried).
import { requireOnline, TransportError } from '../errors.ts';
import type { Registries } from '../npm/registries.ts';

const REDIRECTS_MAX = 3;

/** A question and the most that its answer may cost. */
export interface UpstreamExchange {
  readonly url: string;
  readonly accept: string;
  readonly bytesMax: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** With it the question is a POST of JSON. */
  readonly json?: string;
  readonly offline: boolean;
}

/**
 * Asks; `undefined` where there is no such thing (404).
 *
 * @throws {TransportError}
 */
export async function askUpstream(
  { authorizationFor }: Pick<Registries, 'authorizationFor'>,
  wanted: UpstreamExchange,
): Promise<Uint8Array | undefined> {
  requireOnline(wanted.offline);
  const deadline = AbortSignal.timeout(wanted.timeoutMs);
  const signal = AbortSignal.any([wanted.signal, deadline]);
  let url = wanted.url;
  for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
    try {
      const authorization = authorizationFor(url);
      const response = await fetch(url, {
        method: wanted.json === undefined ? 'GET' : 'POST',
        redirect: 'manual',
        signal,
        body: wanted.json ?? null,
        headers: {
          accept: wanted.accept,
          ...(wanted.json === undefined ? {} : { 'content-type': 'application/json' }),
          // By the address of this hop: another host gets its own token or none.
          ...(authorization === undefined ? {} : { authorization }),
        },
      });
      const next = response.headers.get('location');
      if (response.status >= 300 && response.status < 400 && next !== null) {
        await response.body?.cancel();
        url = nextAddress(next, url);
        continue;
      }
      if (response.status !== 200) {
        await response.body?.cancel();
        if (response.status === 404) return undefined;
        throw new TransportError('STATUS', `answered ${response.status}`, {
          status: response.status,
        });
      }
      return await readBounded(response, wanted.bytesMax);
    } catch (thrown) {
      if (thrown instanceof TransportError) throw thrown;
      const code = deadline.aborted ? 'TIMEOUT' : 'UNREACHABLE';
      const reason = deadline.aborted ? 'no whole answer in time' : 'could not be reached';
      throw new TransportError(code, `${new URL(url).host}: ${reason}`, { cause: thrown });
    }
  }
  throw new TransportError('PROTOCOL', `more than ${REDIRECTS_MAX} redirects`);
}

// Never from https to http: everybody on the way could answer then.
function nextAddress(location: string, from: string): string {
  const next = URL.canParse(location, from) ? new URL(location, from) : undefined;
  const isWeaker = next?.protocol === 'http:' && new URL(from).protocol === 'https:';
  if (next === undefined || !/^https?:$/.test(next.protocol) || isWeaker) {
    throw new TransportError('PROTOCOL', 'redirects to something that is not followed');
  }
  return next.href;
}

async function readBounded(response: Response, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Unpacked by now, if it came packed: it is what unpacks that is counted.
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > bytesMax) {
      throw new TransportError('TOO_LARGE', `sent more than ${bytesMax} bytes`, { status: 200 });
    }
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
