// Benchmarks that need a log: real replica processes, as `npm run demo` starts them, with everything that
// production does (sync to disk, signatures, checks of artifacts).
import { createPublicKey, verify } from 'node:crypto';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { startCluster, type Cluster } from '../fixtures/e2e/cluster.ts';
import { releasePurl } from '../verifier/npm/purl.ts';
import { SigningKey } from '../verifier/node/signing-key.ts';
import { benchClient } from './cli.ts';
import { Gateways, Press, type WireRelease } from './gateway.ts';
import { measure, processCpuMs, processMemory, quantile } from './measure.ts';
import type { Figure, Section } from './report.ts';

/** Maintainers that have to sign: f + 1 with f = 1. */
const SIGNERS_NEEDED = 2;

/** Submissions under way while the log is under full load. */
const UNDER_WAY = 512;

/** How long a replica is left alone before its memory is called idle. */
const IDLE_MS = 3_000;

/** Sizes of the benchmarks on a log. */
export interface LogBenchOptions {
  /** Where everything is made: an empty folder. */
  readonly directory: string;
  readonly replicas: number;
  /** Packages that are claimed, and verified by the client. */
  readonly packages: number;
  /** Releases that are published under load, over those packages. */
  readonly releases: number;
  /** Releases that are published at half that load. */
  readonly pacedReleases: number;
  /** Requests of each kind. */
  readonly reads: number;
  /** Packages of a large lockfile, which is verified from a file. */
  readonly large: number;
  /** Runs of each command line. */
  readonly runs: number;
  /** Which of the sections are wanted. */
  readonly wanted: ReadonlySet<string>;
}

/** Publishes, reads, and verifies with the client. @returns the wanted sections */
export async function benchLog(options: LogBenchOptions): Promise<readonly Section[]> {
  const { directory, replicas, wanted } = options;
  const folder = join(directory, 'replicas');
  mkdirSync(folder);
  const cluster = await startCluster(folder, replicas, {
    BFTPKG_SERVER_ADDRESS_WRITES_PER_SECOND: '1000000',
    BFTPKG_SERVER_LOG_LEVEL: 'warn',
  });
  const gateways = new Gateways(cluster.replicas.map(({ url }) => url));
  try {
    const { section, first } = await benchPublish(options, cluster, gateways);
    const sections = [section];
    if (wanted.has('read')) sections.push(await benchRead(options, cluster, gateways, first));
    if (wanted.has('memory')) sections.push(await memoryOf(cluster));
    if (wanted.has('cli')) {
      const urls = cluster.replicas.map(({ url }) => url);
      const { pin } = cluster;
      sections.push(
        await benchClient({
          directory,
          pin,
          urls,
          releases: first,
          runs: options.runs,
          large: options.large,
        }),
      );
    }
    return sections;
  } finally {
    await gateways.close();
    await cluster.stopAll();
  }
}

function pidsOf(cluster: Cluster): number[] {
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

async function benchPublish(
  { replicas, packages, releases, pacedReleases }: LogBenchOptions,
  cluster: Cluster,
  gateways: Gateways,
): Promise<{ readonly section: Section; readonly first: readonly WireRelease[] }> {
  const press = new Press(cluster.origin);
  const nameOf = (i: number): string => `bench-${i % packages}`;
  const all = Array.from({ length: releases + pacedReleases }, (_, i) =>
    press.release(nameOf(i), `1.0.${Math.floor(i / packages)}`),
  );
  const claims = Array.from({ length: packages }, (_, i) => press.claim(nameOf(i)));
  await Promise.all(claims.map((claim, i) => gateways.submit(i, claim)));

  const { signUs, verifyUs } = await primitives();
  const disk = diskOf(cluster);
  const cpu = cpuOf(cluster);
  const own = process.cpuUsage();
  const started = performance.now();
  await gateways.publishAll(all.slice(0, releases), UNDER_WAY);
  const seconds = (performance.now() - started) / 1000;
  const used = cpuOf(cluster) - cpu;
  const { user, system } = process.cpuUsage(own);
  const perRelease = (1000 * used) / releases / replicas;
  const floor = SIGNERS_NEEDED * verifyUs;
  const rate = releases / seconds;
  const cores = availableParallelism();
  const faulty = Math.floor((replicas - 1) / 3);
  const paced = await gateways.publishPaced(all.slice(releases), rate / 2);
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
      note: `floor: c / (n (f+1) t_v) on ${cores} cores, which the load generator shares`,
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
    {
      what: 'CPU of the load generator per release',
      value: (user + system) / releases,
      unit: 'µs',
    },
    { what: 'latency at half load, p50', value: quantile(paced, 0.5), unit: 'ms' },
    { what: 'latency at half load, p99', value: quantile(paced, 0.99), unit: 'ms' },
    {
      what: 'disk of one replica per release',
      value: (diskOf(cluster) - disk) / (releases + pacedReleases) / 1000,
      unit: 'kB',
      note: 'database, write-ahead log and artifacts',
    },
  ];
  const about =
    `${replicas} replicas as processes on this machine, ${releases} releases of ${packages} packages (f = 1, two ` +
    'signatures each), each with its artifact uploaded to one gateway and fetched by the others; acknowledged ' +
    'when it is under a checkpoint.';
  return { section: { name: 'publish', about, figures }, first: all.slice(0, packages) };
}

/** What one signature costs here and now, microseconds. */
async function primitives(): Promise<{ readonly signUs: number; readonly verifyUs: number }> {
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

async function benchRead(
  { reads }: LogBenchOptions,
  cluster: Cluster,
  gateways: Gateways,
  releases: readonly WireRelease[],
): Promise<Section> {
  const [url = ''] = gateways.urls;
  const [pid = 0] = pidsOf(cluster);
  const note = Buffer.from(await gateways.exchange('GET', `${url}/checkpoint`)).toString();
  const size = Number(note.split('\n')[1]);
  const tile = size >= 256 ? '/tile/0/000' : `/tile/0/000.p/${size}`;
  const evidence = JSON.stringify({
    roster: cluster.pin,
    since: 0,
    subjects: releases.map(({ name, version }) => releasePurl(name, version)),
  });
  const kinds: readonly (readonly [what: string, count: number, ask: () => Promise<unknown>])[] = [
    ['checkpoint', reads, () => gateways.exchange('GET', `${url}/checkpoint`)],
    ['tile', reads, () => gateways.exchange('GET', `${url}${tile}`)],
    [
      `evidence for ${releases.length} releases`,
      Math.max(3, Math.ceil(reads / 100)),
      () => gateways.exchange('POST', `${url}/v1/evidence`, evidence),
    ],
  ];
  const figures: Figure[] = [];
  for (const [what, count, ask] of kinds) {
    await ask();
    const cpu = processCpuMs(pid);
    const started = performance.now();
    const times: number[] = [];
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next++ < count) {
        const asked = performance.now();
        await ask();
        times.push(performance.now() - asked);
      }
    };
    await Promise.all([lane(), lane(), lane(), lane()]);
    const seconds = (performance.now() - started) / 1000;
    figures.push(
      { what, value: count / seconds, unit: 'requests/s' },
      { what: `${what}: p99`, value: quantile(times, 0.99), unit: 'ms' },
      { what: `${what}: CPU of the replica`, value: (processCpuMs(pid) - cpu) / count, unit: 'ms' },
    );
  }
  const about = `One replica with a log of ${size} entries, four connections, keep-alive.`;
  return { name: 'read', about, figures };
}

async function memoryOf(cluster: Cluster): Promise<Section> {
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  const all = pidsOf(cluster).map(processMemory);
  return {
    name: 'memory',
    about: `Resident memory of the replicas after all of this, left alone for ${IDLE_MS / 1000} s.`,
    figures: [
      { what: 'replica, peak', value: Math.max(...all.map(({ peakMb }) => peakMb)), unit: 'MB' },
      { what: 'replica, idle', value: Math.max(...all.map(({ nowMb }) => nowMb)), unit: 'MB' },
    ],
  };
}
