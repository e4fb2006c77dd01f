// Publishing at full load, on logs of several sizes: CPU time, rate, latency and disk, beside the floor.
import { createPublicKey, verify } from 'node:crypto';
import { availableParallelism } from 'node:os';

import type { Cluster } from '../fixtures/e2e/cluster.ts';
import { SigningKey } from '../verifier/node/signing-key.ts';
import { diskOf } from './bench-cluster.ts';
import { Press, type Gateways, type WireRelease } from './gateway.ts';
import { load, type LoadCost } from './load.ts';
import { measure, quantile } from './measure.ts';
import type { Figure, Section } from './report.ts';

/** Submissions under way while the log is under full load. */
const UNDER_WAY = 512;

/** What is published on a log. */
export interface PublishOptions {
  /** The f of their packages: f + 1 of 2f + 1 maintainers sign each release. */
  readonly faulty: number;
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

/** How much of its floor a log of some size reached. */
export interface Share {
  readonly replicas: number;
  /** Signatures of each release. */
  readonly signers: number;
  /** Releases per second, beside the most that these cores could check the signatures of. */
  readonly ofRate: number;
  /** The same by CPU time, in which the load generator and other processes have no part. */
  readonly ofCpu: number;
}

/** What came of publishing. */
export interface Published {
  readonly section: Section;
  /** Releases of which each is the first of its package. */
  readonly first: readonly WireRelease[];
  readonly share: Share;
}

/** Publishes on a log, with maintainers of its own, and says how that went. */
export async function benchPublish(
  options: PublishOptions,
  cluster: Cluster,
  gateways: Gateways,
): Promise<Published> {
  const { packages, warmUp, releases, seconds, pacedReleases, loads, perRequest } = options;
  const replicas = cluster.replicas.length;
  const press = new Press(cluster.origin, options.faulty);
  const { signers } = press;
  const nameOf = (i: number): string => `bench-${signers}-${i % packages}`;
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
  const way = { underWay: UNDER_WAY, perRequest: 1, lastSeconds: seconds };
  const cost = await load(cluster, gateways, main, way);
  const { published, perRelease, rate } = cost;
  const floor = signers * verifyUs;
  const left = all.slice(warmUp + releases);
  const paced = await gateways.publishPaced(left.splice(0, pacedReleases), rate / 2);
  const diskBytes = (diskOf(cluster) - disk) / (published + pacedReleases);
  const others: Figure[] = [];
  for (const underWay of loads) {
    const part = left.splice(0, options.loadReleases);
    const of = await load(cluster, gateways, part, { underWay, perRequest: 1 });
    others.push(...loadFigures(`${underWay} under way`, of, floor));
  }
  for (const size of perRequest) {
    const part = left.splice(0, options.perRequestReleases);
    const of = await load(cluster, gateways, part, { underWay: UNDER_WAY, perRequest: size });
    others.push(...requestFigures(size, of, floor));
  }
  const cores = availableParallelism();
  const rateFloor = (cores * 1e6) / (replicas * floor);
  const faulty = Math.floor((replicas - 1) / 3);
  const figures: Figure[] = [
    {
      what: 'CPU of one replica per release',
      value: perRelease,
      unit: 'µs',
      floor,
      note: `floor: ${signers} native verifications of ${Math.round(verifyUs)} µs`,
    },
    ...courseFigures(cost),
    {
      what: 'sustained',
      value: rate,
      unit: 'releases/s',
      floor: rateFloor,
      note: `for ${Math.round(cost.tookSeconds)} s; floor: c / (n (f+1) t_v) on ${cores} cores, which the load generator shares`,
    },
    {
      what: 'sustained, if the replicas had the cores to themselves',
      value: (cores * 1e6) / (replicas * perRelease),
      unit: 'releases/s',
      floor: rateFloor,
      note: 'from CPU time',
    },
    {
      what: 'the unbatched protocol’s consensus alone',
      value: 1e6 / (4 * signUs + (6 * faulty + 1) * verifyUs),
      unit: 'operations/s and core',
      note: `1 / (4 t_s + (6f+1) t_v), t_s = ${Math.round(signUs)} µs`,
    },
    { what: 'CPU of the load generator per release', value: cost.generatorUs, unit: 'µs' },
    { what: 'releases per batch', value: cost.perBatch, unit: '', note: `${UNDER_WAY} under way` },
    putOffFigure(cost),
    { what: 'peak memory of a replica under this load', value: cost.peakMb, unit: 'MB' },
    ...latencies(paced),
    {
      what: 'wire per release',
      value: cost.wireBytes / 1000,
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
    `${replicas} replicas as processes on this machine, ${published} releases of ${packages} packages (f = ` +
    `${options.faulty}, ${signers} signatures each) after ${warmUp} to warm up, each in one request to a gateway with ` +
    'its artifact, fetched by the others; acknowledged when it is under a checkpoint.';
  return {
    section: { name: 'publish', about, figures },
    first: all.slice(0, Math.min(packages, warmUp + published)),
    share: { replicas, signers, ofRate: rate / rateFloor, ofCpu: floor / perRelease },
  };
}

function courseFigures({ course }: LoadCost): readonly Figure[] {
  if (course === undefined) return [];
  return [
    {
      what: 'the same in the last quarter of these releases',
      value: course.last,
      unit: 'µs',
      floor: course.first,
      note: 'floor: in the first quarter; about 1 is a log that gets no slower as it grows',
    },
  ];
}

/** Busy gateways: what they put off is sent again, and its time counts. */
function putOffFigure({ putOff, published }: LoadCost): Figure {
  const others = [...putOff].filter(([status, times]) => status !== 503 && times > 0);
  const also = others.map(([status, times]) => `${status}: ${times}`).join(', ');
  return {
    what: 'answers 503',
    value: putOff.get(503) ?? 0,
    unit: '',
    note: `for ${published} releases${also === '' ? '' : `; others that put off: ${also}`}`,
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

function latencies(paced: readonly number[]): readonly Figure[] {
  if (paced.length === 0) return [];
  return [
    { what: 'latency at half load, p50', value: quantile(paced, 0.5), unit: 'ms' },
    { what: 'latency at half load, p99', value: quantile(paced, 0.99), unit: 'ms' },
  ];
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
