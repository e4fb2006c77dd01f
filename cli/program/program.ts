// The command tree. Only commander is loaded here; each command's code is imported when it is run, so
// that `--help` and `--version` start as fast as Node does.
import { Argument, Command, Option } from 'commander';

import { FORMATS, SHELLS, type Shell } from '../output/formats.ts';
import { addEvidence, addLog, addMonitor } from './auditing.ts';
import { addBundle } from './bundle.ts';
import { collect } from './flags.ts';
import { addHook } from './hook.ts';
import { addInspecting } from './inspecting.ts';
import { addInstall } from './install.ts';
import { addKey } from './key.ts';
import { addPackage } from './package.ts';
import { addInit, addPolicy } from './policy.ts';
import { addProxy } from './proxy.ts';
import { addRelease, addWithdraw } from './release.ts';
import type { Run } from './run.ts';
import { addVerify } from './verify.ts';

/**
 * Builds the program.
 *
 * @param run called by the chosen command, at most once
 */
export function buildProgram(version: string, run: Run): Command {
  const program = new Command('bftpkg')
    .description(
      'Install packages without trusting any single maintainer, registry or log operator',
    )
    // Printed by whoever knows the whole line: see requireVersionAlone.
    .option('-V, --version', 'output the version number')
    .option('-C, --project <dir>', 'folder of the project (default: this one)')
    .option('--config <file>', 'bftpkg.json to use (also BFTPKG_CONFIG)')
    .addOption(new Option('--format <format>', 'report format').choices(FORMATS).default('human'))
    .option('--json', 'same as --format json')
    .addOption(
      new Option('--report <format=file>', 'write a report to a file as well; repeatable')
        .argParser(collect)
        .default([], 'none'),
    )
    .option('--reproducible', 'leave times out of reports: equal outcomes give equal bytes')
    .addOption(
      new Option('--exit-code <style>', 'simple: every refusal exits 1')
        .choices(['full', 'simple'])
        .default('full'),
    )
    .option('--timeout <duration>', 'time for the whole command', '60s')
    .option('-q, --quiet', 'only problems and the last line')
    .option('-v, --verbose', 'list every package; details of internal errors')
    .addOption(
      new Option('--color <when>', 'colour').choices(['auto', 'always', 'never']).default('auto'),
    )
    .option('--no-color', 'same as --color never')
    .option('--ascii', 'no marks or punctuation outside ASCII')
    .addOption(
      new Option('--progress <how>', 'progress on stderr')
        .choices(['auto', 'bar', 'lines', 'none'])
        .default('auto'),
    )
    .option('--no-input', 'never ask anything')
    .option('--passphrase-file <file>', 'file or pipe with the passphrase of your key')
    .option('--offline', 'ask no server (with --bundle)')
    .showSuggestionAfterError(true)
    .helpOption('-h, --help', 'show help')
    .addHelpCommand(
      new Command('help')
        .argument('[command...]')
        .description('show help for a command, with examples')
        .helpOption(false)
        .helpGroup('For users of packages:'),
    );

  program.commandsGroup('For users of packages:');
  addInit(program, version, run);
  addVerify(program, run);
  addInstall(program, run);
  addHook(program, version, run);
  addProxy(program, run);
  program
    .command('explain [code]')
    .description('explain a code of a report, or a topic')
    .option('--list', 'list all codes and topics')
    .action((code: string | undefined, options: { list?: boolean }) =>
      run('explain', async ({ context }) => {
        const [{ explain }, { environmentResult }] = await Promise.all([
          import('../commands/explain.ts'),
          import('../commands/env.ts'),
        ]);
        return explain(code, options.list === true, () => environmentResult(program, context.env));
      }),
    );
  program
    .command('env')
    .description('show the variables that stand for flags, and what they are now')
    .action(() =>
      run('env', async ({ context }) => {
        const { environmentReport } = await import('../commands/env.ts');
        return environmentReport(program, context.env);
      }),
    );
  program
    .command('completion')
    .description('print the completion script for a shell')
    .addArgument(new Argument('<shell>', 'which one').choices(SHELLS))
    .action((shell: Shell) =>
      run('completion', async () => {
        const { completionScript } = await import('../commands/completion.ts');
        return completionScript(shell);
      }),
    );

  addInspecting(program, run);
  addPolicy(program, run);
  addBundle(program, run);

  program.commandsGroup('For maintainers of packages:');
  addKey(program, run);
  addPackage(program, run);
  addRelease(program, run);
  addWithdraw(program, run);

  program.commandsGroup('For auditors of the log:');
  addLog(program, run);
  addEvidence(program, run);
  addMonitor(program, run);
  return program;
}
