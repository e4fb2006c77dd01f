// `bftpkg-log run`: a replica until SIGTERM or SIGINT. Crash-only: whatever must not happen ends the
// process with code 70, and a supervisor starts it again from what is durable.
import { ConfigError } from '../config.ts';
import { EXIT } from '../exit-codes.ts';
import { createLog, describeError } from '../log.ts';
import type { Log } from '../log.ts';
import { startNode } from '../node.ts';
import type { NodeOptions, ReplicaNode } from '../node.ts';
import { loadSetup } from '../setup.ts';
import { DatabaseError } from '../store/database.ts';

/** Runs a replica; returns when it has stopped in order. */
export async function run(configFile: string): Promise<void> {
  const setup = await loadSetup(configFile, process.env);
  const { replica, logLevel } = setup.config;
  const log = createLog(replica, logLevel, {
    write: (line) => process.stderr.write(line),
    nowMs: () => Date.now(),
  });
  process.on('uncaughtException', (error) => crash(log, error));
  process.on('unhandledRejection', (error) => crash(log, error));
  log.info('starting', { pid: process.pid, node: process.version });
  const clocks = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };
  const failed = (error: unknown): void => crash(log, error);
  const node = await startOrExplain({ setup, log, clocks, failed });
  // For whoever started this process: ports that the system chose are known only now.
  const { publicUrl, peerUrl } = node;
  process.stdout.write(`${JSON.stringify({ event: 'listening', publicUrl, peerUrl })}\n`);
  await stopOnSignal(node, log);
}

/** @throws {ConfigError} when the data folder is in use, or of another log or replica */
async function startOrExplain(options: NodeOptions): Promise<ReplicaNode> {
  try {
    return await startNode(options);
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    throw new ConfigError(options.setup.config.dataDir, [error.message]);
  }
}

async function stopOnSignal(node: ReplicaNode, log: Log): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  // A second one means now. Nothing is lost by it: what was acknowledged is on the disk.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => process.exit(EXIT.ok));
  }
  try {
    await node.close();
  } catch (error) {
    crash(log, error);
  }
}

/** Ends the process at once: a state that surprised us is not to be written anywhere. */
function crash(log: Log, error: unknown): never {
  const stack = error instanceof Error ? error.stack : undefined;
  log.error('crashed', { error: describeError(error), stack });
  process.exit(EXIT.internal);
}
