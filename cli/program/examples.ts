// What stands below the options in `bftpkg help <command>`: lines to type, each with what it is for. A test
// parses every line with the program itself, and asks for one of every command.
import type { Command } from 'commander';

/** A line to type, without the program's name, and what it does. */
export type Example = readonly [line: string, what: string];

const HASH = '6f1ed002ab5595859014ebf0951522d9c8f2d3a1a5d3f0b1c4e9b7a2d1c0f3e4';

/** By command. */
export const EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  verify: [
    ['verify', 'every package of the nearest lockfile'],
    ['verify tar@7.5.23', 'one release'],
    ['verify ./tar-7.5.23.tgz', 'a tarball: these very bytes'],
    ['verify --installed', 'and what lies in node_modules, file by file'],
    ['verify --since main --omit dev', 'what a branch changed, without what is for development'],
    ['verify --report sarif=bftpkg.sarif --report junit=bftpkg.xml', 'for a build server'],
    ['verify --offline --bundle evidence.json', 'without any network'],
    ['verify --allow-unlogged never', 'as it would be without exceptions and baseline'],
  ],
  install: [
    ['install tar', 'choose, verify, fetch, check, and only then install'],
    ['install tar@7.5.23 --into tools/tar', 'one package, unpacked, without a package manager'],
    ['install --with pnpm left-pad', 'with another package manager, through the verifying proxy'],
  ],
  update: [['update tar', 'the newest verified version that package.json admits']],
  ci: [
    ['ci', 'what the lockfile says, verified before a byte is unpacked'],
    ['ci --scripts --isolate', 'with install scripts, which get no network'],
  ],
  'hook install': [['hook install --dry-run', 'which files it would change']],
  'hook check': [['hook check', 'is it in place, unchanged, and finds bftpkg']],
  'hook remove': [['hook remove', 'take it out again']],
  proxy: [
    ['proxy -- pnpm add tar', 'any command of any package manager'],
    ['proxy --print-env --port 4873', 'serve until stopped, for editors and other tools'],
  ],
  explain: [
    ['explain BP1001', 'a code of a report: what happened, and what to do'],
    ['explain exit-codes', 'the table of exit codes'],
    ['explain --list', 'everything that is explained'],
  ],
  env: [['env', 'each flag as a variable, and what it is now']],
  completion: [['completion bash', 'in ~/.bashrc: source <(bftpkg completion bash)']],
  inspect: [
    ['inspect tar@7.5.23', 'who signed it, when, and what the log says'],
    ['inspect tar@7.5.23 --proof', 'and what that rests on'],
  ],
  why: [['why yallist@5.0.0', 'every way in which it comes in']],
  diff: [['diff tar@7.5.22 tar@7.5.23', 'maintainers, files, sizes, scripts']],
  doctor: [['doctor', 'is this machine, this project, this log well']],
  'trust show': [['trust show', 'the log as this machine has accepted it']],
  'trust update': [['trust update', 'look whether the log goes on as it should']],
  'trust history': [['trust history', 'every roster since the pin']],
  'trust pin': [[`trust pin ${HASH}`, 'another log, or a newer roster of it']],
  'cache info': [['cache info', 'how much is kept']],
  'cache verify': [['cache verify', 'is it still what it was']],
  'cache prune': [['cache prune --older 30d', 'let go of what was not used for a month']],
  'cache clear': [['cache clear', 'let go of all of it']],
  init: [
    [`init --pin ${HASH} --replica https://r0.example`, 'write bftpkg.json, after asking'],
    ['init --template baseline --ci github --dry-run', 'show what an old project would get'],
  ],
  'policy show': [['policy show --show-origin', 'every rule, and where it comes from']],
  'policy check': [['policy check', 'are the files right']],
  'policy test': [['policy test policy.test.json', 'try the rules on made-up releases']],
  'policy baseline create': [['policy baseline create --dry-run', 'what it would allow']],
  'policy baseline prune': [['policy baseline prune', 'take out what is not needed any more']],
  'policy baseline list': [['policy baseline list', 'what is allowed without proof']],
  'policy except add': [
    [
      'policy except add left-pad@1.3.0 --code BP5003 --reason "not logged yet" --expires 30d',
      'allow one refusal, for a month',
    ],
  ],
  'policy except list': [['policy except list', 'exceptions, and when they end']],
  'policy except prune': [['policy except prune', 'take out what has expired or is not needed']],
  'bundle create': [['bundle create -o evidence.json', 'everything that proves this lockfile']],
  'bundle verify': [['bundle verify evidence.json --max-checkpoint-age 30d', 'check it, offline']],
  'bundle inspect': [['bundle inspect evidence.json', 'what it is about']],
  'bundle merge': [['bundle merge web.json api.json -o all.json', 'two of one log as one']],
  'key generate': [['key generate alice', 'a key file, encrypted with a passphrase']],
  'key show': [['key show alice', 'its public half']],
  'key list': [['key list --agent', 'your key files, and the keys of your ssh-agent']],
  'key export': [
    ['key export alice', 'what others put after --maintainer'],
    ['key export alice --out alice.age', 'for another machine of yours'],
  ],
  'key import': [
    ['key import alice.age', 'on the other machine'],
    ['key import --agent alice@laptop --name alice', 'a name for a key of your ssh-agent'],
  ],
  'key passwd': [['key passwd alice', 'another passphrase']],
  'key rotate': [
    ['key rotate alice --package my-lib', 'a new key, and a draft that puts it in place'],
  ],
  'key backup': [['key backup alice --shares 5 --threshold 3', 'five files for five people']],
  'key recover': [
    [
      'key recover alice.share-1-of-5.json alice.share-2-of-5.json alice.share-4-of-5.json',
      'any three of them, or more',
    ],
  ],
  'package register': [
    [
      `package register my-lib --faulty 1 --maintainer alice=${HASH} --maintainer bob=${HASH} --maintainer carol=${HASH}`,
      'two of three have to sign every release',
    ],
  ],
  'package sign': [['package sign set.json --key alice', 'each maintainer, once']],
  'package submit': [['package submit set.json', 'when all have signed']],
  'package propose-change': [
    [`package propose-change my-lib --add dan=${HASH} --remove bob --out set.json`, 'a draft'],
  ],
  'package approve': [['package approve set.json --key alice', 'shows what would change first']],
  'package history': [['package history my-lib', 'every set there ever was, and who signed it']],
  'release prepare': [
    ['release prepare --key alice', 'pack, sign, and hand it to the others'],
    [
      'release prepare packages/a packages/b --out release.json',
      'two packages under one statement',
    ],
  ],
  'release sign': [['release sign --key bob', 'rebuild it here, show what changes, sign']],
  'release publish': [
    ['release publish --key alice --wait', 'all of it, npm included'],
    ['release publish --key alice --dry-run', 'what it would do'],
  ],
  'release status': [['release status my-lib', 'who has signed, and who has not']],
  'release collect': [['release collect release.json bob.json', 'signatures that came as files']],
  'release submit': [['release submit release.json', 'bring it into the log']],
  'release wait': [['release wait my-lib@1.0.0', 'until the log has it']],
  'release verify': [['release verify my-lib@1.0.0', 'does the registry serve these bytes']],
  revoke: [
    [
      'revoke my-lib@1.0.0 --reason malicious-code --text "a token stealer" --out revoke.json',
      'a hard stop, for ever',
    ],
  ],
  yank: [['yank my-lib@1.0.0 --reason broken --key alice --key bob', 'not for new installs']],
  unyank: [['unyank my-lib@1.0.0 --reason other --key alice --key bob', 'take that back']],
  'log head': [['log head --all-replicas', 'who is behind; a fork is kept as evidence']],
  'log entry': [['log entry 4711', 'an entry, proven']],
  'log proof': [['log proof my-lib@1.0.0 --out my-lib.tlog-proof', 'for other tools (C2SP)']],
  'log fsck': [
    [
      `log fsck https://r0.example --pin ${HASH} --save audit.json`,
      'the whole log, from its files',
    ],
    ['log fsck --from audit.json', 'what is new since'],
  ],
  'evidence verify': [[`evidence verify fork.json --pin ${HASH}`, 'what a file proves, offline']],
  'evidence list': [['evidence list --save .', 'the proofs that replicas keep, each checked']],
  'evidence submit': [['evidence submit fork.json', 'hand a fork to every replica, to be kept']],
  'monitor run': [
    ['monitor run --config monitor.json', 'follow the log, watch packages and keys'],
    ['monitor run --once --metrics bftpkg.prom', 'one round, for cron and Prometheus'],
  ],
  'monitor check-config': [['monitor check-config --config monitor.json', 'is the file right']],
};

/** Puts the examples of each command below its help. */
export function addExamples(program: Command): void {
  const walk = (command: Command, path: string): void => {
    for (const each of command.commands) {
      const name = path === '' ? each.name() : `${path} ${each.name()}`;
      const examples = EXAMPLES[name];
      if (examples !== undefined) each.addHelpText('after', examplesText(examples));
      walk(each, name);
    }
  };
  walk(program, '');
  program.addHelpText(
    'after',
    '\nbftpkg help <command> has examples; bftpkg explain --list has codes and topics.',
  );
}

function examplesText(examples: readonly Example[]): string {
  const lines = examples.flatMap(([line, what]) => [`  bftpkg ${line}`, `      ${what}`]);
  return ['', examples.length === 1 ? 'Example:' : 'Examples:', ...lines].join('\n');
}
