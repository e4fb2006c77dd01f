// `bftpkg-log try`: a whole log on this machine, in the foreground, for who wants to see one or to develop against one.
// On stdout a bftpkg.json, whole, once the log takes releases; on stderr everything for people.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { startChild, type Ending, type ReplicaChild } from '../children.ts';
import { EXIT } from '../exit-codes.ts';
import { openOrMake } from '../local-log.ts';
import type { Setup } from '../setup.ts';

const ASK_PAUSE_MS = 100;
/** A replica that only follows is never ready; when the others are, it is waited for this long. */
const LATE_PATIENCE_MS = 15_000;

/** Options of the command. */
export interface TryOptions {
  /** Kept, and gone on with next time. Without it a new one, removed at the end. */
  readonly folder?: string;
  /** As for `cluster init`; for a new log only. */
  readonly ports?: readonly number[];
}

/** A log on this machine. */
interface LocalLog {
  readonly folder: string;
  readonly isKept: boolean;
  readonly setups: readonly Setup[];
  /** How many have to run, with weight 1 each. */
  readonly quorum: number;
}

/** Runs the log until it is told to stop. Sets the exit code. @throws {ConfigError} a folder that won't do */
export async function tryLog({ folder: kept, ports }: TryOptions): Promise<void> {
  // Before the first child: a signal meanwhile must end what has been started by then.
  const stopping = new AbortController();
  const stopped = stopSignal().then(() => stopping.abort());
  const folder = kept === undefined ? await makeFolder() : resolve(kept);
  const isKept = kept !== undefined;
  const children: ReplicaChild[] = [];
  try {
    const setups = await openOrMake(folder, ports);
    const quorum = setups[0]?.rosters.at(-1)?.thresholds.quorum ?? setups.length;
    for (const { config } of setups) {
      const name = config.replica;
      const configFile = join(folder, name, 'config.json');
      children.push(await startChild(name, configFile, join(folder, `${name}.log`)));
    }
    const log = { folder, isKept, setups, quorum };
    const ended = await Promise.race([stopped, serve(log, children, stopping.signal)]);
    if (ended !== undefined) {
      say(`error: ${ended.reason}`);
      process.exitCode = ended.code === EXIT.ok ? EXIT.unavailable : ended.code;
    }
  } finally {
    stopping.abort();
    // A second signal means now.
    void stopSignal().then(() => children.map((child) => child.kill()));
    await Promise.all(children.map((child) => child.stop()));
    if (!isKept) await rm(folder, { recursive: true, force: true });
  }
  say(`all replicas have stopped; ${folder} ${isKept ? 'is kept' : 'was removed'}`);
}

/** Returns when the log can't go on. */
async function serve(
  log: LocalLog,
  children: readonly ReplicaChild[],
  stopping: AbortSignal,
): Promise<Ending> {
  const ending = Promise.race(children.map(({ ended }) => ended));
  const begun = Promise.all(children.map(({ listening }) => listening)).then(() => undefined);
  const early = (await Promise.race([begun, ending])) ?? (await untilReady(log, ending));
  if (early !== undefined) return { ...early, reason: `${early.name} ${early.reason}` };
  introduce(log, children);
  return await new Promise((tooFew) => {
    let left = children.length;
    for (const child of children) {
      void child.ended.then((end) => {
        if (stopping.aborted) return;
        left -= 1;
        const rest = `${left} of ${children.length} are left, a quorum is ${log.quorum}`;
        const reason = `${end.name} ${end.reason}\n    ${rest}`;
        if (left < log.quorum) tooFew({ ...end, code: EXIT.unavailable, reason });
        else say(`warning: ${reason}: the log goes on`);
      });
    }
  });
}

/** Waits for all replicas, and not for ever for the last ones. @returns the first that ended meanwhile */
async function untilReady(
  { setups, quorum }: LocalLog,
  ending: Promise<Ending>,
): Promise<Ending | undefined> {
  let quorumSinceMs: number | undefined;
  for (;;) {
    const asked = await Promise.all(setups.map(troubleOf));
    const troubles = asked.filter((each) => each !== undefined);
    const isQuorumReady = setups.length - troubles.length >= quorum;
    quorumSinceMs = isQuorumReady ? (quorumSinceMs ?? performance.now()) : undefined;
    const waitedMs = performance.now() - (quorumSinceMs ?? performance.now());
    if (troubles.length === 0 || waitedMs > LATE_PATIENCE_MS) {
      for (const trouble of troubles) say(`warning: ${trouble}`);
      return undefined;
    }
    const ended = await Promise.race([sleep(ASK_PAUSE_MS), ending]);
    if (ended !== undefined) return ended;
  }
}

/** Why a replica is not ready; `undefined` when it is. */
async function troubleOf({ config }: Setup): Promise<string | undefined> {
  try {
    const answer = await fetch(`http://${config.publicHost}:${config.publicPort}/readyz`);
    const text = await answer.text();
    return answer.ok ? undefined : `${config.replica} is not ready: ${text.trim()}`;
  } catch {
    return `${config.replica} does not answer`;
  }
}

function introduce({ folder, isKept, setups }: LocalLog, children: readonly ReplicaChild[]): void {
  const [roster] = setups[0]?.rosters ?? [];
  const replicas = roster?.replicas.map(({ url }) => url) ?? [];
  const pin = roster?.hash ?? '';
  const processes = children.map(({ name, pid }) => `${name} (process ${pid})`).join(', ');
  say(
    'WARNING: all replicas run on this machine, with keys that lie in one folder. Whoever has it can',
  );
  say('WARNING: log anything: this takes away no trust at all. For trying and developing only.');
  say(
    `log     ${roster?.origin ?? ''}, ${isKept ? 'kept' : 'until Ctrl-C'} in ${folder}, each replica’s log beside it`,
  );
  say(`running ${processes}; the log goes on without any one of them`);
  say(`next    in an empty project: bftpkg init --pin ${pin} --replica ${replicas[0] ?? ''}`);
  say(
    'next    then bftpkg key generate, package register and release publish: nothing is in the log yet',
  );
  say(`next    to look at it: ${replicas[0] ?? ''}/   to end it: Ctrl-C`);
  const config = { format: 'bftpkg-config/v1', pin, replicas };
  process.stdout.write(`${JSON.stringify(config, null, 2)}\n`);
}

// On stderr: what is on stdout is a file.
function say(line: string): void {
  process.stderr.write(`bftpkg-log: ${line}\n`);
}

async function stopSignal(): Promise<void> {
  await new Promise<void>((done) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => done());
    }
  });
}

async function makeFolder(): Promise<string> {
  return await mkdtemp(join(tmpdir(), 'bftpkg-log-try-'));
}
