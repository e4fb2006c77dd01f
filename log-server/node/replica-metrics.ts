// What a replica shows of itself to Prometheus: figures that it has anyway, read when somebody asks.
import { statfs } from 'node:fs/promises';

import type { HealthCheck } from '../http/face.ts';
import { gauge, type Metric } from '../http/metrics.ts';
import type { Log, LogEvent, LogLevel } from '../log.ts';
import type { Vitals } from './health.ts';

/** What the figures are taken from. */
export interface MetricSources {
  readonly epoch: number;
  readonly view: number;
  readonly isLeader: boolean;
  readonly height: number;
  readonly size: number;
  readonly checkpoint: { readonly size: number; readonly timeSeconds: number } | undefined;
  readonly vitals: Vitals;
  readonly checks: readonly HealthCheck[];
  /** Names of the other members, and whether they are connected. */
  readonly peers: readonly { readonly name: string; readonly isConnected: boolean }[];
  /** Messages refused, by the name of their sender. */
  readonly refusedMessages: ReadonlyMap<string, number>;
  /** Inputs that the core ignored, by reason: a closed list. */
  readonly ignored: ReadonlyMap<string, number>;
  /** Requests sent ahead of their batch, taken in, and not sent again with the proposal. */
  readonly prefetched: Readonly<Record<'sent' | 'taken' | 'used', number>>;
  readonly waitingSubmissions: number;
  readonly misbehaviourReports: number;
  readonly contradictions: number;
  readonly artifacts: { readonly wanted: number; readonly missing: number };
  readonly events: ReadonlyMap<string, number>;
  readonly dataDir: string;
}

/** The figures. Labels are names of members and closed lists of ours, never of packages. */
export async function replicaMetrics(sources: MetricSources): Promise<readonly Metric[]> {
  const { vitals, checkpoint, peers, checks } = sources;
  const disk = await freeBytes(sources.dataDir);
  const { rss, heapUsed } = process.memoryUsage();
  return [
    labelled('build_info', 'Always 1; what runs.', [[{ node: process.version }, 1]]),
    gauge('epoch', 'Epoch of the roster in force.', sources.epoch),
    gauge('view', 'View of the replication protocol.', sources.view),
    gauge('leader', 'Whether this replica leads the view.', Number(sources.isLeader)),
    gauge('height', 'Last batch that is durable here.', sources.height),
    gauge('tree_size', 'Leaves in the log.', sources.size),
    ...(checkpoint === undefined
      ? []
      : [
          gauge('checkpoint_size', 'Size of the checkpoint that is served.', checkpoint.size),
          gauge(
            'checkpoint_timestamp_seconds',
            'Certified time of that checkpoint, Unix seconds.',
            checkpoint.timeSeconds,
          ),
        ]),
    gauge('voting', 'Whether this replica votes; 0 when it only follows.', voting(vitals)),
    gauge('reachable_weight', 'Weight of the replicas in reach.', vitals.reachableWeight),
    gauge('quorum_weight', 'Weight of a quorum.', vitals.quorum),
    gauge('event_loop_silence_seconds', 'Since the last tick.', vitals.deafMs / 1000),
    ...(vitals.clockSkewSeconds === undefined
      ? []
      : [
          gauge(
            'clock_skew_seconds',
            'How far the other replicas’ clocks are ahead, median.',
            vitals.clockSkewSeconds,
          ),
        ]),
    labelled(
      'check_ok',
      'The checks of /readyz by name.',
      checks.map(({ name, ok }) => [{ check: name }, Number(ok)]),
    ),
    labelled(
      'peer_connected',
      'Other members of the roster, by name.',
      peers.map(({ name, isConnected }) => [{ peer: name }, Number(isConnected)]),
    ),
    counter(
      'refused_messages_total',
      'Messages of a peer that were no good.',
      'peer',
      sources.refusedMessages,
    ),
    counter(
      'ignored_inputs_total',
      'Inputs that changed nothing, by reason.',
      'reason',
      sources.ignored,
    ),
    counter(
      'prefetched_requests_total',
      'Requests sent ahead of their batch by leaders, by what became of them here.',
      'what',
      new Map(Object.entries(sources.prefetched)),
    ),
    gauge(
      'waiting_submissions',
      'Submissions that somebody waits for.',
      sources.waitingSubmissions,
    ),
    gauge('misbehaviour_reports', 'Proofs of misbehaviour kept.', sources.misbehaviourReports),
    gauge('contradictions', 'Heads kept that this log never had.', sources.contradictions),
    gauge('artifacts_wanted', 'Artifacts that the log names.', sources.artifacts.wanted),
    gauge('artifacts_missing', 'Of them, those not held here.', sources.artifacts.missing),
    counter('events_total', 'Events of the log, written or not, by name.', 'event', sources.events),
    ...(disk === undefined ? [] : [gauge('disk_free_bytes', 'Free where the data is.', disk)]),
    gauge('process_resident_memory_bytes', 'Memory of the process.', rss),
    gauge('process_heap_bytes', 'Of it, JavaScript objects.', heapUsed),
    gauge('process_cpu_seconds', 'Processor time, user and system.', cpuSeconds()),
  ];
}

function voting({ observerReason, coreHalted }: Vitals): number {
  return Number(observerReason === undefined && coreHalted === undefined);
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function freeBytes(folder: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch {
    // The folder is on a disk that is gone: other figures say so.
    return undefined;
  }
}

function labelled(
  name: string,
  help: string,
  rows: readonly (readonly [Readonly<Record<string, string>>, number])[],
): Metric {
  return { name, help, kind: 'gauge', samples: rows.map(([labels, value]) => ({ labels, value })) };
}

function counter(
  name: string,
  help: string,
  label: string,
  counts: ReadonlyMap<string, number>,
): Metric {
  const samples = [...counts].map(([key, value]) => ({ labels: { [label]: key }, value }));
  return { name, help, kind: 'counter', samples };
}

/** A log that counts its events as well, whatever its level lets through. */
export function countEvents(log: Log): { readonly log: Log; readonly counts: Map<string, number> } {
  const counts = new Map<string, number>();
  const counting =
    (level: LogLevel): Log[LogLevel] =>
    (event: LogEvent, fields) => {
      counts.set(event, (counts.get(event) ?? 0) + 1);
      log[level](event, fields);
    };
  return {
    log: {
      debug: counting('debug'),
      info: counting('info'),
      warn: counting('warn'),
      error: counting('error'),
    },
    counts,
  };
}
