// Asking replicas which versions a package has. Their lists are unsigned and not believed: they only say
// which proofs to ask for (predecessor.ts).
import { VerifyError } from '../../verifier/errors.ts';
import { parseForeignJson } from '../../verifier/foreign-json.ts';
import type { JsonValue } from '../../verifier/json.ts';
import { isVersion } from '../../verifier/npm/version.ts';
import type { HttpClient } from '../client/http.ts';
import { TransportError } from '../errors.ts';
import type { VersionLists } from './predecessor.ts';

/** The abbreviated packument of a package with ten thousand versions. */
const LIST_BYTES_MAX = 16 * 1024 * 1024;
const LIST_TIMEOUT_MS = 8_000;
/** Packages asked about at a time: enough to hide the latency, few enough to be polite. */
const CONCURRENCY = 16;
const ABBREVIATED = 'application/vnd.npm.install-v1+json';

/** Whom to ask, and how. */
export interface ListSource {
  readonly http: HttpClient;
  /** Base addresses, the one to ask first in front. */
  readonly urls: readonly string[];
  readonly signal: AbortSignal;
}

/**
 * Asks for the versions of packages: for each one f + 1 replicas, more where some fail. With at most f
 * faulty ones, one of these lists is a correct replica's.
 */
export async function askVersionLists(
  source: ListSource,
  names: readonly string[],
): Promise<ReadonlyMap<string, VersionLists>> {
  const found = new Map<string, VersionLists>();
  const queue = [...names];
  const work = async (): Promise<void> => {
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
      found.set(name, await askAbout(source, name));
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, names.length) }, work));
  return found;
}

async function askAbout(source: ListSource, name: string): Promise<VersionLists> {
  // Counted by head, like everywhere before a roster is verified.
  const needed = Math.floor((source.urls.length - 1) / 3) + 1;
  const lists: (readonly string[])[] = [];
  for (let next = 0; lists.length < needed && next < source.urls.length;) {
    const asked = source.urls.slice(next, next + needed - lists.length);
    next += asked.length;
    const answers = await Promise.all(asked.map((url) => askOne(source, url, name)));
    lists.push(...answers.filter((answer) => answer !== undefined));
  }
  return lists.length < needed ? 'too-few' : lists;
}

async function askOne(
  { http, signal }: ListSource,
  url: string,
  name: string,
): Promise<readonly string[] | undefined> {
  try {
    const { status, body } = await http.exchange({
      method: 'GET',
      url: `${url}/npm/${name.replace('/', '%2f')}`,
      accept: ABBREVIATED,
      bytesMax: LIST_BYTES_MAX,
      timeoutMs: LIST_TIMEOUT_MS,
      statuses: [200, 404],
      signal,
    });
    // It knows of none.
    if (status === 404) return [];
    return readVersions(parseForeignJson(body, { lengthMax: LIST_BYTES_MAX }).value);
  } catch (error) {
    // Whatever is wrong with its answer, another one is asked; without enough of them nothing is said.
    if (signal.aborted) throw error;
    if (error instanceof TransportError || error instanceof VerifyError) return undefined;
    throw error;
  }
}

function readVersions(document: JsonValue): readonly string[] | undefined {
  const versions = tableOf(tableOf(document)?.['versions']);
  return versions === undefined ? undefined : Object.keys(versions).filter(isVersion);
}

function tableOf(value: JsonValue | undefined): { readonly [key: string]: JsonValue } | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined;
  return value as { readonly [key: string]: JsonValue };
}
