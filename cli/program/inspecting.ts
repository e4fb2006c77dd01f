// The commands that look at things: at what this machine trusts, at releases, at the machine itself.
import type { Command } from 'commander';

import type { Run } from './run.ts';

/** Adds the commands for users. */
export function addInspecting(program: Command, run: Run): void {
  program
    .command('inspect <package>')
    .description('show what the log says about name or name@version: signers, digest, scripts')
    .option(
      '--proof',
      'with what it rests on: roster, cosignatures, map, and the path of each entry',
    )
    .option('--raw', 'with the manifest and the entries as they are in the log')
    .action((target: string, options: { raw?: boolean; proof?: boolean }) =>
      run('inspect', async (invocation) => {
        const { inspect } = await import('../commands/inspect.ts');
        return await inspect(invocation, target, options);
      }),
    );
  program
    .command('why <package>')
    .description('show how name or name@version came into the lockfile')
    .option('--lockfile <file>', 'lockfile (default: the nearest one)')
    .action((target: string, options: { lockfile?: string }) =>
      run('why', async (invocation) => {
        const { why } = await import('../commands/why.ts');
        return await why(invocation, target, options);
      }),
    );
  program
    .command('diff <from> <to>')
    .description('compare two releases: signers, files, dependencies, scripts')
    .action((from: string, to: string) =>
      run('diff', async (invocation) => {
        const { diff } = await import('../commands/diff.ts');
        return await diff(invocation, from, to);
      }),
    );
  program
    .command('doctor')
    .description('check this machine, this project and the replicas, and say what to do')
    .action(() =>
      run('doctor', async (invocation) => {
        const { doctor } = await import('../commands/doctor.ts');
        return await doctor(invocation);
      }),
    );
  addTrust(program, run);
  addCache(program, run);
}

function addTrust(program: Command, run: Run): void {
  const parent = program.command('trust').description('what this machine has accepted of the log');
  parent
    .command('show')
    .description('show the pin and the newest checkpoint that was accepted')
    .action(() =>
      run('trust show', async (invocation) => {
        const { trustShow } = await import('../commands/trust.ts');
        return await trustShow(invocation);
      }),
    );
  parent
    .command('update')
    .description('move on to the newest checkpoint, proven to continue the accepted one')
    .action(() =>
      run('trust update', async (invocation) => {
        const { trustUpdate } = await import('../commands/trust.ts');
        return await trustUpdate(invocation);
      }),
    );
  parent
    .command('history')
    .description('show the rosters from the pinned one to the newest')
    .action(() =>
      run('trust history', async (invocation) => {
        const { trustHistory } = await import('../commands/trust.ts');
        return await trustHistory(invocation);
      }),
    );
  parent
    .command('pin <hash>')
    .description('pin a later roster, to which the pinned one leads')
    .action((hash: string) =>
      run('trust pin', async (invocation) => {
        const { trustPin } = await import('../commands/trust.ts');
        return await trustPin(invocation, hash);
      }),
    );
}

function addCache(program: Command, run: Run): void {
  const parent = program.command('cache').description('verified tarballs that are kept');
  parent
    .command('info')
    .description('show where they are and how many')
    .action(() =>
      run('cache info', async (invocation) => {
        const { cacheInfo } = await import('../commands/cache.ts');
        return await cacheInfo(invocation);
      }),
    );
  parent
    .command('verify')
    .description('hash every file again, and remove what is damaged')
    .action(() =>
      run('cache verify', async (invocation) => {
        const { cacheVerify } = await import('../commands/cache.ts');
        return await cacheVerify(invocation);
      }),
    );
  parent
    .command('prune')
    .description('remove what was not used for a while')
    .option('--older <duration>', 'how long', '30d')
    .action((options: { older: string }) =>
      run('cache prune', async (invocation) => {
        const { cachePrune } = await import('../commands/cache.ts');
        return await cachePrune(invocation, options);
      }),
    );
  parent
    .command('clear')
    .description('remove all of them')
    .action(() =>
      run('cache clear', async (invocation) => {
        const { cacheClear } = await import('../commands/cache.ts');
        return await cacheClear(invocation);
      }),
    );
}
