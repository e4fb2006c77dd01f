// The commands for auditors: the log itself, proofs of misbehaviour, and following a log.
import type { Command } from 'commander';

import type { Run } from './run.ts';

// An audit of a hundred thousand releases takes minutes; that is no reason to hang for ever.
const AUDIT_TIMEOUT = '30m';

interface AccessFlags {
  readonly pin?: string;
  readonly out?: string;
}

/** Adds `evidence` and everything below it. */
export function addEvidence(program: Command, run: Run): void {
  const parent = program
    .command('evidence')
    .description('proofs that replicas have misbehaved, which anybody can check');
  const pin = ['--pin <hash>', 'roster to believe (default: the project’s)'] as const;
  parent
    .command('verify <file>')
    .description('check a proof, without asking anybody')
    .option(...pin)
    .action((file: string, options: AccessFlags) =>
      run('evidence verify', async (invocation) => {
        const { evidenceVerify } = await import('../commands/evidence.ts');
        return await evidenceVerify(invocation, file, options);
      }),
    );
  parent
    .command('submit <file> [url]')
    .description('hand a fork to every replica, or to one, to be kept')
    .option(...pin)
    .action((file: string, url: string | undefined, options: AccessFlags) =>
      run('evidence submit', async (invocation) => {
        const { evidenceSubmit } = await import('../commands/evidence-submit.ts');
        return await evidenceSubmit(invocation, file, url, options);
      }),
    );
  parent
    .command('list [url]')
    .description('fetch and check the proofs that replicas keep')
    .option(...pin)
    .option('--save <folder>', 'write them to files')
    .action((url: string | undefined, options: AccessFlags & { save?: string }) =>
      run('evidence list', async (invocation) => {
        const { evidenceList } = await import('../commands/evidence.ts');
        return await evidenceList(invocation, url, options);
      }),
    );
}

/** Adds `log` and everything below it. */
export function addLog(program: Command, run: Run): void {
  const parent = program.command('log').description('the log itself, from its files alone');
  const pin = ['--pin <hash>', 'roster to believe (default: the project’s)'] as const;
  parent
    .command('head [url]')
    .description('show the newest checkpoint and who cosigned it')
    .option(...pin)
    .option('--all-replicas', 'ask each of them, and compare')
    .action((url: string | undefined, options: AccessFlags & { allReplicas?: boolean }) =>
      run('log head', async (invocation) => {
        const { logHead } = await import('../commands/log.ts');
        return await logHead(invocation, url, options);
      }),
    );
  parent
    .command('entry <index> [url]')
    .description('show an entry, proven to be in the log')
    .option(...pin)
    .option('--out <file>', 'write its bytes to a file')
    .action((index: string, url: string | undefined, options: AccessFlags) =>
      run('log entry', async (invocation) => {
        const { logEntry } = await import('../commands/log.ts');
        return await logEntry(invocation, index, url, options);
      }),
    );
  parent
    .command('proof <entry>')
    .description('write the proof of an entry (index, or name@version) for other tools')
    .option(...pin)
    .option('--out <file>', 'where (default: <index>.tlog-proof)')
    .option('--with-entry', 'put the entry itself into the proof, as extra data')
    .action((target: string, options: AccessFlags & { withEntry?: boolean }) =>
      run('log proof', async (invocation) => {
        const { logProof } = await import('../commands/log.ts');
        return await logProof(invocation, target, options);
      }),
    );
  parent
    .command('fsck [url]')
    .description(`check every entry and every transition of the log (--timeout ${AUDIT_TIMEOUT})`)
    .option(...pin)
    .option('--save <file>', 'keep the state, for the next check')
    .option('--from <file>', 'go on from a kept state')
    .action((url: string | undefined, options: AccessFlags & { save?: string; from?: string }) =>
      run(
        'log fsck',
        async (invocation) => {
          const { logFsck } = await import('../commands/log-fsck.ts');
          return await logFsck(invocation, url, options);
        },
        AUDIT_TIMEOUT,
      ),
    );
}

// A monitor runs until it is stopped.
const MONITOR_TIMEOUT = '3650d';

/** Adds the commands for auditors that follow a log. */
export function addMonitor(program: Command, run: Run): void {
  const parent = program
    .command('monitor')
    .description('follow a log, check every step of it, and tell what you asked to be told');
  parent
    .command('run')
    .description('watch what --config <monitor.json> names, until it is stopped')
    .option('--once', 'make one round')
    .option('--interval <duration>', 'pause between two rounds', '1m')
    .option('--state <folder>', 'where it keeps how far it got (default: your state folder)')
    .option('--webhook <url>', 'post notices there as well')
    .option('--metrics <file>', 'write metrics there after each round (Prometheus text format)')
    .option('--from-start', 'tell about what is in the log at the first round, too')
    .action(
      (options: {
        once?: boolean;
        interval: string;
        state?: string;
        webhook?: string;
        metrics?: string;
        fromStart?: boolean;
      }) =>
        run(
          'monitor run',
          async (invocation) => {
            const { monitorRun } = await import('../commands/monitor.ts');
            return await monitorRun(invocation, options);
          },
          options.once === true ? undefined : MONITOR_TIMEOUT,
        ),
    );
  parent
    .command('check-config')
    .description('read --config <monitor.json>, and say what is wrong with it')
    .action(() =>
      run('monitor check-config', async (invocation) => {
        const { monitorCheckConfig } = await import('../commands/monitor.ts');
        return await monitorCheckConfig(invocation);
      }),
    );
}
