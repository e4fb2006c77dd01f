// The command tree of `bftpkg-log`. Commands are loaded only when they are used.
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';

import { parseUint } from '../verifier/encoding.ts';
import { requireVersionAlone, reviewHelp } from '../verifier/node/command-words.ts';
import type { RunOptions } from './commands/run.ts';
import type { TryOptions } from './commands/try.ts';
import { rosterCommand } from './commands/roster.ts';
import { addLogExamples } from './examples.ts';

interface ClusterOptions {
  readonly out: string;
  readonly origin: string;
  readonly n: number;
  readonly host: string;
  readonly basePort?: number;
  readonly ports?: readonly number[];
}

/**
 * Builds the program. Its actions run the commands.
 *
 * @param argv what it is going to parse
 */
export function buildProgram(version: string, argv: readonly string[] = []): Command {
  const program: Command = new Command('bftpkg-log')
    .description('run a replica of a bftpkg transparency log')
    .option('-V, --version', 'output the version number')
    .on('option:version', () => {
      requireVersionAlone(program, argv);
      program.configureOutput().writeOut?.(`${version}\n`);
      throw new CommanderError(0, 'commander.version', version);
    })
    .addHelpText('beforeAll', ({ command, error }) => {
      reviewHelp(command, error);
      return '';
    });

  program
    .command('genkey')
    .description('make the two keys of a replica and print the public ones')
    .requiredOption('--name <name>', 'name of the replica in the roster')
    .requiredOption('--dir <folder>', 'folder for the key file')
    .action(async (options: { name: string; dir: string }) => {
      const { genkey } = await import('./commands/genkey.ts');
      await genkey(options.name, options.dir);
    });

  program
    .command('try')
    .description('run a new log of four replicas here until Ctrl-C, to try things or to develop')
    .option('--folder <folder>', 'keep the log there, or go on with the one that is there')
    .option('--ports <list>', 'public ports of all four, then their peer ports', ports)
    .action(async (options: TryOptions) => {
      const { tryLog } = await import('./commands/try.ts');
      await tryLog(options);
    });

  const cluster = program.command('cluster').description('make a whole log for trying things out');
  cluster
    .command('init')
    .description('make folders, keys, configurations and the roster of a new log')
    .requiredOption('--out <folder>', 'a new folder')
    .requiredOption('--origin <name>', 'name of the log, such as log.example.org')
    .option('--n <count>', 'number of replicas', number(1, 64), 4)
    .option('--host <address>', 'address that all replicas listen on', '127.0.0.1')
    .addOption(
      new Option('--base-port <port>', 'replica i listens on this + 2i and the port after it')
        .argParser(number(1, 65_535))
        .conflicts('ports'),
    )
    .option('--ports <list>', 'public ports of all replicas, then their peer ports', ports)
    .action(async (options: ClusterOptions) => {
      const { clusterInit } = await import('./commands/cluster-init.ts');
      await clusterInit(options);
    });

  program
    .command('run')
    .description('run a replica until it is told to stop')
    .requiredOption('--config <file>', 'its configuration')
    .option(
      '--until-stdin-ends',
      'stop as well when standard input is closed, as by a parent’s end',
    )
    .action(async (options: RunOptions) => {
      const { run } = await import('./commands/run.ts');
      await run(options);
    });

  program
    .command('check-config')
    .description('check configuration, keys and rosters, and change nothing')
    .requiredOption('--config <file>', 'the configuration')
    .action(async (options: { config: string }) => {
      const { checkConfig } = await import('./commands/check-config.ts');
      await checkConfig(options.config);
    });

  program.addCommand(rosterCommand());

  program
    .command('fsck')
    .description('check everything that a stopped replica has stored')
    .requiredOption('--config <file>', 'its configuration')
    .option('--repair-from-peers', 'fetch missing and damaged artifacts from other replicas', false)
    .action(async (options: { config: string; repairFromPeers: boolean }) => {
      const { fsck } = await import('./commands/fsck.ts');
      await fsck(options.config, options.repairFromPeers);
    });

  program
    .command('status')
    .description('ask a running replica what it is doing')
    .requiredOption('--url <address>', 'its public address')
    .action(async (options: { url: string }) => {
      const { status } = await import('./commands/status.ts');
      await status(options.url);
    });
  addLogExamples(program);
  // Children that were made elsewhere inherit nothing by themselves.
  for (const each of treeOf(program)) each.exitOverride().showHelpAfterError();
  return program;
}

function treeOf(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(treeOf)];
}

function number(min: number, max: number): (text: string) => number {
  return (text) => {
    try {
      const value = parseUint(text);
      if (value >= min && value <= max) return value;
    } catch {
      // Reported below with the range.
    }
    throw new InvalidArgumentError(`not a number from ${min} to ${max}`);
  };
}

function ports(text: string): readonly number[] {
  return text.split(',').map(number(1, 65_535));
}
