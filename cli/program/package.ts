// The `package` commands of the tree: who maintains what.
import { Option, type Command } from 'commander';

import { collect, keyOption, type SigningFlags } from './flags.ts';
import type { Run } from './run.ts';

/** Adds `package` and everything below it. */
export function addPackage(program: Command, run: Run): void {
  const parent = program.command('package').description('packages and their maintainers');
  parent
    .command('register <name>')
    .description('claim a name, with the keys that will sign its releases')
    .addOption(
      new Option(
        '--maintainer <name=key>',
        'a maintainer and their public key, or the name of a key of yours; repeatable',
      )
        .argParser(collect)
        .default([], 'the --key ones'),
    )
    .option('--faulty <number>', 'f: how many may be bad; a release needs f+1 signatures')
    .addOption(keyOption())
    .option('--out <file>', 'write a draft for the others to sign, instead of submitting')
    .action(
      (
        name: string,
        options: { maintainer: string[]; faulty?: string; key: string[]; out?: string },
      ) =>
        run('package register', async (invocation) => {
          const { packageRegister } = await import('../commands/package.ts');
          return await packageRegister(invocation, name, options);
        }),
    );
  addSign(parent, run);
  parent
    .command('submit <file>')
    .description('bring a signed maintainer set into the log')
    .action((file: string) =>
      run('package submit', async (invocation) => {
        const { packageSubmit } = await import('../commands/package.ts');
        return await packageSubmit(invocation, file);
      }),
    );
  addPackageChange(parent, run);
}

function addSign(parent: Command, run: Run): void {
  parent
    .command('sign <file>')
    .description('show what the draft states, and sign it')
    .addOption(keyOption())
    .option('--expect-digest <digest>', 'sign without asking, if it is exactly this')
    .option('--out <file>', 'write the signed draft elsewhere')
    .action((file: string, options: SigningFlags) =>
      run('package sign', async (invocation) => {
        const { sign } = await import('../commands/sign.ts');
        return await sign(invocation, 'package sign', file, options);
      }),
    );
}

interface ChangeFlags {
  readonly add: string[];
  readonly remove: string[];
  readonly faulty?: string;
  readonly key: string[];
  readonly out: string;
}

function addPackageChange(parent: Command, run: Run): void {
  const repeatable = (flags: string, description: string): Option =>
    new Option(flags, description).argParser(collect).default([], 'none');
  parent
    .command('propose-change <name>')
    .description('write a draft of the next maintainer set')
    .addOption(repeatable('--add <name=key>', 'a new maintainer, or a key of yours; repeatable'))
    .addOption(repeatable('--remove <name>', 'a maintainer to remove; repeatable'))
    .option('--faulty <number>', 'f: how many may be bad (default: as now)')
    .addOption(keyOption())
    .option('--out <file>', 'the draft', 'set.json')
    .action((name: string, options: ChangeFlags) =>
      run('package propose-change', async (invocation) => {
        const { packageProposeChange } = await import('../commands/package-change.ts');
        return await packageProposeChange(invocation, name, options);
      }),
    );
  parent
    .command('approve <file>')
    .description('show what a drafted change would change, and sign it')
    .addOption(keyOption())
    .option('--expect-digest <digest>', 'sign without asking, if it is exactly this')
    .option('--out <file>', 'write the signed draft elsewhere')
    .action((file: string, options: SigningFlags) =>
      run('package approve', async (invocation) => {
        const { packageApprove } = await import('../commands/package-change.ts');
        return await packageApprove(invocation, file, options);
      }),
    );
  parent
    .command('history <name>')
    .description('show every maintainer set of a package, and who signed it')
    .action((name: string) =>
      run('package history', async (invocation) => {
        const { packageHistory } = await import('../commands/package-change.ts');
        return await packageHistory(invocation, name);
      }),
    );
}
