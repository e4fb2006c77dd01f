// How throughput falls with the number of replicas, beside how its floor falls.
import { join } from 'node:path';

import { startBenchCluster } from './bench-cluster.ts';
import { Gateways } from './gateway.ts';
import { benchPublish, type PublishOptions, type Share } from './publish.ts';
import type { Figure, Section } from './report.ts';

/** A further log, on which less is looked at. */
export interface LargerLog {
  readonly replicas: number;
  /** Releases that are ready, with f + 1 signatures where n = 3f + 1. */
  readonly releases: number;
  /** How long it is under that load. */
  readonly seconds: number;
  /** Releases at half that load. */
  readonly pacedReleases: number;
  /** The same with two signatures, however many replicas there are: what is fixed per release counts for more. */
  readonly withTwo: { readonly releases: number; readonly seconds: number };
}

/** Publishes on a log of its own. @returns its sections, and how much of their floors they reached */
export async function benchLargerLog(
  directory: string,
  { packages, warmUp }: Pick<PublishOptions, 'packages' | 'warmUp'>,
  { replicas, releases, seconds, pacedReleases, withTwo }: LargerLog,
): Promise<{ readonly sections: readonly Section[]; readonly shares: readonly Share[] }> {
  const cluster = await startBenchCluster(join(directory, `of-${replicas}`), replicas);
  const gateways = new Gateways(cluster.replicas.map(({ url }) => url));
  const nothing = {
    pacedReleases: 0,
    loads: [],
    loadReleases: 0,
    perRequest: [],
    perRequestReleases: 0,
  };
  try {
    const faulty = Math.floor((replicas - 1) / 3);
    const all = { ...nothing, faulty, packages, warmUp, releases, seconds, pacedReleases };
    const own = await benchPublish(all, cluster, gateways);
    const sections = [{ ...own.section, name: `publish, n = ${replicas}` }];
    const shares = [own.share];
    if (faulty !== 1) {
      // Warm already, but for the packages.
      const few = {
        ...nothing,
        faulty: 1,
        packages,
        warmUp: Math.min(packages, warmUp),
        ...withTwo,
      };
      const two = await benchPublish(few, cluster, gateways);
      sections.push({ ...two.section, name: `publish, n = ${replicas}, two signatures` });
      shares.push(two.share);
    }
    return { sections, shares };
  } finally {
    await gateways.close();
    await cluster.stopAll();
  }
}

/** Shares of the floor beside that of the first log: throughput should fall no faster than its floor. */
export function compareSizes([first, ...others]: readonly Share[]): Section {
  const figures: Figure[] = [];
  const add = (what: string, shareOf: (share: Share) => number): void => {
    if (first === undefined) return;
    figures.push({ what: `${nameOf(first)}: ${what}`, value: shareOf(first), unit: '' });
    for (const share of others) {
      figures.push({
        what: `${nameOf(share)}: ${what}`,
        value: shareOf(share),
        unit: '',
        floor: shareOf(first),
      });
    }
  };
  add('sustained, part of its floor', ({ ofRate }) => ofRate);
  add('floor, part of the CPU of a replica', ({ ofCpu }) => ofCpu);
  const about =
    'How much of its floor c / (n (f+1) t_v) each log reached, beside what the smallest reached: a ratio of 1 and ' +
    'more is throughput that falls with n no faster than the floor does.';
  return { name: 'publish, by number of replicas', about, figures };
}

function nameOf({ replicas, signers }: Share): string {
  return `n = ${replicas}, ${signers} signatures`;
}
