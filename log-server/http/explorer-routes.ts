// The explorer: pages for people, made from the same reads as everything else.
import { VerifyError } from '../../verifier/errors.ts';
import { parseUint } from '../../verifier/encoding.ts';
import { parseEntry } from '../../verifier/entry.ts';
import { leafHash } from '../../verifier/merkle/hash.ts';
import { parsePackageName } from '../../verifier/npm/name.ts';
import { parseRoster } from '../../verifier/roster.ts';
import {
  ENTRIES_PER_PAGE,
  STYLE,
  entryPage,
  logPage,
  missingPage,
  overviewPage,
  packagePage,
  type PlacedEntry,
} from '../explorer/pages.ts';
import { HttpError } from './errors.ts';
import type { PublicFace } from './face.ts';
import { Gate, PAGES_MAX } from './limits.ts';
import type { PublicApp, RouteContext } from './routes.ts';

/** Nothing runs, nothing comes from elsewhere, nobody frames it, whatever a page should hold. */
const POLICY =
  "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/** Entries on the front page. */
const NEWEST_MAX = 20;

/** Adds GET /, /explorer.css and /explore… */
export function explorerRoutes(app: PublicApp, { face, packages }: RouteContext): void {
  const pages = new Gate(PAGES_MAX);
  const shown = async (make: () => Promise<Response>): Promise<Response> => {
    const done = await pages.run(make);
    if (done === undefined) throw new HttpError(503, 'BUSY', 'too many readers at one time', 1);
    return done.value;
  };

  app.get('/explorer.css', () => answer(STYLE, 200, 'text/css; charset=utf-8'));

  app.get('/', () =>
    shown(async () => {
      const envelope = (await face.store.rosterEnvelopes()).at(-1);
      if (envelope === undefined) throw new HttpError(503, 'NOT_READY', 'no roster yet', 1);
      const checkpoint = await face.store.checkpoint();
      const newest = await readEntries(face, (checkpoint?.size ?? 0) - 1, NEWEST_MAX);
      return answer(overviewPage(parseRoster(envelope.payload), checkpoint?.note, newest));
    }),
  );

  app.get('/explore', (c) => {
    const query = (c.req.query('q') ?? '').trim().slice(0, 300);
    return new Response(null, { status: 302, headers: { location: placeOf(query) } });
  });

  app.get('/explore/log', (c) =>
    shown(async () => {
      const size = (await face.store.checkpoint())?.size ?? 0;
      const upto = readIndex(c.req.query('upto') ?? String(Math.max(0, size - 1)));
      const entries = await readEntries(face, Math.min(upto, size - 1), ENTRIES_PER_PAGE);
      return answer(logPage(entries, size));
    }),
  );

  app.get('/explore/entry/:index', (c) =>
    shown(async () => {
      const index = readIndex(c.req.param('index'));
      const data = await face.store.entry(index);
      if (data === undefined) return answer(missingPage(`entry ${index}`), 404);
      return answer(entryPage({ index, entry: parseEntry(data) }, leafHash(data)));
    }),
  );

  app.get('/explore/package/:name', (c) =>
    shown(async () => {
      const name = c.req.param('name');
      const row = isPackageName(name) ? await packages.get(name) : undefined;
      const data = row && (await face.store.entry(row.record.maintainers));
      const maintainers = data && parseEntry(data);
      if (row === undefined || maintainers?.kind !== 'maintainers') {
        return answer(missingPage(name), 404);
      }
      return answer(packagePage({ ...row, maintainers }));
    }),
  );
}

/** The newest entries up to an index, newest first. */
async function readEntries(
  face: PublicFace,
  upto: number,
  countMax: number,
): Promise<readonly PlacedEntry[]> {
  const entries: PlacedEntry[] = [];
  for (let index = upto; index >= 0 && entries.length < countMax; index--) {
    const data = await face.store.entry(index);
    if (data === undefined) break;
    entries.push({ index, entry: parseEntry(data) });
  }
  return entries;
}

function placeOf(query: string): string {
  if (/^[0-9]{1,15}$/.test(query)) return `/explore/entry/${Number(query)}`;
  // A version is on the page of its package; the first character may be that of a scope.
  const at = query.indexOf('@', 1);
  const name = at < 0 ? query : query.slice(0, at);
  return name === '' ? '/' : `/explore/package/${encodeURIComponent(name)}`;
}

function isPackageName(name: string): boolean {
  try {
    parsePackageName(name);
    return true;
  } catch (error) {
    if (error instanceof VerifyError) return false;
    throw error;
  }
}

function readIndex(text: string): number {
  try {
    return parseUint(text);
  } catch (error) {
    if (error instanceof VerifyError) throw new HttpError(404, 'NOT_FOUND', 'not a number');
    throw error;
  }
}

function answer(body: string, status = 200, type = 'text/html; charset=utf-8'): Response {
  return new Response(body, {
    status,
    headers: {
      'content-type': type,
      'cache-control': 'no-cache',
      'content-security-policy': POLICY,
      'referrer-policy': 'no-referrer',
    },
  });
}
