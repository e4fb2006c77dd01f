// Benchmarks that need a log: real replica processes, as `npm run demo` starts them, with everything that
// production does (sync to disk, signatures, checks of artifacts).
import { join } from 'node:path';

import type { Cluster } from '../fixtures/e2e/cluster.ts';
import { releasePurl } from '../verifier/npm/purl.ts';
import { benchClient } from './cli.ts';
import { pidsOf, startBenchCluster } from './bench-cluster.ts';
import { Gateways, type WireRelease } from './gateway.ts';
import { benchLargerLog, compareSizes, type LargerLog } from './larger-logs.ts';
import { processCpuMs, processMemory, quantile } from './measure.ts';
import { benchPublish, primitives, type PublishOptions, type Share } from './publish.ts';
import type { Figure, Section } from './report.ts';
import { benchStages } from './stages.ts';

/** Signatures of each release in the profile by stages. */
const STAGES_SIGNERS = 2;

/** Sizes of the benchmarks on a log. */
export interface LogBenchOptions extends PublishOptions {
  /** Where everything is made: an empty folder. */
  readonly directory: string;
  readonly replicas: number;
  /** Further logs. */
  readonly larger: readonly LargerLog[];
  /** Releases in each batch of the profile by stages, and how many batches. */
  readonly stages: { readonly batch: number; readonly batches: number };
  /** How long a replica is left alone before its memory is called idle, milliseconds. */
  readonly idleMs: number;
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
  const cluster = await startBenchCluster(join(directory, 'replicas'), replicas);
  const gateways = new Gateways(cluster.replicas.map(({ url }) => url));
  try {
    const { section, first, share } = await benchPublish(options, cluster, gateways);
    const sections = [section];
    // On a log of its own each: these stand idle meanwhile.
    if (wanted.has('publish')) sections.push(...(await benchFurther(options, share)));
    if (wanted.has('read')) sections.push(await benchRead(options, cluster, gateways, first));
    if (wanted.has('memory')) sections.push(await memoryOf(cluster, options.idleMs));
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

async function benchFurther(options: LogBenchOptions, share: Share): Promise<readonly Section[]> {
  const { directory, larger, stages } = options;
  const sections: Section[] = [];
  const shares = [share];
  for (const size of larger) {
    // As much to warm up as on the small log: otherwise their code is compiled while it is measured.
    const further = await benchLargerLog(directory, options, size);
    sections.push(...further.sections);
    shares.push(...further.shares);
  }
  sections.push(compareSizes(shares));
  const { verifyUs } = await primitives();
  const floorUs = STAGES_SIGNERS * verifyUs;
  sections.push(await benchStages({ directory, ...stages, floorUs }));
  return sections;
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

async function memoryOf(cluster: Cluster, idleMs: number): Promise<Section> {
  await new Promise((resolve) => setTimeout(resolve, idleMs));
  const all = pidsOf(cluster).map(processMemory);
  return {
    name: 'memory',
    about: `Resident memory of the replicas after all of this, left alone for ${idleMs / 1000} s.`,
    figures: [
      { what: 'replica, peak', value: Math.max(...all.map(({ peakMb }) => peakMb)), unit: 'MB' },
      { what: 'replica, idle', value: Math.max(...all.map(({ nowMb }) => nowMb)), unit: 'MB' },
    ],
  };
}
