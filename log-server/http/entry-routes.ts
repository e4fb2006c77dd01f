// Submissions: POST a signed envelope, wait for its place in the log or ask for it later.
import { answerSubmission, goneSignal, readWait } from './admissions.ts';
import { readDocument } from './body.ts';
import { HttpError } from './errors.ts';
import type { SubmissionState } from './face.ts';
import { DOCUMENT_BYTES_MAX } from './limits.ts';
import type { PublicApp, RouteContext } from './routes.ts';
import { askerOf, incomingOf, json } from './routes.ts';

const ID_PATTERN = /^[0-9a-f]{64}$/;

/** Adds POST /v1/entries and GET /v1/entries/<id>. */
export function entryRoutes(app: PublicApp, { face, admissions, allowWrite }: RouteContext): void {
  app.post('/v1/entries', async (c) => {
    const incoming = incomingOf(c);
    allowWrite(incoming);
    const waitSeconds = readWait(c.req.query('wait'));
    const envelope = await readDocument(incoming, DOCUMENT_BYTES_MAX);
    const state = await admissions.submit(envelope, waitSeconds, goneSignal(c), askerOf(c));
    return answerState(state);
  });

  app.get('/v1/entries/:id', async (c) => {
    const id = c.req.param('id');
    const state = ID_PATTERN.test(id) ? await face.submission(id) : undefined;
    if (state === undefined) {
      throw new HttpError(404, 'NOT_FOUND', 'this replica knows no such submission');
    }
    return answerState(state);
  });
}

function answerState(state: SubmissionState): Response {
  const said = answerSubmission(state);
  if (said.kind === 'taken') {
    return json(said.body, said.status, { 'cache-control': 'no-store' });
  }
  const { status, headers, body } = said.answer;
  return new Response(body, { status, headers });
}
