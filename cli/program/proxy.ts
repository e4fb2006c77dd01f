// The part of the command tree for package managers other than bftpkg itself.
import type { Command } from 'commander';

import type { Run } from './run.ts';

// A large installation takes minutes; without a command the proxy runs until it is stopped.
const COMMAND_TIMEOUT = '2h';
const SERVING_TIMEOUT = '3650d';

/** Adds `proxy`. */
export function addProxy(program: Command, run: Run): void {
  program
    .command('proxy [command...]')
    .description(
      'a registry of verified packages on this machine; after --, a command to run inside',
    )
    .option('--port <number>', 'port to listen on (default: a free one)')
    .option('--upstream <url>', "registry of what a policy allows without the log (default: npm's)")
    .option(
      '--stores <folder>',
      'keep caches and stores there: what they have is not asked for again',
    )
    .option('--print-env', 'print the variables that send package managers here')
    .action(
      (
        command: string[],
        options: { port?: string; upstream?: string; stores?: string; printEnv?: boolean },
      ) =>
        run(
          'proxy',
          async (invocation) => {
            const { proxy } = await import('../commands/proxy.ts');
            return await proxy(invocation, command, options);
          },
          command.length > 0 ? COMMAND_TIMEOUT : SERVING_TIMEOUT,
        ),
    );
}
