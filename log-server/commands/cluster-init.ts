// `bftpkg-log cluster init`: prints one JSON object with the pin and the replicas' addresses.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { quote } from '../../verifier/errors.ts';
import { isOrigin } from '../../verifier/origin.ts';
import { createCluster, type Cluster } from '../cluster.ts';
import { ConfigError } from '../config.ts';

const BASE_PORT_DEFAULT = 8700;

/** Options of the command. */
export interface ClusterInitOptions {
  readonly out: string;
  readonly origin: string;
  readonly n: number;
  readonly host: string;
  readonly basePort?: number;
  readonly ports?: readonly number[];
}

/** Makes the files and prints what clients need. */
export async function clusterInit(options: ClusterInitOptions): Promise<void> {
  if (!isOrigin(options.origin)) {
    const found = `${quote(options.origin)} can’t name a log`;
    throw new ConfigError('--origin', [`${found}: a name without spaces, like example.org/log`]);
  }
  const folder = resolve(options.out);
  if (existsSync(join(folder, 'r0'))) {
    throw new ConfigError(folder, ['there is a log already: name a new folder']);
  }
  const cluster = await createCluster({
    origin: options.origin,
    folder,
    host: options.host,
    ports: choosePorts(options),
  });
  const { origin } = options;
  process.stdout.write(`${JSON.stringify({ origin, ...cluster })}\n`);
  for (const line of nextSteps(options, cluster)) process.stderr.write(`bftpkg-log: ${line}\n`);
}

// On stderr: what is on stdout is read by programs.
function nextSteps({ n }: ClusterInitOptions, { pin, replicas }: Cluster): readonly string[] {
  const [first] = replicas;
  return [
    // n >= 3f+1
    ...(n < 4 ? [`warning: ${n} replicas bear no faulty one, 4 bear one`] : []),
    `next  bftpkg-log run --config ${first?.configFile ?? ''} (a process for each of the ${n})`,
    `next  in a project: bftpkg init --pin ${pin} --replica ${first?.url ?? ''}`,
  ];
}

/** The ports of each replica. @throws {ConfigError} a list of another length, or repetitions */
export function choosePorts(
  options: Pick<ClusterInitOptions, 'n' | 'basePort' | 'ports'>,
): readonly { readonly publicPort: number; readonly peerPort: number }[] {
  const { n, ports } = options;
  const base = options.basePort ?? BASE_PORT_DEFAULT;
  const all =
    ports ??
    Array.from({ length: 2 * n }, (_, i) => (i < n ? base + 2 * i : base + 2 * (i - n) + 1));
  if (all.length !== 2 * n) {
    throw new ConfigError('--ports', [`${all.length} ports, ${n} replicas need ${2 * n}`]);
  }
  if (new Set(all).size !== all.length) throw new ConfigError('--ports', ['a port is repeated']);
  if (all.some((port) => port > 65_535)) throw new ConfigError('--base-port', ['too high']);
  return Array.from({ length: n }, (_, i) => ({
    publicPort: all[i] ?? 0,
    peerPort: all[n + i] ?? 0,
  }));
}
