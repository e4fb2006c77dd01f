// Publishing at full load, on logs of several sizes: CPU time, rate, latency and disk, beside the floor.
import { createPublicKey, verify } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { startCluster, type Cluster } from '../fixtures/e2e/cluster.ts';
import { SigningKey } from '../verifier/node/signing-key.ts';
import { Gateways, Press, type WireRelease } from './gateway.ts';
import { measure, processCpuMs, quantile } from './measure.ts';
import type { Figure, Section } from './report.ts';

/** Maintainers that have to sign: f + 1 with f = 1. */
export const SIGNERS_NEEDED = 2;

/** Submissions under way while the log is under full load. */
const UNDER_WAY = 512;

/** Bytes that have gone over the loopback interface, where the replicas and the publisher talk (Linux only). */
const WIRE_BYTES_FILE = '/sys/class/net/lo/statistics/rx_bytes';

/** What is published on a log. */
export interface PublishOptions {
  /** Packages that are claimed. */
  readonly packages: number;
  /** Releases before anything is measured: the first hundreds are run by code that is still compiled. */
  readonly warmUp: number;
  /** Releases that are ready to be published under full load, over those packages. */
  readonly releases: number;
  /** How long that load lasts, unless they run out before; until then when absent. */
  readonly seconds?: number;
  /** Releases that are published at half that load; 0 for none. */
  readonly pacedReleases: number;
  /** Further runs with so many submissions under way, and so with batches of other sizes. */
  readonly loads: readonly number[];
  /** Releases of each of them. */
  readonly loadReleases: number;
  /** Further runs with so many releases in one request; 0 for one whose artifact has a request of its own. */
  readonly perRequest: readonly number[];
  /** Releases of each of them. */
  readonly perRequestReleases: number;
}

/** A log for benchmarks, with every sync, signature and check that production has. */
export async function startBenchCluster(folder: string, replicas: number): Promise<Cluster> {
  mkdirSync(folder);
  return startCluster(folder, replicas, {
    BFTPKG_SERVER_ADDRESS_WRITES_PER_SECOND: '1000000',
    BFTPKG_SERVER_LOG_LEVEL: 'warn',
  });
}

/** Process ids of its replicas. */
export function pidsOf(cluster: Cluster): number[] {
  return cluster.replicas.flatMap(({ process: child }) => child?.pid ?? []);
}

function cpuOf(cluster: Cluster): number {
  return pidsOf(cluster).reduce((sum, pid) => sum + processCpuMs(pid), 0);
}

function diskOf({ replicas }: Cluster): number {
  const [first] = replicas;
  if (first === undefined) return 0;
  return readdirSync(first.directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

/** Publishes on a log, and says how that went. */
export async function benchPublish(
  options: PublishOptions,
  cluster: Cluster,
  gateways: Gateways,
): Promise<{ readonly section: Section; readonly first: readonly WireRelease[] }> {
  const { packages, warmUp, releases, seconds, pacedReleases, loads, perRequest } = options;
  const replicas = cluster.replicas.length;
  const press = new Press(cluster.origin);
  const nameOf = (i: number): string => `bench-${i % packages}`;
  const further = loads.length * options.loadReleases;
  const grouped = perRequest.length * options.perRequestReleases;
  const count = warmUp + releases + pacedReleases + further + grouped;
  const all = Array.from({ length: count }, (_, i) =>
    press.release(nameOf(i), `1.0.${Math.floor(i / packages)}`),
  );
  const claims = Array.from({ length: packages }, (_, i) => press.claim(nameOf(i)));
  await Promise.all(claims.map((claim, i) => gateways.submit(i, claim)));
  await gateways.publishTogether(all.slice(0, warmUp), 1, UNDER_WAY);

  const { signUs, verifyUs } = await primitives();
  const disk = diskOf(cluster);
  const main = all.slice(warmUp, warmUp + releases);
  const { published, tookSeconds, perRelease, rate, perBatch, generatorUs, wireBytes } = await load(
    cluster,
    gateways,
    main,
    { underWay: UNDER_WAY, perRequest: 1, lastSeconds: seconds },
  );
  const floor = SIGNERS_NEEDED * verifyUs;
  const left = all.slice(warmUp + releases);
  const paced = await gateways.publishPaced(left.splice(0, pacedReleases), rate / 2);
  const diskBytes = (diskOf(cluster) - disk) / (published + pacedReleases);
  const others: Figure[] = [];
  for (const underWay of loads) {
    const part = left.splice(0, options.loadReleases);
    const cost = await load(cluster, gateways, part, { underWay, perRequest: 1 });
    others.push(...loadFigures(`${underWay} under way`, cost, floor));
  }
  for (const size of perRequest) {
    const part = left.splice(0, options.perRequestReleases);
    const way = { underWay: UNDER_WAY, perRequest: size };
    others.push(...requestFigures(size, await load(cluster, gateways, part, way), floor));
  }
  const cores = availableParallelism();
  const faulty = Math.floor((replicas - 1) / 3);
  const figures: Figure[] = [
    {
      what: 'CPU of one replica per release',
      value: perRelease,
      unit: 'µs',
      floor,
      note: `floor: ${SIGNERS_NEEDED} native verifications of ${Math.round(verifyUs)} µs`,
    },
    {
      what: 'sustained',
      value: rate,
      unit: 'releases/s',
      floor: (cores * 1e6) / (replicas * floor),
      note: `for ${Math.round(tookSeconds)} s; floor: c / (n (f+1) t_v) on ${cores} cores, which the load generator shares`,
    },
    {
      what: 'sustained, if the replicas had the cores to themselves',
      value: (cores * 1e6) / (replicas * perRelease),
      unit: 'releases/s',
      floor: (cores * 1e6) / (replicas * floor),
      note: 'from CPU time',
    },
    {
      what: 'the unbatched protocol’s consensus alone',
      value: 1e6 / (4 * signUs + (6 * faulty + 1) * verifyUs),
      unit: 'operations/s and core',
      note: `1 / (4 t_s + (6f+1) t_v), t_s = ${Math.round(signUs)} µs`,
    },
    { what: 'CPU of the load generator per release', value: generatorUs, unit: 'µs' },
    { what: 'releases per batch', value: perBatch, unit: '', note: `${UNDER_WAY} under way` },
    ...latencies(paced),
    {
      what: 'wire per release',
      value: wireBytes / 1000,
      unit: 'kB',
      note: `loopback: publisher to gateway, and between ${replicas} replicas`,
    },
    {
      what: 'disk of one replica per release',
      value: diskBytes / 1000,
      unit: 'kB',
      note: 'database, write-ahead log and artifacts',
    },
    ...others,
  ];
  const about =
    `${replicas} replicas as processes on this machine, ${published} releases of ${packages} packages (f = 1, two ` +
    `signatures each) after ${warmUp} to warm up, each in one request to a gateway with its artifact, fetched by ` +
    'the others; acknowledged when it is under a checkpoint.';
  return {
    section: { name: 'publish', about, figures },
    first: all.slice(0, Math.min(packages, warmUp + published)),
  };
}

interface LoadCost {
  /** Releases. */
  readonly published: number;
  /** From the first of them to the last one's checkpoint. */
  readonly tookSeconds: number;
  /** CPU time of one replica, microseconds. */
  readonly perRelease: number;
  /** Releases per second. */
  readonly rate: number;
  /** Releases in one batch, on average. */
  readonly perBatch: number;
  /** CPU time of this process per release, microseconds. */
  readonly generatorUs: number;
  /** Per release. */
  readonly wireBytes: number;
}

/** How releases are published. */
interface LoadWay {
  /** Releases that wait for their checkpoint at one time. */
  readonly underWay: number;
  /** Releases in one request; 0 for an artifact and a statement with a request each. */
  readonly perRequest: number;
  /** How long new ones are begun. */
  readonly lastSeconds?: number | undefined;
}

/** Publishes under full load. */
async function load(
  cluster: Cluster,
  gateways: Gateways,
  releases: readonly WireRelease[],
  { underWay, perRequest, lastSeconds = Number.POSITIVE_INFINITY }: LoadWay,
): Promise<LoadCost> {
  const height = await heightOf(gateways);
  const wire = wireBytes();
  const cpu = cpuOf(cluster);
  const own = process.cpuUsage();
  const started = performance.now();
  const lastMs = 1000 * lastSeconds;
  const { length: count } = await (perRequest === 0
    ? gateways.publishAll(releases, underWay, lastMs)
    : gateways.publishTogether(releases, perRequest, underWay, lastMs));
  const seconds = (performance.now() - started) / 1000;
  const used = cpuOf(cluster) - cpu;
  const { user, system } = process.cpuUsage(own);
  return {
    published: count,
    tookSeconds: seconds,
    perRelease: (1000 * used) / count / cluster.replicas.length,
    rate: count / seconds,
    perBatch: count / ((await heightOf(gateways)) - height),
    generatorUs: (user + system) / count,
    wireBytes: (wireBytes() - wire) / count,
  };
}

function loadFigures(
  load: string,
  { perRelease, rate, perBatch }: LoadCost,
  floor: number,
): readonly Figure[] {
  return [
    { what: `${load}: sustained`, value: rate, unit: 'releases/s' },
    { what: `${load}: releases per batch`, value: perBatch, unit: '' },
    { what: `${load}: CPU of one replica per release`, value: perRelease, unit: 'µs', floor },
  ];
}

function requestFigures(perRequest: number, cost: LoadCost, floor: number): readonly Figure[] {
  const way =
    perRequest === 0
      ? 'artifact and statement with a request each'
      : `${perRequest} releases in one request`;
  const what = `${way}: CPU of the load generator per release`;
  return [...loadFigures(way, cost, floor), { what, value: cost.generatorUs, unit: 'µs' }];
}

async function heightOf(gateways: Gateways): Promise<number> {
  const [url = ''] = gateways.urls;
  const status = Buffer.from(await gateways.exchange('GET', `${url}/v1/status`)).toString();
  return (JSON.parse(status) as { readonly height: number }).height;
}

function wireBytes(): number {
  return Number(readFileSync(WIRE_BYTES_FILE, 'utf8'));
}

function latencies(paced: readonly number[]): readonly Figure[] {
  if (paced.length === 0) return [];
  return [
    { what: 'latency at half load, p50', value: quantile(paced, 0.5), unit: 'ms' },
    { what: 'latency at half load, p99', value: quantile(paced, 0.99), unit: 'ms' },
  ];
}

/** Publishes a little on a larger log of its own: how throughput falls with n. */
export async function benchLargerLog(
  directory: string,
  replicas: number,
  options: PublishOptions,
): Promise<Section> {
  const cluster = await startBenchCluster(join(directory, `of-${replicas}`), replicas);
  const gateways = new Gateways(cluster.replicas.map(({ url }) => url));
  try {
    const { section } = await benchPublish(options, cluster, gateways);
    return { ...section, name: `publish, n = ${replicas}` };
  } finally {
    await gateways.close();
    await cluster.stopAll();
  }
}

/** What one signature costs here and now, microseconds. */
export async function primitives(): Promise<{
  readonly signUs: number;
  readonly verifyUs: number;
}> {
  const key = SigningKey.generate();
  const message = new Uint8Array(600);
  const count = 300;
  const sign = await measure(() => {
    for (let i = 0; i < count; i++) key.sign(message);
  });
  const x = Buffer.from(key.publicKey).toString('base64url');
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  const signature = key.sign(message);
  const check = await measure(() => {
    for (let i = 0; i < count; i++) verify(null, message, publicKey, signature);
  });
  return { signUs: (1000 * sign.cpuMs) / count, verifyUs: (1000 * check.cpuMs) / count };
}
