// The commands with which a project says what it trusts and demands: `init` and `policy`.
import { Option, type Command } from 'commander';

import { collect } from './flags.ts';
import type { Run } from './run.ts';

interface InitFlags {
  readonly pin?: string;
  readonly replica: string[];
  readonly template?: string;
  readonly ci?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly force?: boolean;
}

/** Adds `init`. */
export function addInit(program: Command, version: string, run: Run): void {
  program
    .command('init')
    .description('set a project up: bftpkg.json, and a baseline where one is needed')
    .option('--pin <hash>', 'hash of the roster to believe, as the operators publish it')
    .addOption(
      new Option('--replica <url>', 'address of a replica; one is enough, repeatable')
        .argParser(collect)
        .default([], 'yours'),
    )
    .addOption(
      new Option('--template <name>', 'baseline: allow what is there today').choices([
        'strict',
        'baseline',
      ]),
    )
    .addOption(
      new Option('--ci <host>', 'write a workflow as well').choices(['github', 'gitlab', 'none']),
    )
    .option('--dry-run', 'show what would be written')
    .option('-y, --yes', 'write without asking')
    .option('--force', 'replace a bftpkg.json that is there')
    .action((options: InitFlags) =>
      run('init', async (invocation) => {
        const { init } = await import('../commands/init.ts');
        return await init(invocation, options, version);
      }),
    );
}

const DRY_RUN = ['--dry-run', 'show what would be written'] as const;

/** Adds `policy` and everything below it. */
export function addPolicy(program: Command, run: Run): void {
  const parent = program.command('policy').description('what this project and you demand');
  parent
    .command('show')
    .description('show what applies here')
    .option('--show-origin', 'say which file each value comes from')
    .action((options: { showOrigin?: boolean }) =>
      run('policy show', async (invocation) => {
        const { policyShow } = await import('../commands/policy.ts');
        return await policyShow(invocation, options);
      }),
    );
  parent
    .command('check')
    .description('read the files, and say which exceptions have run out or soon will')
    .action(() =>
      run('policy check', async (invocation) => {
        const { policyCheck } = await import('../commands/policy.ts');
        return await policyCheck(invocation);
      }),
    );
  parent
    .command('test <file>')
    .description(
      'judge made-up releases by what applies here, and compare with what the file expects',
    )
    .action((file: string) =>
      run('policy test', async (invocation) => {
        const { policyTest } = await import('../commands/policy-test.ts');
        return await policyTest(invocation, file);
      }),
    );
  addBaseline(parent, run);
  addExcept(parent, run);
}

interface NeedsFlags {
  readonly lockfile?: string;
  readonly bundle?: string;
  readonly dryRun?: boolean;
}

// The commands that look at the lockfile to see what it needs.
function needsCommand(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .option('--lockfile <file>', 'lockfile (default: the nearest one)')
    .option('--bundle <file>', 'use saved evidence instead of asking replicas')
    .option(...DRY_RUN);
}

function addBaseline(policy: Command, run: Run): void {
  const parent = policy
    .command('baseline')
    .description('what was there when the project adopted bftpkg');
  needsCommand(parent, 'create', 'allow what the lockfile has today, and nothing new')
    .option('--force', 'replace the one that is there')
    .action((options: NeedsFlags & { force?: boolean }) =>
      run('policy baseline create', async (invocation) => {
        const { baselineCreate } = await import('../commands/policy-baseline.ts');
        return await baselineCreate(invocation, options);
      }),
    );
  needsCommand(parent, 'prune', 'drop what is not needed any more').action((options: NeedsFlags) =>
    run('policy baseline prune', async (invocation) => {
      const { baselinePrune } = await import('../commands/policy-baseline.ts');
      return await baselinePrune(invocation, options);
    }),
  );
  parent
    .command('list')
    .description('list it')
    .action(() =>
      run('policy baseline list', async (invocation) => {
        const { baselineList } = await import('../commands/policy-baseline.ts');
        return await baselineList(invocation);
      }),
    );
}

function addExcept(policy: Command, run: Run): void {
  const parent = policy.command('except').description('exceptions with a reason and a last day');
  parent
    .command('add <package>')
    .description('allow a package (name, @scope/*, or name@version) until a day')
    .requiredOption('--code <code>', 'what it is refused for, like BP5003')
    .requiredOption('--reason <text>', 'why, for whoever reads it later')
    .requiredOption('--expires <day>', 'last day, as 2027-01-31, or in 30d')
    .option(...DRY_RUN)
    .action(
      (
        target: string,
        options: { code: string; reason: string; expires: string; dryRun?: boolean },
      ) =>
        run('policy except add', async (invocation) => {
          const { exceptAdd } = await import('../commands/policy-except.ts');
          return await exceptAdd(invocation, target, options);
        }),
    );
  parent
    .command('list')
    .description('list exceptions')
    .action(() =>
      run('policy except list', async (invocation) => {
        const { exceptList } = await import('../commands/policy-except.ts');
        return await exceptList(invocation);
      }),
    );
  needsCommand(parent, 'prune', 'remove what has expired or is not needed any more').action(
    (options: NeedsFlags) =>
      run('policy except prune', async (invocation) => {
        const { exceptPrune } = await import('../commands/policy-except.ts');
        return await exceptPrune(invocation, options);
      }),
  );
}
