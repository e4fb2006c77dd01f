// The part of the command tree about hooks.
import { Command } from 'commander';

import type { HookOptions } from '../commands/hook.ts';
import type { HookRunOptions } from '../commands/hook-run.ts';
import { collect } from './flags.ts';
import type { Run } from './run.ts';

/** Adds `hook`. */
export function addHook(program: Command, version: string, run: Run): void {
  const parent = program
    .command('hook')
    .description('let the project’s own package manager ask bftpkg before it installs');
  withPlan(
    parent
      .command('install')
      .description('write the files that do it, for the managers that are found'),
  )
    .option('--dry-run', 'show what would be written')
    .action((options: HookOptions) =>
      run('hook install', async (invocation) => {
        const { hookInstall } = await import('../commands/hook.ts');
        return await hookInstall(invocation, options, version);
      }),
    );
  withPlan(
    parent.command('check').description('are they in place, unchanged, and do they find bftpkg?'),
  ).action((options: HookOptions) =>
    run('hook check', async (invocation) => {
      const { hookCheck } = await import('../commands/hook.ts');
      return await hookCheck(invocation, options, version);
    }),
  );
  parent
    .command('remove')
    .description('take everything out again')
    .option('--dry-run', 'show what would be written')
    .action((options: Pick<HookOptions, 'dryRun'>) =>
      run('hook remove', async (invocation) => {
        const { hookRemove } = await import('../commands/hook.ts');
        return await hookRemove(invocation, options);
      }),
    );
  parent
    .command('run [words...]', { hidden: true })
    .description('what those files call')
    .option('--event <event>', 'where it is called from')
    .option('--manager <name>', 'by whom, where npm_config_user_agent does not say')
    .option('--needed <version>', 'version of bftpkg that the project needs')
    .action((words: string[], options: HookRunOptions) =>
      run('hook run', async (invocation) => {
        const { hookRun } = await import('../commands/hook-run.ts');
        return await hookRun(invocation, words, options, version);
      }),
    );
}

function withPlan(command: Command): Command {
  return command
    .option(
      '--manager <name>',
      'npm, pnpm, yarn-classic, yarn-berry or bun; repeatable',
      collect,
      [],
    )
    .option('--require-npm-12', 'devEngines in package.json: npm 10.9 and later refuses before 12');
}
