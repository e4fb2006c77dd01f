// The public HTTP face (DESIGN 6). Everything that it hands out is either proven by signatures (and so
// may come from anybody) or says that it is for diagnosis only; hence CORS for everybody and no
// cookies, no sessions, no secrets.
import type { HttpBindings } from '@hono/node-server';
import { Hono } from 'hono';

import type { Log } from '../log.ts';
import { Admissions } from './admissions.ts';
import { AnswersHeld } from './answers-held.ts';
import { artifactRoutes } from './artifact-routes.ts';
import { batchRoutes } from './batch-routes.ts';
import { contradictionRoutes } from './contradiction-routes.ts';
import { HttpError, refusalOf } from './errors.ts';
import type { PublicFace } from './face.ts';
import { entryRoutes } from './entry-routes.ts';
import { evidenceRoutes } from './evidence-routes.ts';
import { explorerRoutes } from './explorer-routes.ts';
import { healthRoutes } from './health-routes.ts';
import {
  ARTIFACT_READS_MAX,
  ARTIFACT_READS_PER_NETWORK_MAX,
  AddressLimiter,
  SharedGate,
  networkOf,
} from './limits.ts';
import { RequestCounts } from './metrics.ts';
import { logRoutes } from './log-routes.ts';
import { misbehaviourRoutes } from './misbehaviour-routes.ts';
import { hasItsTurn } from './own-turn.ts';
import { PacedReads } from './paced-reads.ts';
import { npmRoutes } from './npm-routes.ts';
import { proposalRoutes } from './proposal-routes.ts';
import { RequestTurns } from './request-turns.ts';
import type { PublicApp, RouteContext } from './routes.ts';
import { submissionRoutes } from './submission-routes.ts';
import { Uploads } from './uploads.ts';

const COMMON_HEADERS: readonly (readonly [name: string, value: string])[] = [
  ['access-control-allow-origin', '*'],
  ['x-content-type-options', 'nosniff'],
];

/**
 * Makes the public face.
 *
 * @param writesPerSecond what one address may submit and upload; ten times as much in a burst
 * @param nowMs a monotonic clock, for rate limits
 */
export function createPublicApp(
  face: PublicFace,
  log: Log,
  writesPerSecond: number | (() => number),
  nowMs: () => number = () => performance.now(),
): PublicApp {
  const app: PublicApp = new Hono<{ Bindings: HttpBindings }>();
  const limiter = new AddressLimiter(writesPerSecond, nowMs);
  const requests = new RequestCounts();
  const turns = new RequestTurns();
  const shared: RouteContext = {
    face,
    requests,
    log,
    artifactReads: new SharedGate(ARTIFACT_READS_MAX, ARTIFACT_READS_PER_NETWORK_MAX),
    held: new AnswersHeld(),
    nowMs,
    uploads: new Uploads(face, log, nowMs),
    admissions: new Admissions(face),
    packages: new PacedReads((name) => face.store.package(name)),
    allowWrite: (request) => {
      // By network: whoever has a /64 has as many addresses as they like, and would have a rate with each.
      if (limiter.allows(networkOf(request.socket.remoteAddress ?? ''))) return;
      throw new HttpError(429, 'RATE_LIMITED', 'too many writes from this address', 1);
    },
  };

  app.use(async (c, next) => {
    const { incoming, outgoing } = c.env;
    if (outgoing.socket === null && !(await hasItsTurn(c.env))) return new Response(null);
    if (!(await turns.wait(c.env))) return new Response(null);
    if (c.req.method === 'OPTIONS') return preflight();
    // On Node's own answer: through the response's `headers` each would cost as much as the answer itself.
    for (const [name, value] of COMMON_HEADERS) outgoing.setHeader(name, value);
    await next();
    requests.count(c.req.path, c.res.status);
    // A body that was refused before its end is not read on: the socket can't carry another request.
    const hasBody = c.req.method === 'PUT' || c.req.method === 'POST';
    if (hasBody && !incoming.complete) outgoing.setHeader('connection', 'close');
    return undefined;
  });
  logRoutes(app, shared);
  batchRoutes(app, shared);
  evidenceRoutes(app, shared);
  entryRoutes(app, shared);
  artifactRoutes(app, shared);
  submissionRoutes(app, shared);
  npmRoutes(app, shared);
  proposalRoutes(app, shared);
  misbehaviourRoutes(app, shared);
  contradictionRoutes(app, shared);
  explorerRoutes(app, shared);
  healthRoutes(app, shared);
  app.notFound(() => errorResponse(new HttpError(404, 'NOT_FOUND', 'there is nothing here'), log));
  app.onError((error) => errorResponse(error, log));
  return app;
}

function errorResponse(thrown: unknown, log: Log): Response {
  const { status, headers, body } = refusalOf(thrown, log);
  return new Response(body, { status, headers });
}

function preflight(): Response {
  return new Response(null, {
    status: 204,
    headers: {
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET, HEAD, POST, PUT',
      'access-control-allow-headers': 'content-type',
      'access-control-max-age': '86400',
    },
  });
}
