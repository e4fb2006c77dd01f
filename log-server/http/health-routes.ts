// For operators: is it alive, should clients be sent here, what is it doing.
import type { HealthCheck } from './face.ts';
import { METRICS_TYPE, formatMetrics } from './metrics.ts';
import type { PublicApp, RouteContext } from './routes.ts';
import { json } from './routes.ts';

/** Adds GET /healthz, /livez, /readyz, /v1/status and /metrics. */
export function healthRoutes(app: PublicApp, { face, requests }: RouteContext): void {
  app.get('/healthz', () => answerChecks(face.health()));
  app.get('/livez', () => answerChecks(face.health()));
  app.get('/readyz', () => answerChecks(face.readiness()));
  app.get('/v1/status', async () =>
    json(await face.status(), 200, { 'cache-control': 'no-store' }),
  );
  app.get('/metrics', async () => {
    const text = formatMetrics([...(await face.metrics()), requests.metric()]);
    return new Response(text, {
      headers: { 'content-type': METRICS_TYPE, 'cache-control': 'no-store' },
    });
  });
}

/** 200 when all is well, else 503; the body lists every check either way. */
function answerChecks(checks: readonly HealthCheck[]): Response {
  const ok = checks.every((check) => check.ok);
  return json({ ok, checks }, ok ? 200 : 503, { 'cache-control': 'no-store' });
}
