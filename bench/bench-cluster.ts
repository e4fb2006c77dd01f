// Replicas as processes of their own, and what they have used so far (Linux only).
import { mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { startCluster, type Cluster } from '../fixtures/e2e/cluster.ts';
import { processCpuMs, processMemory } from './measure.ts';

/** Bytes that have gone over the loopback interface, where the replicas and the publisher talk. */
const WIRE_BYTES_FILE = '/sys/class/net/lo/statistics/rx_bytes';

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

/** CPU time of all its replicas, milliseconds. */
export function cpuOf(cluster: Cluster): number {
  return pidsOf(cluster).reduce((sum, pid) => sum + processCpuMs(pid), 0);
}

/** The most resident memory that any of its replicas ever had, megabytes. */
export function peakOf(cluster: Cluster): number {
  return Math.max(...pidsOf(cluster).map((pid) => processMemory(pid).peakMb));
}

/** What one replica holds on its disk, bytes. */
export function diskOf({ replicas }: Cluster): number {
  const [first] = replicas;
  if (first === undefined) return 0;
  return readdirSync(first.directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

/** Bytes over the loopback interface so far. */
export function wireBytes(): number {
  return Number(readFileSync(WIRE_BYTES_FILE, 'utf8'));
}
