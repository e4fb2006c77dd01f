// The mailbox of co-maintainers: `POST /v1/proposals` takes a release that a maintainer has signed, and
// `GET /v1/proposals?package=<name>` shows what there is to sign.
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';

import { HttpError } from './errors.ts';
import { readDocument } from './body.ts';
import {
  DOCUMENT_BYTES_MAX,
  Gate,
  PROPOSAL_POSTS_MAX,
  PROPOSAL_READS_MAX,
  PROPOSAL_READS_PER_ADDRESS_MAX,
  PROPOSAL_SEND_MS,
  SharedGate,
} from './limits.ts';
import type { PublicApp, RouteContext } from './routes.ts';
import { answeredInside, incomingOf, json } from './routes.ts';

const ID_PATTERN = /^[0-9a-f]{64}$/;
/** npm's longest name has 214 characters; the purl form of one is not taken here. */
const NAME_LENGTH_MAX = 214;
const FRESH = { 'cache-control': 'no-store' };

/** Adds POST and GET of /v1/proposals, and GET of one. */
export function proposalRoutes(app: PublicApp, { face, log, allowWrite }: RouteContext): void {
  const posting = new Gate(PROPOSAL_POSTS_MAX);
  const reading = new SharedGate(PROPOSAL_READS_MAX, PROPOSAL_READS_PER_ADDRESS_MAX);

  const answer = (
    c: Context<{ Bindings: HttpBindings }>,
    read: () => readonly string[],
  ): Promise<Response> => answeredInside(reading, c, async () => listing(read()), PROPOSAL_SEND_MS);

  app.post('/v1/proposals', async (c) => {
    const incoming = incomingOf(c);
    allowWrite(incoming);
    const envelope = await readDocument(incoming, DOCUMENT_BYTES_MAX);
    const done = await posting.run(() => face.proposals.post(envelope));
    if (done === undefined) throw new HttpError(503, 'BUSY', 'too many proposals at one time', 1);
    const { id, signatures } = done.value;
    log.info('proposal_posted', { id, signatures });
    return json({ id, signatures }, 200, FRESH);
  });

  app.get('/v1/proposals', (c) => {
    const name = c.req.query('package');
    if (name === undefined || name === '' || name.length > NAME_LENGTH_MAX) {
      throw new HttpError(400, 'REQUEST_MALFORMED', 'which package? ?package=<name>');
    }
    return answer(c, () => face.proposals.listed(name));
  });

  app.get('/v1/proposals/:id', (c) => {
    const id = c.req.param('id');
    return answer(c, () => {
      const found = ID_PATTERN.test(id) ? face.proposals.find(id) : undefined;
      if (found !== undefined) return [found];
      throw new HttpError(404, 'NOT_FOUND', 'this replica has no such proposal');
    });
  });
}

// Canonical envelopes in a canonical array: clients read it with their strict reader.
function listing(envelopes: readonly string[]): Response {
  return new Response(`[${envelopes.join(',')}]`, {
    headers: { 'content-type': 'application/json', ...FRESH },
  });
}
