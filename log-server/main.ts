#!/usr/bin/env node
// `bftpkg-log`: runs a replica of the log, and makes the files that one needs. Commands are loaded only
// when they are used.
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';

import { parseUint } from '../verifier/encoding.ts';
import { rosterCommand } from './commands/roster.ts';
import { ConfigError } from './config.ts';
import { EXIT } from './exit-codes.ts';
import { describeError } from './log.ts';

/** System errors about files and ports that a person has to see to. */
const SETUP_TROUBLES: ReadonlySet<string> = new Set([
  'EEXIST',
  'ENOENT',
  'EACCES',
  'EADDRINUSE',
  'EADDRNOTAVAIL',
]);

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

const program = new Command('bftpkg-log')
  .description('run a replica of a bftpkg transparency log')
  .exitOverride()
  .showHelpAfterError();

program
  .command('genkey')
  .description('make the two keys of a replica and print the public ones')
  .requiredOption('--name <name>', 'name of the replica in the roster')
  .requiredOption('--dir <folder>', 'folder for the key file')
  .action(async (options: { name: string; dir: string }) => {
    const { genkey } = await import('./commands/genkey.ts');
    await genkey(options.name, options.dir);
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

interface ClusterOptions {
  readonly out: string;
  readonly origin: string;
  readonly n: number;
  readonly host: string;
  readonly basePort?: number;
  readonly ports?: readonly number[];
}

program
  .command('run')
  .description('run a replica until it is told to stop')
  .requiredOption('--config <file>', 'its configuration')
  .action(async (options: { config: string }) => {
    const { run } = await import('./commands/run.ts');
    await run(options.config);
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

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Says what went wrong on stderr. @returns the exit code */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof ConfigError) {
    process.stderr.write(`bftpkg-log: error: ${error.message}\n`);
    return EXIT.usage;
  }
  // By name: the module that knows these classes loads the database, which most commands don't need.
  const name = error instanceof Error ? error.name : '';
  if (name === 'DatabaseError' || name === 'DamagedStoreError') {
    process.stderr.write(`bftpkg-log: error: ${describeError(error)}\n`);
    return name === 'DatabaseError' ? EXIT.usage : EXIT.damaged;
  }
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (isMissingDatabase(error, code)) {
    process.stderr.write(`bftpkg-log: error: better-sqlite3 is not installed or was not built\n`);
    process.stderr.write(`bftpkg-log: hint: a replica needs it: npm rebuild better-sqlite3\n`);
    return EXIT.usage;
  }
  const isSetupTrouble = typeof code === 'string' && SETUP_TROUBLES.has(code);
  const detail = error instanceof Error && !isSetupTrouble ? error.stack : undefined;
  process.stderr.write(`bftpkg-log: error: ${detail ?? describeError(error)}\n`);
  return isSetupTrouble ? EXIT.usage : EXIT.internal;
}

// It is an optional dependency with an install script: clients do without it, and many people turn
// install scripts off.
function isMissingDatabase(error: unknown, code: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (code === 'ERR_MODULE_NOT_FOUND') return error.message.includes("'better-sqlite3'");
  return error.message.startsWith('Could not locate the bindings file');
}
