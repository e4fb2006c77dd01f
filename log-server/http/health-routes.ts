// For operators: is it alive, should clients be sent here, what is it doing.
import type { HealthCheck } from './face.ts';
import type { PublicApp, RouteContext } from './routes.ts';
import { json } from './routes.ts';

/** Adds GET /healthz, /livez, /readyz and /v1/status. */
export function healthRoutes(app: PublicApp, { face }: RouteContext): void {
  app.get('/healthz', () => answerChecks(face.health()));
  app.get('/livez', () => answerChecks(face.health()));
  app.get('/readyz', () => answerChecks(face.readiness()));
  app.get('/v1/status', async () =>
    json(await face.status(), 200, { 'cache-control': 'no-store' }),
  );
}

/** 200 when all is well, else 503; the body lists every check either way. */
function answerChecks(checks: readonly HealthCheck[]): Response {
  const ok = checks.every((check) => check.ok);
  return json({ ok, checks }, ok ? 200 : 503, { 'cache-control': 'no-store' });
}
