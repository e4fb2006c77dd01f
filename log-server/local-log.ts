// A log in one folder on this machine, for `bftpkg-log try`: found there, or made.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';

import { createCluster } from './cluster.ts';
import { choosePorts } from './commands/cluster-init.ts';
import { ConfigError } from './config.ts';
import { loadSetup, type Setup } from './setup.ts';

/** The fewest that bear a faulty one: n >= 3f+1. */
const REPLICAS = 4;
const HOST = '127.0.0.1';

// From the port of all examples on. Below 10000: systems take ports of outgoing connections from far above.
const BASE_PORT_MIN = 8700;
const BASE_PORT_MAX = 9996;

/**
 * The replicas of a folder, in which a log is made when it is empty.
 *
 * @param ports public ports, then peer ports, of a log that is to be made; free ones if left out
 * @throws {ConfigError} what lies there is no log or not a whole one; no ports
 */
export async function openOrMake(
  folder: string,
  ports: readonly number[] | undefined,
): Promise<readonly Setup[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const names = await readdir(folder);
  if (names.length === 0) {
    // Another name for each log: maintainers' machines note by it which release of a name they have signed.
    const origin = `try.invalid/${randomBytes(6).toString('hex')}`;
    const chosen = choosePorts({
      n: REPLICAS,
      ...(ports === undefined ? { basePort: await freeBasePort() } : { ports }),
    });
    await createCluster({ origin, folder, host: HOST, ports: chosen });
  } else if (ports !== undefined) {
    throw new ConfigError('--ports', [`${folder} is not empty: a log that is there has its ports`]);
  }
  const found = (await readdir(folder)).filter((name) =>
    existsSync(join(folder, name, 'config.json')),
  );
  const setups: Setup[] = [];
  for (const name of found.toSorted()) {
    setups.push(await loadSetup(join(folder, name, 'config.json'), process.env));
  }
  const members = setups[0]?.rosters.at(-1)?.replicas ?? [];
  const missing = members.filter(({ name }) => !found.includes(name)).map(({ name }) => name);
  if (setups.length === 0 || missing.length > 0) {
    const why = setups.length === 0 ? 'is not empty, and no log' : `lacks ${missing.join(', ')}`;
    throw new ConfigError(folder, [`${why}: name a new folder`]);
  }
  return setups;
}

/** The first of as many ports in a row as all replicas need. */
async function freeBasePort(): Promise<number> {
  for (let base = BASE_PORT_MIN; base < BASE_PORT_MAX; base += 2 * REPLICAS) {
    const all = Array.from({ length: 2 * REPLICAS }, (_, i) => listenOn(base + i));
    const servers = await Promise.all(all);
    await Promise.all(servers.map(async (server) => await server?.[Symbol.asyncDispose]()));
    if (!servers.includes(undefined)) return base;
  }
  throw new ConfigError('--ports', [`none free from ${BASE_PORT_MIN} on: name ${2 * REPLICAS}`]);
}

function listenOn(port: number): Promise<Server | undefined> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(undefined));
    server.listen(port, HOST, () => done(server));
  });
}
