// The command tree. Only commander is loaded here; each command's code is imported when it is run, so
// that `--help` and `--version` start as fast as Node does.
import { Argument, Command, Option } from 'commander';

import { FORMATS, SHELLS, type Shell } from './output/formats.ts';
import { addInspecting, addMonitor } from './program-inspecting.ts';
import { collect, keyOption, type SigningFlags } from './program-options.ts';
import { addRelease } from './program-release.ts';
import { addProxy } from './program-proxy.ts';
import { addHook } from './program-hook.ts';
import { addInstall } from './program-install.ts';
import { addKey } from './program-key.ts';
import type { Run } from './program-run.ts';

// An audit of a hundred thousand releases takes minutes; that is no reason to hang for ever.
const AUDIT_TIMEOUT = '30m';

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
    .version(version, '-V, --version')
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
    .helpOption('-h, --help', 'show help');

  program.commandsGroup('For users of packages:');
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
          import('./commands/explain.ts'),
          import('./commands/env.ts'),
        ]);
        return explain(code, options.list === true, () => environmentResult(program, context.env));
      }),
    );
  program
    .command('env')
    .description('show the variables that stand for flags, and what they are now')
    .action(() =>
      run('env', async ({ context }) => {
        const { environmentReport } = await import('./commands/env.ts');
        return environmentReport(program, context.env);
      }),
    );
  program
    .command('completion')
    .description('print the completion script for a shell')
    .addArgument(new Argument('<shell>', 'which one').choices(SHELLS))
    .action((shell: Shell) =>
      run('completion', async () => {
        const { completionScript } = await import('./commands/completion.ts');
        return completionScript(shell);
      }),
    );

  addInspecting(program, run);
  addInit(program, run);
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
  readonly jsonSchema?: boolean;
}

function addVerify(program: Command, run: Run): void {
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
    .option('--json-schema', 'print the schema of the JSON report, and do nothing else')
    .action((subjects: string[], options: VerifyFlags) =>
      run('verify', async (invocation) => {
        if (options.jsonSchema === true) {
          const { schemaReport } = await import('./output/schema.ts');
          return schemaReport();
        }
        const { verify } = await import('./commands/verify.ts');
        return await verify(invocation, subjects, options);
      }),
    );
}

interface InitFlags {
  readonly pin?: string;
  readonly replica: string[];
  readonly template?: string;
  readonly ci?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly force?: boolean;
}

function addInit(program: Command, run: Run): void {
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
        const { init } = await import('./commands/init.ts');
        return await init(invocation, options);
      }),
    );
}

const DRY_RUN = ['--dry-run', 'show what would be written'] as const;

function addPolicy(program: Command, run: Run): void {
  const parent = program.command('policy').description('what this project and you demand');
  parent
    .command('show')
    .description('show what applies here')
    .option('--show-origin', 'say which file each value comes from')
    .action((options: { showOrigin?: boolean }) =>
      run('policy show', async (invocation) => {
        const { policyShow } = await import('./commands/policy.ts');
        return await policyShow(invocation, options);
      }),
    );
  parent
    .command('check')
    .description('read the files, and say which exceptions have run out or soon will')
    .action(() =>
      run('policy check', async (invocation) => {
        const { policyCheck } = await import('./commands/policy.ts');
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
        const { policyTest } = await import('./commands/policy-test.ts');
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
        const { baselineCreate } = await import('./commands/policy-baseline.ts');
        return await baselineCreate(invocation, options);
      }),
    );
  needsCommand(parent, 'prune', 'drop what is not needed any more').action((options: NeedsFlags) =>
    run('policy baseline prune', async (invocation) => {
      const { baselinePrune } = await import('./commands/policy-baseline.ts');
      return await baselinePrune(invocation, options);
    }),
  );
  parent
    .command('list')
    .description('list it')
    .action(() =>
      run('policy baseline list', async (invocation) => {
        const { baselineList } = await import('./commands/policy-baseline.ts');
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
          const { exceptAdd } = await import('./commands/policy-except.ts');
          return await exceptAdd(invocation, target, options);
        }),
    );
  parent
    .command('list')
    .description('list exceptions')
    .action(() =>
      run('policy except list', async (invocation) => {
        const { exceptList } = await import('./commands/policy-except.ts');
        return await exceptList(invocation);
      }),
    );
  needsCommand(parent, 'prune', 'remove what has expired or is not needed any more').action(
    (options: NeedsFlags) =>
      run('policy except prune', async (invocation) => {
        const { exceptPrune } = await import('./commands/policy-except.ts');
        return await exceptPrune(invocation, options);
      }),
  );
}

interface BundleFlags {
  readonly out: string;
  readonly maxCheckpointAge?: string;
}

function addBundle(program: Command, run: Run): void {
  const parent = program.command('bundle').description('evidence as a file, to verify offline');
  const out = ['--out <file>', 'where', 'bftpkg-bundle.json'] as const;
  const age = ['--max-checkpoint-age <duration>', 'how old the view of the log may be'] as const;
  parent
    .command('create [subjects...]')
    .description('verify, and keep the evidence')
    .option(...out)
    .option('--lockfile <file>', 'lockfile to verify (default: the nearest one)')
    .action((subjects: string[], options: BundleFlags & { lockfile?: string }) =>
      run('verify', async (invocation) => {
        const { bundleCreate } = await import('./commands/bundle.ts');
        return await bundleCreate(invocation, subjects, options);
      }),
    );
  parent
    .command('verify <file>')
    .description('verify every release that a bundle shows, without a network')
    .option(...age)
    .action((file: string, options: BundleFlags) =>
      run('verify', async (invocation) => {
        const { bundleVerify } = await import('./commands/bundle.ts');
        return await bundleVerify(invocation, file, options);
      }),
    );
  parent
    .command('inspect <file>')
    .description('show what a bundle claims to be, unverified')
    .action((file: string) =>
      run('bundle inspect', async (invocation) => {
        const { bundleInspect } = await import('./commands/bundle.ts');
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
        const { bundleMerge } = await import('./commands/bundle.ts');
        return await bundleMerge(invocation, files, options);
      }),
    );
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
        const { sign } = await import('./commands/sign.ts');
        return await sign(invocation, 'package sign', file, options);
      }),
    );
}

function addPackage(program: Command, run: Run): void {
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
          const { packageRegister } = await import('./commands/package.ts');
          return await packageRegister(invocation, name, options);
        }),
    );
  addSign(parent, run);
  parent
    .command('submit <file>')
    .description('bring a signed maintainer set into the log')
    .action((file: string) =>
      run('package submit', async (invocation) => {
        const { packageSubmit } = await import('./commands/package.ts');
        return await packageSubmit(invocation, file);
      }),
    );
  addPackageChange(parent, run);
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
        const { packageProposeChange } = await import('./commands/package-change.ts');
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
        const { packageApprove } = await import('./commands/package-change.ts');
        return await packageApprove(invocation, file, options);
      }),
    );
  parent
    .command('history <name>')
    .description('show every maintainer set of a package, and who signed it')
    .action((name: string) =>
      run('package history', async (invocation) => {
        const { packageHistory } = await import('./commands/package-change.ts');
        return await packageHistory(invocation, name);
      }),
    );
}

function addWithdraw(program: Command, run: Run): void {
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
      .option('--out <file>', 'write a draft for the others to sign, instead of submitting')
      .action(
        (
          target: string,
          options: { reason?: string; text?: string; key: string[]; out?: string },
        ) =>
          run(name, async (invocation) => {
            const { withdraw } = await import('./commands/withdraw.ts');
            return await withdraw(invocation, kind, target, options);
          }),
      );
  }
}

interface AccessFlags {
  readonly pin?: string;
  readonly out?: string;
}

function addEvidence(program: Command, run: Run): void {
  const parent = program
    .command('evidence')
    .description('proofs that replicas have misbehaved, which anybody can check');
  const pin = ['--pin <hash>', 'roster to believe (default: the project’s)'] as const;
  parent
    .command('verify <file>')
    .description('check a proof, without asking anybody')
    .option(...pin)
    .action((file: string, options: AccessFlags) =>
      run('evidence verify', async (invocation) => {
        const { evidenceVerify } = await import('./commands/evidence.ts');
        return await evidenceVerify(invocation, file, options);
      }),
    );
  parent
    .command('list [url]')
    .description('fetch and check the proofs that replicas keep')
    .option(...pin)
    .option('--save <folder>', 'write them to files')
    .action((url: string | undefined, options: AccessFlags & { save?: string }) =>
      run('evidence list', async (invocation) => {
        const { evidenceList } = await import('./commands/evidence.ts');
        return await evidenceList(invocation, url, options);
      }),
    );
}

function addLog(program: Command, run: Run): void {
  const parent = program.command('log').description('the log itself, from its files alone');
  const pin = ['--pin <hash>', 'roster to believe (default: the project’s)'] as const;
  parent
    .command('head [url]')
    .description('show the newest checkpoint and who cosigned it')
    .option(...pin)
    .option('--all-replicas', 'ask each of them, and compare')
    .action((url: string | undefined, options: AccessFlags & { allReplicas?: boolean }) =>
      run('log head', async (invocation) => {
        const { logHead } = await import('./commands/log.ts');
        return await logHead(invocation, url, options);
      }),
    );
  parent
    .command('entry <index> [url]')
    .description('show an entry, proven to be in the log')
    .option(...pin)
    .option('--out <file>', 'write its bytes to a file')
    .action((index: string, url: string | undefined, options: AccessFlags) =>
      run('log entry', async (invocation) => {
        const { logEntry } = await import('./commands/log.ts');
        return await logEntry(invocation, index, url, options);
      }),
    );
  parent
    .command('proof <entry>')
    .description('write the proof of an entry (index, or name@version) for other tools')
    .option(...pin)
    .option('--out <file>', 'where (default: <index>.tlog-proof)')
    .option('--with-entry', 'put the entry itself into the proof, as extra data')
    .action((target: string, options: AccessFlags & { withEntry?: boolean }) =>
      run('log proof', async (invocation) => {
        const { logProof } = await import('./commands/log.ts');
        return await logProof(invocation, target, options);
      }),
    );
  parent
    .command('fsck [url]')
    .description(`check every entry and every transition of the log (--timeout ${AUDIT_TIMEOUT})`)
    .option(...pin)
    .option('--save <file>', 'keep the state, for the next check')
    .option('--from <file>', 'go on from a kept state')
    .action((url: string | undefined, options: AccessFlags & { save?: string; from?: string }) =>
      run(
        'log fsck',
        async (invocation) => {
          const { logFsck } = await import('./commands/log-fsck.ts');
          return await logFsck(invocation, url, options);
        },
        AUDIT_TIMEOUT,
      ),
    );
}
