// The part of the command tree that installs.
import { Command, Option } from 'commander';

import type { InstallOptions } from '../commands/install-verified.ts';
import { requireTriedPlatform } from '../npm/platforms.ts';
import type { Run } from './run.ts';

// A thousand packages take seconds, their install scripts may compile for minutes.
const INSTALL_TIMEOUT = '15m';

interface InstallFlags extends InstallOptions {
  readonly into?: string;
  readonly with?: 'pnpm' | 'yarn' | 'bun';
}

/** Adds `install` and `ci`. */
export function addInstall(program: Command, run: Run): void {
  withScripts(
    program
      .command('install [packages...]')
      .alias('add')
      .description('verify, then install: the lockfile, or name[@range]… added to it')
      .option('--into <folder>', 'only unpack one package there, without any package manager')
      .addOption(
        new Option('--with <manager>', 'instead of npm, through the verifying proxy').choices([
          'pnpm',
          'yarn',
          'bun',
        ]),
      ),
  ).action((packages: string[], options: InstallFlags) =>
    run(
      'install',
      async (invocation) => {
        if (options.into !== undefined) {
          const { installInto } = await import('../commands/install-into.ts');
          return await installInto(invocation, packages, options.into);
        }
        requireTriedPlatform('bftpkg install');
        if (options.with !== undefined) {
          const { installWith } = await import('../commands/install-with.ts');
          return await installWith(invocation, options.with, packages, options);
        }
        const { installLocked, isLocked, recoverProject } = await import('../commands/install.ts');
        await recoverProject(invocation, invocation.globals.project);
        if (packages.length === 0 && (await isLocked(invocation.globals.project))) {
          return await installLocked(invocation, 'install', options);
        }
        const { installNamed } = await import('../commands/install-named.ts');
        return await installNamed(invocation, packages, options);
      },
      INSTALL_TIMEOUT,
    ),
  );
  withScripts(
    program
      .command('update [packages...]')
      .description('move to the newest verified versions that package.json admits, then install'),
  ).action((packages: string[], options: InstallOptions) =>
    run(
      'update',
      async (invocation) => {
        requireTriedPlatform('bftpkg update');
        const { recoverProject } = await import('../commands/install.ts');
        await recoverProject(invocation, invocation.globals.project);
        const { updateNamed } = await import('../commands/install-named.ts');
        return await updateNamed(invocation, packages, options);
      },
      INSTALL_TIMEOUT,
    ),
  );
  withScripts(
    program.command('ci').description('verify the lockfile, then install exactly that'),
  ).action((options: InstallOptions) =>
    run(
      'ci',
      async (invocation) => {
        requireTriedPlatform('bftpkg ci');
        const { installLocked, recoverProject } = await import('../commands/install.ts');
        await recoverProject(invocation, invocation.globals.project);
        return await installLocked(invocation, 'ci', options);
      },
      INSTALL_TIMEOUT,
    ),
  );
}

function withScripts(command: Command): Command {
  return command
    .option(
      '--scripts',
      'run the install scripts of all packages afterwards, not only those allowed',
    )
    .option('--no-scripts', 'run none, whatever allowScripts in bftpkg.json says')
    .option('--isolate', 'no network for npm and install scripts (Linux namespaces)');
}
