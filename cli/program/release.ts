// `bftpkg release …`: the commands of maintainers who publish together.
import { Option, type Command } from 'commander';

import { collect, keyOption, type SigningFlags } from './flags.ts';
import type { Run } from './run.ts';

// Packing, uploading, npm, and a registry that shows a new version after some seconds.
const PUBLISH_TIMEOUT = '10m';
// Whoever waits does so for people.
const WAIT_TIMEOUT = '30m';

const EXPECT_DIGEST = [
  '--expect-digest <digest>',
  'sign without asking, if it is exactly this tarball (sha512-…) or statement',
] as const;
const NO_POST = [
  '--no-post',
  'hand nothing to the others: keep the signature in the file',
] as const;

/** Adds `release` and everything below it. */
export function addRelease(program: Command, run: Run): void {
  const parent = program.command('release').description('releases of your packages');
  addMaking(parent, run);
  addFollowing(parent, run);
}

interface PrepareFlags {
  readonly out: string;
  readonly key: string[];
  readonly expectDigest?: string;
  readonly post: boolean;
}

interface SignFlags extends SigningFlags {
  readonly from: string[];
  readonly post: boolean;
}

interface PublishFlags {
  readonly key: string[];
  readonly expectDigest?: string;
  readonly wait?: boolean;
  readonly npm: boolean;
  readonly dryRun?: boolean;
  readonly tag?: string;
  readonly access?: string;
  readonly otp?: string;
}

function addMaking(parent: Command, run: Run): void {
  parent
    .command('prepare [targets...]')
    .description(
      'pack folders (or take tarballs) the same way on every machine, and draft the release',
    )
    .option('--out <file>', 'the draft', 'release.json')
    .addOption(keyOption())
    .option(...EXPECT_DIGEST)
    .option(...NO_POST)
    .action((targets: string[], options: PrepareFlags) =>
      run('release prepare', async (invocation) => {
        const { releasePrepare } = await import('../commands/release-prepare.ts');
        return await releasePrepare(invocation, targets, options);
      }),
    );
  parent
    .command('sign [what]')
    .description(
      'rebuild a draft (file, id, name@version) from your checkout, see what it changes, sign it',
    )
    .addOption(keyOption())
    .addOption(
      new Option(
        '--from <folder>',
        'your checkout of the package, also beside --expect-digest; repeatable',
      )
        .argParser(collect)
        .default([], 'this folder'),
    )
    .option(...EXPECT_DIGEST)
    .option('--out <file>', 'write the signed draft to a file')
    .option(...NO_POST)
    .action((what: string | undefined, options: SignFlags) =>
      run('release sign', async (invocation) => {
        const { releaseSign } = await import('../commands/release-sign.ts');
        return await releaseSign(invocation, what, options);
      }),
    );
  parent
    .command('publish [targets...]')
    .description(
      `prepare, sign, submit, and publish the same bytes with npm (--timeout ${PUBLISH_TIMEOUT})`,
    )
    .addOption(keyOption())
    .option(...EXPECT_DIGEST)
    .option('--wait', 'wait for the signatures of the others')
    .option('--no-npm', 'bring it into the log only')
    .option('--tag <tag>', 'dist-tag for npm publish')
    .option('--access <access>', 'access for npm publish')
    .option('--otp <code>', 'one-time password for npm publish')
    .option('--dry-run', 'show what would be signed')
    .action((targets: string[], options: PublishFlags) =>
      run(
        'release publish',
        async (invocation) => {
          const { releasePublish } = await import('../commands/release-publish.ts');
          return await releasePublish(invocation, targets, options);
        },
        PUBLISH_TIMEOUT,
      ),
    );
}

function addFollowing(parent: Command, run: Run): void {
  parent
    .command('status [what]')
    .description(
      'show what waits for signatures, and whose (default: of the package in this folder)',
    )
    .action((what: string | undefined) =>
      run('release status', async (invocation) => {
        const { releaseStatus } = await import('../commands/release-status.ts');
        return await releaseStatus(invocation, what);
      }),
    );
  parent
    .command('collect <what> [files...]')
    .description('put the signatures of the mailboxes, and of other drafts, into one draft')
    .option('--out <file>', 'the draft (default: the one that is named)')
    .action((what: string, files: string[], options: { out?: string }) =>
      run('release collect', async (invocation) => {
        const { releaseCollect } = await import('../commands/release-status.ts');
        return await releaseCollect(invocation, what, files, options);
      }),
    );
  parent
    .command('submit [what]')
    .description('bring a signed release into the log, and verify that it is there')
    .action((what: string | undefined) =>
      run('release submit', async (invocation) => {
        const { releaseSubmit } = await import('../commands/release-submit.ts');
        return await releaseSubmit(invocation, what);
      }),
    );
  parent
    .command('wait [what]')
    .description(`wait until a release is in the log, proven (--timeout ${WAIT_TIMEOUT})`)
    .action((what: string | undefined) =>
      run(
        'release wait',
        async (invocation) => {
          const { releaseWait } = await import('../commands/release-status.ts');
          return await releaseWait(invocation, what);
        },
        WAIT_TIMEOUT,
      ),
    );
  parent
    .command('verify [specs...]')
    .description('check that the npm registry serves the bytes that are in the log')
    .action((specs: string[]) =>
      run('release verify', async (invocation) => {
        const { releaseVerify } = await import('../commands/release-verify.ts');
        return await releaseVerify(invocation, specs);
      }),
    );
}

/** Adds what takes a release out of use. */
export function addWithdraw(program: Command, run: Run): void {
  const commands = [
    ['revoke', 'revoked', 'stop a release for ever, for reasons of security'],
    ['yank', 'yanked', 'keep a release from new installs; can be taken back'],
    ['unyank', 'unyanked', 'take a yank back'],
  ] as const;
  for (const [name, kind, description] of commands) {
    program
      .command(`${name} <name@version>`)
      .description(description)
      .option('--reason <reason>', 'malicious-code, vulnerability, key-compromise, broken, …')
      .option('--text <text>', 'why, for people')
      .addOption(keyOption())
      .option(
        '--expect-digest <digest>',
        'sign without asking, if it is about the release with this tarball (sha512-…)',
      )
      .option('--out <file>', 'write a draft for the others to sign, instead of submitting')
      .action((target: string, options: SigningFlags & { reason?: string; text?: string }) =>
        run(name, async (invocation) => {
          const { withdraw } = await import('../commands/withdraw.ts');
          return await withdraw(invocation, kind, target, options);
        }),
      );
  }
}
