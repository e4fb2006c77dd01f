// The `key` commands of the tree.
import { Option, type Command } from 'commander';

import type { Run } from './run.ts';

// A person who looks for a passphrase, or a key in hardware that waits for a touch.
const PATIENCE = '10m';
const NO_PASSPHRASE = ['--no-passphrase', 'store it in plain text, for your eyes only'] as const;

/** `bftpkg key …`. */
export function addKey(program: Command, run: Run): void {
  const parent = program
    .command('key')
    .description('signing keys: encrypted files, or keys that your ssh-agent holds');
  parent
    .command('generate <name>')
    .description('make a key')
    .option('--out <file>', 'where (default: your key folder)')
    .option(...NO_PASSPHRASE)
    .action((name: string, options: { out?: string; passphrase: boolean }) =>
      run(
        'key generate',
        async (invocation) => {
          const { keyGenerate } = await import('../commands/key.ts');
          return await keyGenerate(invocation, name, options);
        },
        PATIENCE,
      ),
    );
  parent
    .command('show <key>')
    .description('show the public half of a key')
    .action((what: string) =>
      run('key show', async (invocation) => {
        const { keyShow } = await import('../commands/key.ts');
        return await keyShow(invocation, what);
      }),
    );
  parent
    .command('list')
    .description('list your keys')
    .option('--agent', 'those that your ssh-agent holds')
    .action((options: { agent?: boolean }) =>
      run('key list', async (invocation) => {
        const { keyList } = await import('../commands/key.ts');
        return await keyList(invocation, options);
      }),
    );
  addTransfer(parent, run);
  addChange(parent, run);
  addRotate(parent, run);
  addBackup(parent, run);
}

function addTransfer(parent: Command, run: Run): void {
  parent
    .command('export <key>')
    .description('print the public half, or write an encrypted copy for another machine')
    .option('--out <file>', 'write the key, encrypted (age with a passphrase), to this new file')
    .action((what: string, options: { out?: string }) =>
      run(
        'key export',
        async (invocation) => {
          const { keyExport } = await import('../commands/key-transfer.ts');
          return await keyExport(invocation, what, options);
        },
        PATIENCE,
      ),
    );
  parent
    .command('import [file]')
    .description('take a key file of another machine, or name a key of your ssh-agent')
    .option('--agent <which>', 'a fingerprint as of ssh-add -l, or a comment; instead of a file')
    .option('--name <name>', 'another name for it')
    .option(...NO_PASSPHRASE)
    .action(
      (file: string | undefined, options: { agent?: string; name?: string; passphrase: boolean }) =>
        run(
          'key import',
          async (invocation) => {
            const { keyImport } = await import('../commands/key-transfer.ts');
            return await keyImport(invocation, file, options);
          },
          PATIENCE,
        ),
    );
}

function addChange(parent: Command, run: Run): void {
  parent
    .command('passwd <key>')
    .description('give a key a passphrase, or another one')
    .option('--new-passphrase-file <file>', 'file or pipe with the new one')
    .action((what: string, options: { newPassphraseFile?: string }) =>
      run(
        'key passwd',
        async (invocation) => {
          const { keyPasswd } = await import('../commands/key.ts');
          return await keyPasswd(invocation, what, options);
        },
        PATIENCE,
      ),
    );
}

interface RotateFlags {
  readonly package: string[];
  readonly to?: string;
  readonly name?: string;
  readonly out: string;
  readonly passphrase: boolean;
}

function addRotate(parent: Command, run: Run): void {
  parent
    .command('rotate <key>')
    .description('make a new key, and propose it in the place of the old one')
    .addOption(
      new Option('--package <name>', 'a package that the key is a maintainer of; repeatable')
        .argParser((value: string, before: readonly string[]) => [...before, value])
        .default([], 'none'),
    )
    .option('--to <key>', 'a key that is there already, or agent:<which>, instead of a new one')
    .option('--name <name>', 'name of the new key (default: the old one with a number)')
    .option('--out <folder>', 'where the drafts go', '.')
    .option(...NO_PASSPHRASE)
    .action((what: string, options: RotateFlags) =>
      run(
        'key rotate',
        async (invocation) => {
          const { keyRotate } = await import('../commands/key-rotate.ts');
          return await keyRotate(invocation, what, options);
        },
        PATIENCE,
      ),
    );
}

interface RecoverFlags {
  readonly name?: string;
  readonly out?: string;
  readonly backup?: string;
  readonly expectKey?: string;
  readonly passphrase: boolean;
}

function addBackup(parent: Command, run: Run): void {
  parent
    .command('backup <key>')
    .description('split a key into shares for several people')
    .requiredOption('--shares <n>', 'how many shares')
    .requiredOption('--threshold <t>', 'how many make the key')
    .option('--faulty <f>', 'how many holders may be bad (default: as many as n and t allow)')
    .option('--out <folder>', 'a new folder for the shares')
    .action(
      (
        what: string,
        options: { shares: string; threshold: string; faulty?: string; out?: string },
      ) =>
        run(
          'key backup',
          async (invocation) => {
            const { keyBackup } = await import('../commands/key-backup.ts');
            return await keyBackup(invocation, what, options);
          },
          PATIENCE,
        ),
    );
  parent
    .command('recover <files...>')
    .description('make a key from its shares, and name those that are wrong')
    .option('--name <name>', 'another name for it')
    .option('--out <file>', 'where (default: your key folder)')
    .option('--backup <id>', 'which backup, if they are of several')
    .option('--expect-key <hex>', 'the public key that must come out')
    .option(...NO_PASSPHRASE)
    .action((files: string[], options: RecoverFlags) =>
      run(
        'key recover',
        async (invocation) => {
          const { keyRecover } = await import('../commands/key-backup.ts');
          return await keyRecover(invocation, files, options);
        },
        PATIENCE,
      ),
    );
}
