// `bftpkg-log cluster init`: prints one JSON object with the pin and the replicas' addresses.
import { resolve } from 'node:path';

import { isOrigin } from '../../verifier/origin.ts';
import { createCluster } from '../cluster.ts';
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
  if (!isOrigin(options.origin)) throw new ConfigError('--origin', ['can’t name a log']);
  const cluster = await createCluster({
    origin: options.origin,
    folder: resolve(options.out),
    host: options.host,
    ports: choosePorts(options),
  });
  const { origin } = options;
  process.stdout.write(`${JSON.stringify({ origin, ...cluster })}\n`);
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
