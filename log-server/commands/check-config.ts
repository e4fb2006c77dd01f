// `bftpkg-log check-config`: everything that `run` checks before it starts, and nothing else.
import { loadSetup } from '../setup.ts';

/** Checks and prints a summary. @throws {ConfigError} */
export async function checkConfig(file: string): Promise<void> {
  const { config, keys, rosters } = await loadSetup(file, process.env);
  const newest = rosters.at(-1);
  const isMember = newest?.replicas.some(({ name }) => name === config.replica) ?? false;
  const summary = {
    ok: true,
    replica: config.replica,
    origin: newest?.origin,
    epoch: newest?.epoch,
    member: isMember,
    initialised: keys.databaseGeneration !== null,
  };
  process.stdout.write(`${JSON.stringify(summary)}\n`);
}
