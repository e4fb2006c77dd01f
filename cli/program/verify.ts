// The `verify` command of the tree.
import { Option, type Command } from 'commander';

import { collect } from './flags.ts';
import type { Run } from './run.ts';

interface VerifyFlags {
  readonly lockfile?: string;
  readonly omit: readonly string[];
  readonly only: readonly string[];
  readonly since?: string;
  readonly installed?: boolean;
  readonly bundle?: string;
  readonly saveBundle?: string;
  readonly maxCheckpointAge?: string;
  readonly requireMaintainers?: string;
  readonly allowUnlogged: 'never' | 'baseline';
  readonly jsonSchema?: boolean;
}

/** Adds `verify`. */
export function addVerify(program: Command, run: Run): void {
  program
    .command('verify [subjects...]')
    .description('verify the lockfile, or that of a folder, name@version…, or tarballs')
    .option('--lockfile <file>', 'lockfile to verify (default: the nearest one)')
    .addOption(
      new Option('--omit <kinds>', 'leave out dev, optional or peer dependencies; repeatable')
        .argParser(collect)
        .default([], 'none'),
    )
    .addOption(
      new Option('--only <glob>', 'only packages with names like this; repeatable')
        .argParser(collect)
        .default([], 'all'),
    )
    .addOption(
      new Option('--workspace <name>', 'only what a workspace needs, by name or folder; repeatable')
        .argParser(collect)
        .default([], 'all'),
    )
    .option('--since <commit>', 'only what changed in the lockfile since a commit')
    .option('--installed', 'compare node_modules with the verified tarballs, file by file')
    .option('--bundle <file>', 'use saved evidence instead of asking replicas')
    .option('--save-bundle <file>', 'save the evidence, to verify the same subjects offline')
    .option('--max-checkpoint-age <duration>', 'how old the view of the log may be')
    .option('--require-maintainers <number>', 'signers that every release needs at least')
    .addOption(
      new Option(
        '--allow-unlogged <when>',
        'never: no exception or baseline helps what the log does not prove',
      )
        .choices(['never', 'baseline'])
        .default('baseline', 'as the policy has it'),
    )
    .option('--json-schema', 'print the schema of the JSON report, and do nothing else')
    .action((subjects: string[], options: VerifyFlags) =>
      run('verify', async (invocation) => {
        if (options.jsonSchema === true) {
          const { schemaReport } = await import('../output/schema.ts');
          return schemaReport();
        }
        const { verify } = await import('../commands/verify.ts');
        return await verify(invocation, subjects, options);
      }),
    );
}
