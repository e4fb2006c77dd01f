// Prometheus' text exposition format, version 0.0.4. What is shown is read at the moment of the question;
// names and labels come from closed lists, so that nobody outside can make their number grow.

/** One figure with its labels. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric: a name, what it means, and its figures. */
export interface Metric {
  /** Without the prefix. Letters, digits and underscores. */
  readonly name: string;
  readonly help: string;
  readonly kind: 'gauge' | 'counter';
  readonly samples: readonly Sample[];
}

const PREFIX = 'bftpkg_';

/** The content type of the text. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** A metric with one figure. */
export function gauge(name: string, help: string, value: number): Metric {
  return { name, help, kind: 'gauge', samples: [{ value }] };
}

/** The metrics as text; those without figures are left out. */
export function formatMetrics(metrics: readonly Metric[]): string {
  return metrics
    .filter(({ samples }) => samples.length > 0)
    .map(
      ({ name, help, kind, samples }) =>
        `# HELP ${PREFIX}${name} ${escapeHelp(help)}\n# TYPE ${PREFIX}${name} ${kind}\n` +
        samples
          .map(({ labels, value }) => `${PREFIX}${name}${labelsOf(labels)} ${value}\n`)
          .join(''),
    )
    .join('');
}

function labelsOf(labels: Sample['labels'] = {}): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', String.raw`\\`).replaceAll('\n', String.raw`\n`);
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', String.raw`\"`);
}

/** Routes as they are counted: the first part of the path that is one of these. */
const ROUTES: readonly string[] = [
  '/checkpoint',
  '/rosters',
  '/tile',
  '/v1/evidence',
  '/v1/entries',
  '/v1/artifacts',
  '/v1/submissions',
  '/v1/batches',
  '/v1/proposals',
  '/v1/misbehaviour',
  '/v1/contradictions',
  '/v1/status',
  '/npm',
  '/explore',
  '/healthz',
  '/livez',
  '/readyz',
  '/metrics',
];

/** Counts answers by route and class of status. */
export class RequestCounts {
  readonly #counts = new Map<string, number>();

  /** @param path as it was asked for; anything unknown is counted together */
  count(path: string, status: number): void {
    const route = ROUTES.find((one) => path === one || path.startsWith(`${one}/`)) ?? 'other';
    const key = `${route} ${Math.floor(status / 100)}xx`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  metric(): Metric {
    return {
      name: 'http_requests_total',
      help: 'Answers of the public face by route and class of status.',
      kind: 'counter',
      samples: [...this.#counts].map(([key, value]) => {
        const [route = '', code = ''] = key.split(' ');
        return { labels: { route, code }, value };
      }),
    };
  }
}
