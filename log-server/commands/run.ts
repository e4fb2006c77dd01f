// `bftpkg-log run`: a replica until SIGTERM or SIGINT. Crash-only: whatever must not happen ends the
// process with code 70, and a supervisor starts it again from what is durable.
import { ConfigError } from '../config.ts';
import { tuneForReplicas } from '../engine.ts';
import { EXIT } from '../exit-codes.ts';
import { LiveConfig } from '../live-config.ts';
import { createLog, describeError } from '../log.ts';
import type { Log } from '../log.ts';
import { startNode } from '../node.ts';
import type { NodeOptions, ReplicaNode } from '../node.ts';
import { loadSetup } from '../setup.ts';
import { isDamage } from '../store/damage.ts';
import { DatabaseError } from '../store/database.ts';

/**
 * A database that is damaged again so soon after it was rebuilt, milliseconds, is on a disk that can't
 * be written to: a person has to look after it.
 */
const REBUILD_PAUSE_MS = 600_000;

/** Options of the command. */
export interface RunOptions {
  readonly config: string;
  /** For a parent that may be killed: its end of the pipe is closed by the system. */
  readonly untilStdinEnds?: boolean;
}

/** Runs a replica; returns when it has stopped in order. */
export async function run({ config: configFile, untilStdinEnds }: RunOptions): Promise<void> {
  tuneForReplicas();
  const setup = await loadSetup(configFile, process.env);
  const live = new LiveConfig(setup.config);
  const log = createLog(setup.config.replica, () => live.logLevel, {
    write: (line) => process.stderr.write(line),
    nowMs: () => Date.now(),
  });
  process.on('uncaughtException', (error) => crash(log, error));
  process.on('unhandledRejection', (error) => crash(log, error));
  log.info('starting', { pid: process.pid, node: process.version });
  process.on('SIGHUP', () => void reload(configFile, live, log));
  const clocks = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };
  const failed = (error: unknown): void => crash(log, error);
  let stopped: Promise<'stopped'> | undefined;
  let damagedMs = Number.NEGATIVE_INFINITY;
  for (;;) {
    let report = (): void => undefined;
    const damaged = new Promise<'damaged'>((resolve) => {
      report = () => resolve('damaged');
    });
    // What is damaged is rebuilt before it listens.
    const node = await startOrExplain({
      setup,
      live,
      log,
      clocks,
      failed,
      damaged: () => report(),
    });
    // For whoever started this process: ports that the system chose are known only now.
    const { publicUrl, peerUrl } = node;
    process.stdout.write(`${JSON.stringify({ event: 'listening', publicUrl, peerUrl })}\n`);
    stopped ??= stopSignal(untilStdinEnds === true);
    const why = await Promise.race([stopped, damaged]);
    await closeOrCrash(node, log);
    if (why === 'stopped') return;
    const nowMs = clocks.monotonicMs();
    if (nowMs - damagedMs < REBUILD_PAUSE_MS) {
      log.error('halted', { reason: 'the database was damaged again soon after it was rebuilt' });
      process.exitCode = EXIT.damaged;
      return;
    }
    damagedMs = nowMs;
  }
}

/** Reads the configuration again; one that is wrong changes nothing. Never fails. */
async function reload(configFile: string, live: LiveConfig, log: Log): Promise<void> {
  try {
    const { config } = await loadSetup(configFile, process.env);
    const { changed, waiting } = live.reload(config);
    log.info('reloaded', { changed, waiting });
  } catch (error) {
    log.error('reloaded', { error: describeError(error) });
  }
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

async function stopSignal(withStdin: boolean): Promise<'stopped'> {
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
    if (!withStdin) return;
    process.stdin.once('close', () => resolve()).once('error', () => resolve());
    process.stdin.resume();
  });
  // An open pipe would keep the process.
  if (withStdin) process.stdin.destroy();
  // A second one means now. Nothing is lost by it: what was acknowledged is on the disk.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => process.exit(EXIT.ok));
  }
  return 'stopped';
}

async function closeOrCrash(node: ReplicaNode, log: Log): Promise<void> {
  try {
    await node.close();
  } catch (error) {
    // SQLite can't close what it can't read; the lock goes with the process, and the next one rebuilds.
    if (isDamage(error)) log.error('halted', { reason: describeError(error) });
    crash(log, error);
  }
}

/** Ends the process at once: a state that surprised us is not to be written anywhere. */
function crash(log: Log, error: unknown): never {
  const stack = error instanceof Error ? error.stack : undefined;
  log.error('crashed', { error: describeError(error), stack });
  process.exit(EXIT.internal);
}
