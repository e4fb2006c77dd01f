// Submissions: POST a signed envelope, wait for its place in the log or ask for it later.
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';

import { HttpError, answerLateRefusal } from './errors.ts';
import type { SubmissionState } from './face.ts';
import {
  ADMISSIONS_MAX,
  ADMISSIONS_PER_NETWORK_MAX,
  DOCUMENT_BYTES_MAX,
  SharedGate,
  WAITING_MAX,
  WAITING_PER_NETWORK_MAX,
  WAIT_SECONDS_MAX,
} from './limits.ts';
import { readDocument } from './body.ts';
import type { PublicApp, RouteContext } from './routes.ts';
import { askerOf, incomingOf, json } from './routes.ts';

const ID_PATTERN = /^[0-9a-f]{64}$/;

/** Adds POST /v1/entries and GET /v1/entries/<id>. */
export function entryRoutes(app: PublicApp, { face, allowWrite }: RouteContext): void {
  // A submission that waits needs a socket and a timer, one that doesn't only the work of admission.
  const waiting = new SharedGate(WAITING_MAX, WAITING_PER_NETWORK_MAX);
  const admitting = new SharedGate(ADMISSIONS_MAX, ADMISSIONS_PER_NETWORK_MAX);

  app.post('/v1/entries', async (c) => {
    const incoming = incomingOf(c);
    allowWrite(incoming);
    const waitSeconds = readWait(c.req.query('wait'));
    const envelope = await readDocument(incoming, DOCUMENT_BYTES_MAX);
    const gone = goneSignal(c);
    const network = askerOf(c);
    const submit = (): Promise<SubmissionState> =>
      face.submit(envelope, waitSeconds * 1000, gone, network);
    const done = await (waitSeconds > 0 ? waiting : admitting).run(network, submit);
    if (done === undefined) throw new HttpError(503, 'BUSY', 'too many submissions at one time', 1);
    return answerState(done.value);
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

/** The contract's answer: 200 committed, 202 pending, the refusal otherwise. */
function answerState(state: SubmissionState): Response {
  const { id } = state;
  const headers = { 'cache-control': 'no-store' };
  if (state.kind === 'committed') {
    return json({ id, status: 'committed', index: state.index }, 200, headers);
  }
  if (state.kind === 'pending') return json({ id, status: 'pending' }, 202, headers);
  const { status, headers: refusalHeaders, body } = answerLateRefusal(state.refusal);
  return new Response(body, { status, headers: refusalHeaders });
}

function readWait(text: string | undefined): number {
  if (text === undefined) return 0;
  const seconds = /^(?:0|[1-9][0-9]?)$/.test(text) ? Number(text) : Number.NaN;
  if (seconds <= WAIT_SECONDS_MAX) return seconds;
  throw new HttpError(
    400,
    'REQUEST_MALFORMED',
    `wait is not a number from 0 to ${WAIT_SECONDS_MAX}`,
  );
}

/** Aborted when the client hangs up before it was answered. */
function goneSignal(c: Context<{ Bindings: HttpBindings }>): AbortSignal {
  const controller = new AbortController();
  const { outgoing } = c.env;
  outgoing.once('close', () => {
    // Every answer closes it in the end; aborting makes an error with its stack, for nobody.
    if (!outgoing.writableFinished) controller.abort();
  });
  return controller.signal;
}
