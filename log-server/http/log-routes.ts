// The log itself: checkpoint, rosters, tiles and entry bundles (c2sp.org/tlog-tiles), read-only.
import { canonicalJson } from '../../verifier/json.ts';
import { envelopeJson } from '../../verifier/dsse.ts';
import { TILE_WIDTH, parseTilePath } from '../../verifier/merkle/tile.ts';
import { VerifyError } from '../../verifier/errors.ts';
import type { Tile } from '../../verifier/merkle/tile.ts';
import { IMMUTABLE, revalidated } from './caching.ts';
import { HttpError } from './errors.ts';
import type { PublicApp, RouteContext } from './routes.ts';

/** Adds GET /checkpoint, /rosters, /tile/… */
export function logRoutes(app: PublicApp, { face, held }: RouteContext): void {
  app.get('/checkpoint', async (c) => {
    const checkpoint = await face.store.checkpoint();
    if (checkpoint === undefined) {
      throw new HttpError(503, 'NOT_READY', 'the log has no checkpoint yet', 1);
    }
    const noneMatch = c.req.header('if-none-match');
    return revalidated(checkpoint.note, 'text/plain; charset=utf-8', noneMatch);
  });

  app.get('/rosters', async (c) => {
    const rosters = await face.store.rosterEnvelopes();
    const body = canonicalJson(rosters.map(envelopeJson));
    return revalidated(body, 'application/json', c.req.header('if-none-match'));
  });

  app.get('/tile/*', async (c) => {
    const tile = readTilePath(c.req.path.slice(1));
    const { index, width } = tile;
    const body =
      tile.level === 'entries'
        ? await face.store.entryBundle(index, width)
        : await face.store.tile(tile.level, index, width);
    if (body === undefined) throw new HttpError(404, 'NOT_FOUND', 'the log has no such tile yet');
    // A partial tile is immutable too; but it is superseded, so nobody should keep it for a year.
    const caching = width === TILE_WIDTH ? IMMUTABLE : 'public, max-age=3600, immutable';
    return held.send(c, body, {
      'content-type': 'application/octet-stream',
      'cache-control': caching,
    });
  });
}

function readTilePath(path: string): Tile {
  try {
    return parseTilePath(path);
  } catch (error) {
    if (error instanceof VerifyError) throw new HttpError(404, 'NOT_FOUND', error.message);
    throw error;
  }
}
