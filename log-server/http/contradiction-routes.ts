// Heads that this log never had, for everybody: who was shown them, and how to report one.
import { NOTE_LENGTH_MAX } from '../../verifier/note.ts';
import { decodeUtf8 } from '../../verifier/text.ts';
import { readDocument } from './body.ts';
import { HttpError } from './errors.ts';
import type { HeadReport } from './face.ts';
import { HEAD_REPORTS_MAX, REPORT_READS_MAX, SharedGate } from './limits.ts';
import type { PublicApp, RouteContext } from './routes.ts';
import { askerOf, incomingOf, json } from './routes.ts';

/** Adds GET /v1/contradictions and /v1/contradictions/<id>, and POST of a note to the former. */
export function contradictionRoutes(
  app: PublicApp,
  { face, held, allowWrite }: RouteContext,
): void {
  const reading = new SharedGate(REPORT_READS_MAX, 1);
  const judging = new SharedGate(HEAD_REPORTS_MAX, 1);

  app.get('/v1/contradictions', async () =>
    json({ contradictions: await face.contradictions() }, 200, NO_STORE),
  );

  app.get('/v1/contradictions/:id', async (c) => {
    const id = c.req.param('id');
    const done = await reading.run(askerOf(c), () => face.contradictionDocument(id));
    if (done === undefined) throw new HttpError(503, 'BUSY', 'too many readers at one time', 1);
    if (done.value === undefined) {
      throw new HttpError(404, 'NOT_FOUND', 'this replica keeps no such head');
    }
    return held.send(c, done.value, {
      'content-type': 'application/json',
      'cache-control': 'no-cache',
    });
  });

  app.post('/v1/contradictions', async (c) => {
    const incoming = incomingOf(c);
    allowWrite(incoming);
    // A note is counted in UTF-16 units, of which each may have three bytes; names are mostly ASCII.
    // Read outside: who announces a note and sends none would hold the place of one that is judged.
    const body = await readDocument(incoming, NOTE_LENGTH_MAX);
    const done = await judging.run(askerOf(c), () => face.reportHead(decodeUtf8(body)));
    return answerReport(done?.value ?? { kind: 'full' });
  });
}

const NO_STORE = { 'cache-control': 'no-store' };

function answerReport(report: HeadReport): Response {
  switch (report.kind) {
    case 'kept':
      return json({ status: 'kept', id: report.id }, 200, NO_STORE);
    case 'consistent':
      return json({ status: 'consistent' }, 200, NO_STORE);
    case 'ahead':
      throw new HttpError(503, 'NOT_READY', 'this log is not that long yet', 1);
    case 'full':
      throw new HttpError(503, 'BUSY', 'enough of this kind is kept or being judged', 60);
  }
}
