// The `bundle` commands of the tree.
import type { Command } from 'commander';

import type { Run } from './run.ts';

interface BundleFlags {
  readonly out: string;
  readonly maxCheckpointAge?: string;
}

/** Adds `bundle` and everything below it. */
export function addBundle(program: Command, run: Run): void {
  const parent = program.command('bundle').description('evidence as a file, to verify offline');
  const out = ['-o, --out <file>', 'where', 'bftpkg-bundle.json'] as const;
  const age = ['--max-checkpoint-age <duration>', 'how old the view of the log may be'] as const;
  parent
    .command('create [subjects...]')
    .description('verify, and keep the evidence')
    .option(...out)
    .option('--lockfile <file>', 'lockfile to verify (default: the nearest one)')
    .action((subjects: string[], options: BundleFlags & { lockfile?: string }) =>
      run('verify', async (invocation) => {
        const { bundleCreate } = await import('../commands/bundle.ts');
        return await bundleCreate(invocation, subjects, options);
      }),
    );
  parent
    .command('verify <file>')
    .description('verify every release that a bundle shows, without a network')
    .option(...age)
    .action((file: string, options: BundleFlags) =>
      run('verify', async (invocation) => {
        const { bundleVerify } = await import('../commands/bundle.ts');
        return await bundleVerify(invocation, file, options);
      }),
    );
  parent
    .command('inspect <file>')
    .description('show what a bundle claims to be, unverified')
    .action((file: string) =>
      run('bundle inspect', async (invocation) => {
        const { bundleInspect } = await import('../commands/bundle.ts');
        return await bundleInspect(invocation, file);
      }),
    );
  parent
    .command('merge <files...>')
    .description('make one of several bundles of one checkpoint')
    .option(...out)
    .option(...age)
    .action((files: string[], options: BundleFlags) =>
      run('bundle merge', async (invocation) => {
        const { bundleMerge } = await import('../commands/bundle.ts');
        return await bundleMerge(invocation, files, options);
      }),
    );
}
