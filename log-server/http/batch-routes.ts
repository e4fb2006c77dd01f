// Committed batches with their certificates, for replicas that are in no roster (yet, or any longer) and
// so have no connection to the others. Whoever reads them checks them; nothing here is secret.
import { VerifyError } from '../../verifier/errors.ts';
import { parseUint } from '../../verifier/encoding.ts';
import { BATCHES_BYTES_MAX, collectBatches } from '../consensus/catch-up.ts';
import { encodeMessage } from '../../verifier/replication/encode-message.ts';
import { REVALIDATE } from './caching.ts';
import { HttpError } from './errors.ts';
import { BATCH_READS_MAX, Gate } from './limits.ts';
import type { PublicApp, RouteContext } from './routes.ts';

/** Adds GET /v1/batches/<height>: that batch and some after it, as one message between replicas. */
export function batchRoutes(app: PublicApp, { face, held }: RouteContext): void {
  const reads = new Gate(BATCH_READS_MAX);

  app.get('/v1/batches/:height', async (c) => {
    const height = readHeight(c.req.param('height'));
    const read = await reads.run(() => face.store.batches(height, BATCHES_BYTES_MAX));
    if (read === undefined) throw new HttpError(503, 'BUSY', 'too many readers at one time', 1);
    const message = collectBatches(read.value);
    if (message === undefined) throw new HttpError(404, 'NOT_FOUND', 'there is no such batch yet');
    return held.send(c, encodeMessage(message), {
      'content-type': 'application/octet-stream',
      // The same heights may come with other certificates, or with more batches behind them.
      'cache-control': REVALIDATE,
    });
  });
}

function readHeight(text: string): number {
  try {
    const height = parseUint(text);
    if (height >= 1) return height;
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
  }
  throw new HttpError(400, 'REQUEST_MALFORMED', 'not a height: heights begin with 1');
}
