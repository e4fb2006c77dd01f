// Proofs of misbehaviour for everybody: what replicas have signed that no correct one signs.
import { HttpError } from './errors.ts';
import { REPORT_READS_MAX, SharedGate } from './limits.ts';
import type { PublicApp, RouteContext } from './routes.ts';
import { askerOf, json } from './routes.ts';

/** Adds GET /v1/misbehaviour and /v1/misbehaviour/<id>. */
export function misbehaviourRoutes(app: PublicApp, { face, held }: RouteContext): void {
  const reading = new SharedGate(REPORT_READS_MAX, 1);

  app.get('/v1/misbehaviour', async () =>
    json({ reports: await face.misbehaviour() }, 200, { 'cache-control': 'no-store' }),
  );

  app.get('/v1/misbehaviour/:id', async (c) => {
    const id = c.req.param('id');
    const done = await reading.run(askerOf(c), () => face.misbehaviourDocument(id));
    if (done === undefined) throw new HttpError(503, 'BUSY', 'too many readers at one time', 1);
    if (done.value === undefined) {
      throw new HttpError(404, 'NOT_FOUND', 'this replica knows no such report');
    }
    return held.send(c, done.value, {
      'content-type': 'application/json',
      'cache-control': 'no-cache',
    });
  });
}
