// One load on a log: what it cost, as a whole and in the course of it.
import type { Cluster } from '../fixtures/e2e/cluster.ts';
import { cpuOf, peakOf, wireBytes } from './bench-cluster.ts';
import type { Gateways, WireRelease } from './gateway.ts';

/** How often it is looked how far a load is: many times in a batch, and next to nothing to do. */
const SAMPLE_MS = 100;

/** What a load cost. */
export interface LoadCost {
  /** Releases. */
  readonly published: number;
  /** From the first of them to the last one's checkpoint. */
  readonly tookSeconds: number;
  /** CPU time of one replica, microseconds. */
  readonly perRelease: number;
  /** The same in the first quarter of the releases and in the last; absent when they came all at once. */
  readonly course?: { readonly first: number; readonly last: number };
  /** Releases per second. */
  readonly rate: number;
  /** Releases in one batch, on average. */
  readonly perBatch: number;
  /** CPU time of this process per release, microseconds. */
  readonly generatorUs: number;
  /** Per release. */
  readonly wireBytes: number;
  /** Requests, or releases in them, that were answered with "later", by HTTP status. */
  readonly putOff: ReadonlyMap<number, number>;
  /** The most resident memory that any replica had until its end, megabytes. */
  readonly peakMb: number;
}

/** How releases are published. */
export interface LoadWay {
  /** Releases that wait for their checkpoint at one time. */
  readonly underWay: number;
  /** Releases in one request; 0 for an artifact and a statement with a request each. */
  readonly perRequest: number;
  /** How long new ones are begun. */
  readonly lastSeconds?: number | undefined;
}

/** How far a load was at some time. */
export interface Sample {
  /** Releases under a checkpoint. */
  readonly acknowledged: number;
  /** CPU time of all replicas until then, milliseconds. */
  readonly cpuMs: number;
}

/** Publishes under full load. */
export async function load(
  cluster: Cluster,
  gateways: Gateways,
  releases: readonly WireRelease[],
  { underWay, perRequest, lastSeconds = Number.POSITIVE_INFINITY }: LoadWay,
): Promise<LoadCost> {
  const height = await heightOf(gateways);
  const putOff = new Map(gateways.putOff);
  const wire = wireBytes();
  const samples: Sample[] = [];
  const look = (): void => {
    const { acknowledged } = gateways;
    if (acknowledged !== samples.at(-1)?.acknowledged) {
      samples.push({ acknowledged, cpuMs: cpuOf(cluster) });
    }
  };
  look();
  const cpu = cpuOf(cluster);
  const own = process.cpuUsage();
  const started = performance.now();
  const lastMs = 1000 * lastSeconds;
  const sampler = setInterval(look, SAMPLE_MS);
  const { length: count } = await (
    perRequest === 0
      ? gateways.publishAll(releases, underWay, lastMs)
      : gateways.publishTogether(releases, perRequest, underWay, lastMs)
  ).finally(() => clearInterval(sampler));
  const seconds = (performance.now() - started) / 1000;
  const used = cpuOf(cluster) - cpu;
  const { user, system } = process.cpuUsage(own);
  const course = courseOf(samples, cluster.replicas.length);
  return {
    published: count,
    tookSeconds: seconds,
    perRelease: (1000 * used) / count / cluster.replicas.length,
    ...(course === undefined ? {} : { course }),
    rate: count / seconds,
    perBatch: count / ((await heightOf(gateways)) - height),
    generatorUs: (user + system) / count,
    wireBytes: (wireBytes() - wire) / count,
    putOff: new Map(
      [...gateways.putOff].map(([status, times]) => [status, times - (putOff.get(status) ?? 0)]),
    ),
    peakMb: peakOf(cluster),
  };
}

/**
 * What a release cost a replica at the beginning and at the end of a load: an average over a minute hides a log
 * that gets slower as it grows.
 *
 * @param samples how far the load was, each time that more was under a checkpoint
 * @returns microseconds, of the first quarter of the releases and of the last; `undefined` when there is nothing
 *   between two samples in one of them
 */
export function courseOf(
  samples: readonly Sample[],
  replicas: number,
): { readonly first: number; readonly last: number } | undefined {
  const [begin] = samples;
  const end = samples.at(-1);
  if (begin === undefined || end === undefined || begin === end) return undefined;
  const quarter = (end.acknowledged - begin.acknowledged) / 4;
  const firstEnd = samples.find((one) => one.acknowledged >= begin.acknowledged + quarter);
  const lastBegin = samples.findLast((one) => one.acknowledged <= end.acknowledged - quarter);
  if (firstEnd === undefined || lastBegin === undefined) return undefined;
  // Parts that overlap say nothing about the course.
  if (firstEnd.acknowledged > lastBegin.acknowledged) return undefined;
  return {
    first: between(begin, firstEnd, replicas),
    last: between(lastBegin, end, replicas),
  };
}

function between(from: Sample, to: Sample, replicas: number): number {
  return (1000 * (to.cpuMs - from.cpuMs)) / (to.acknowledged - from.acknowledged) / replicas;
}

async function heightOf(gateways: Gateways): Promise<number> {
  const [url = ''] = gateways.urls;
  const status = Buffer.from(await gateways.exchange('GET', `${url}/v1/status`)).toString();
  return (JSON.parse(status) as { readonly height: number }).height;
}
