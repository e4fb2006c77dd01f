// For operators: is it alive, should clients be sent here, what is it doing.
import type { HealthCheck } from './face.ts';
import { METRICS_TYPE, formatMetrics } from './metrics.ts';
import type { PublicApp, RouteContext } from './routes.ts';
import { json } from './routes.ts';

/** Whoever asks within this time, milliseconds, gets the same figures: some of them are counted. */
const METRICS_KEPT_MS = 1000;

/** Adds GET /healthz, /livez, /readyz, /v1/status and /metrics. */
export function healthRoutes(app: PublicApp, { face, nowMs, requests }: RouteContext): void {
  let shown: { readonly atMs: number; readonly text: Promise<string> } | undefined;
  const figures = async (): Promise<string> =>
    formatMetrics([...(await face.metrics()), requests.metric()]);

  app.get('/healthz', () => answerChecks(face.health()));
  app.get('/livez', () => answerChecks(face.health()));
  app.get('/readyz', () => answerChecks(face.readiness()));
  app.get('/v1/status', async () =>
    json(await face.status(), 200, { 'cache-control': 'no-store' }),
  );
  app.get('/metrics', async () => {
    if (shown === undefined || nowMs() - shown.atMs >= METRICS_KEPT_MS) {
      shown = { atMs: nowMs(), text: figures() };
    }
    const text = await shown.text;
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
