// How a monitor is, for those who watch monitors: a file in Prometheus' text format, for the textfile
// collector of the node exporter. A monitor that has died shows as a time that stands still.
// See https://prometheus.io/docs/instrumenting/exposition_formats/
import { replaceFile } from '../../verifier/node/durable-file.ts';
import { NOTICE_KINDS, categoryOf } from './notices.ts';
import type { Round } from './round.ts';

const PREFIX = 'bftpkg_monitor_';
/** Others read the file: the exporter runs as another user. */
const MODE = 0o644;

interface Family {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];
}

/**
 * The text of the metrics after a round.
 *
 * @param replicas addresses that the monitor asks
 * @param nowSeconds when the round ended
 */
export function formatMetrics(
  round: Round,
  replicas: readonly string[],
  nowSeconds: number,
): string {
  const one = (value: number | undefined): Family['samples'] =>
    value === undefined ? [] : [[{}, value]];
  const counts = new Map<string, number>();
  for (const { kind } of round.found) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const families: readonly Family[] = [
    {
      name: 'round_timestamp_seconds',
      help: 'When the last round ended.',
      samples: one(nowSeconds),
    },
    {
      name: 'round_complete',
      help: 'Whether the last round checked the log to its end.',
      samples: one(round.size === undefined ? 0 : 1),
    },
    {
      name: 'checked_entries',
      help: 'Entries that the last round checked, with all before.',
      samples: one(round.size),
    },
    {
      name: 'checkpoint_timestamp_seconds',
      help: 'Certified time of the newest checkpoint seen.',
      samples: one(round.certifiedTime),
    },
    {
      name: 'replica_up',
      help: 'Whether a replica showed a valid checkpoint in the last round.',
      samples: replicas.map((replica) => [{ replica }, round.failed.includes(replica) ? 0 : 1]),
    },
    {
      name: 'found',
      help: 'What the last round found, told before or not.',
      samples: NOTICE_KINDS.map((kind) => [
        { category: categoryOf(kind), kind },
        counts.get(kind) ?? 0,
      ]),
    },
    {
      name: 'notices_pending',
      help: 'Notices that nobody has taken yet.',
      samples: one(round.state.pending.length),
    },
  ];
  return families.map(formatFamily).join('');
}

/** Writes the metrics as a whole. @throws what the system says */
export async function writeMetrics(path: string, text: string): Promise<void> {
  await replaceFile(path, text, MODE);
}

function formatFamily({ name, help, samples }: Family): string {
  // A family without a value is left out: 0 would be one.
  if (samples.length === 0) return '';
  const lines = samples.map(
    ([labels, value]) => `${PREFIX}${name}${formatLabels(labels)} ${value}`,
  );
  return [`# HELP ${PREFIX}${name} ${help}`, `# TYPE ${PREFIX}${name} gauge`, ...lines, ''].join(
    '\n',
  );
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}
