// Replicas as child processes of one parent: begun, watched, ended by their own process ids. None outlives the
// parent, however it ends: each replica has a pipe from it as standard input, and stops when that closes, which
// the system does for a parent that was killed (`run --until-stdin-ends`).
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

import { EXIT } from './exit-codes.ts';

/** Longer than a replica lets its requests finish (`drainSeconds`), and far longer than closing a database takes. */
const STOP_TIMEOUT_MS = 30_000;

/** How much of a log is looked at for a reason: the last lines say it. */
const REASON_LINES_MAX = 3;

/** How a replica's process ended. */
export interface Ending {
  readonly name: string;
  /** Its exit code; `EXIT.internal` when a signal ended it. */
  readonly code: number;
  /** For people: how, and what its log says of it. */
  readonly reason: string;
}

/** One replica's process. */
export interface ReplicaChild {
  readonly name: string;
  readonly pid: number | undefined;
  /** Resolves once it has its ports; never when it ends before. */
  readonly listening: Promise<void>;
  /** Resolves when it has ended. Never rejects. */
  readonly ended: Promise<Ending>;
  /** Ends it in order, or at once after half a minute. */
  stop(): Promise<void>;
  /** Ends it at once. Nothing is lost by it: what was acknowledged is on the disk. */
  kill(): void;
}

/**
 * Starts `bftpkg-log run` with the program that runs now.
 *
 * @param logFile its log is appended to this
 * @throws {Error} when the log can't be written
 */
export async function startChild(
  name: string,
  configFile: string,
  logFile: string,
): Promise<ReplicaChild> {
  const log = await open(logFile, 'a', 0o600);
  const { size: logBegin } = await log.stat();
  const [, program = ''] = process.argv;
  const argv = [...process.execArgv, program, 'run', '--until-stdin-ends', '--config', configFile];
  // A session of its own: Ctrl-C in a terminal goes to all of the foreground, and a replica takes the second signal for "now".
  const child = spawn(process.execPath, argv, {
    detached: true,
    stdio: ['pipe', 'pipe', log.fd],
  });
  const ended = endingOf(name, child, logFile, logBegin);
  // It may be gone before its pipe is closed.
  child.stdin?.on('error', () => undefined);
  await log.close();
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  return {
    name,
    pid: child.pid,
    listening: listeningOf(child),
    ended,
    stop: async () => {
      if (isRunning()) child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

async function listeningOf(child: ChildProcess): Promise<void> {
  if (child.stdout === null) throw new Error('the child was started without a pipe');
  const lines = createInterface({ input: child.stdout });
  // `run` prints one line, when it listens; later ones, after a rebuild, are read and let go.
  await once(lines, 'line');
}

async function endingOf(
  name: string,
  child: ChildProcess,
  logFile: string,
  logBegin: number,
): Promise<Ending> {
  const how = await new Promise<{ readonly code: number; readonly text: string }>((resolve) => {
    child.once('error', ({ message }) => resolve({ code: EXIT.internal, text: message }));
    child.once('exit', (code, signal) =>
      resolve({
        code: code ?? EXIT.internal,
        text: code === null ? `ended by ${signal}` : `ended with exit code ${code}`,
      }),
    );
  });
  const log = await readFile(logFile).catch(() => Buffer.alloc(0));
  const why = reasonIn(log.subarray(logBegin).toString());
  return { name, code: how.code, reason: [how.text, ...why].join('\n    ') };
}

/** The lines of a replica's log that say why it ended: those of level error, and those that are no JSON. */
export function reasonIn(log: string): readonly string[] {
  return log
    .split('\n')
    .filter((line) => line !== '' && (!line.startsWith('{') || line.includes('"level":"error"')))
    .slice(-REASON_LINES_MAX);
}
