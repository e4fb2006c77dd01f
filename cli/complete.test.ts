import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import * as fc from 'fast-check';

import { projectRoot } from '../fixtures/tree.ts';
import { completionScript } from './commands/completion.ts';
import { complete, formatCompletion, type CompletionSources } from './complete.ts';
import { SHELLS, type Shell } from './output/formats.ts';
import { buildProgram } from './program/program.ts';

const program = buildProgram('1.2.3', () => undefined);
const sources: CompletionSources = {
  keyNames: async () => Promise.resolve(['alice', 'al ice', '$(reboot)', '-rf']),
  packages: async () =>
    Promise.resolve([
      'left-pad@1.3.0',
      '@acme/beta@2.0.0',
      'x;reboot@1.0.0',
      '`id`@1.0.0',
      "a'b@1.0.0",
    ]),
  explainable: async () => Promise.resolve(['BP1001', 'BP1002', 'freeze']),
};

describe('complete', () => {
  type Case = readonly [string, readonly string[], readonly string[], boolean];
  const cases: readonly Case[] = [
    ['a command', ['ver'], ['verify'], false],
    ['a command below a command', ['key', 'gen'], ['generate'], false],
    ['a code', ['explain', 'BP'], ['BP1001', 'BP1002'], false],
    ['a topic', ['explain', 'fr'], ['freeze'], false],
    ['a flag of the command', ['verify', '--save'], ['--save-bundle'], false],
    ['a flag of every command', ['verify', '--asc'], ['--ascii'], false],
    ['a choice', ['--format', 'j'], ['json', 'junit'], false],
    ['a choice after an equals sign', ['--format=j'], ['--format=json', '--format=junit'], false],
    ['nothing of another flag’s value', ['--timeout', 'v'], [], false],
    ['a command after a flag and its value', ['--timeout', '5s', 'ver'], ['verify'], false],
    ['a package of the lockfile', ['verify', 'left'], ['left-pad@1.3.0'], true],
    ['a scoped package', ['verify', '@'], ['@acme/beta@2.0.0'], true],
    [
      'no name that a shell would act on',
      ['verify', ''],
      ['left-pad@1.3.0', '@acme/beta@2.0.0'],
      true,
    ],
    ['a key, and no flag in its place', ['release', 'sign', '--key', ''], ['alice'], true],
    ['a key of one’s own', ['key', 'passwd', 'a'], ['alice'], true],
    ['a key to rotate to', ['key', 'rotate', 'alice', '--to', ''], ['alice'], true],
    ['a file', ['verify', '--lockfile', ''], [], true],
    ['a shell', ['completion', ''], ['bash', 'zsh', 'fish', 'pwsh'], false],
    ['arguments after two dashes', ['verify', '--', 'left'], ['left-pad@1.3.0'], true],
    ['nothing for words that mean nothing', ['nonsense', 'x'], [], false],
  ];
  for (const [why, words, expected, files] of cases) {
    it(`offers ${why}`, async () => {
      assert.deepEqual(await complete(program, words, sources), { words: expected, files });
    });
  }

  it('offers nothing hidden and no word that a shell acts on, whatever is typed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(fc.string(), fc.constantFrom('verify', '--', '--key', 'key', '-', '--format=')),
          {
            maxLength: 5,
          },
        ),
        async (words) => {
          const { words: offered } = await complete(program, words, sources);
          for (const word of offered) assert.match(word, /^[A-Za-z0-9@._/=+-]+$/);
          assert.ok(!offered.includes('__complete'));
        },
      ),
    );
  });

  it('says at the end whether files fit', () => {
    assert.equal(formatCompletion({ words: ['a', 'b'], files: true }), 'a\nb\n:files\n');
    assert.equal(formatCompletion({ words: [], files: false }), ':none\n');
  });
});

describe('completionScript', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bftpkg-completion-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const shell of SHELLS) {
    it(`is the script itself for ${shell}`, () => {
      const script = completionScript(shell).result?.raw ?? '';
      assert.match(script, /bftpkg __complete/);
      assert.doesNotMatch(script, /\beval\b/, 'nothing that comes back is run');
    });
  }

  // Each shell's own word on its syntax, where it is there: a script that does not parse offers nothing, in silence.
  const checks: readonly (readonly [Shell, readonly string[]])[] = [
    ['bash', ['--norc', '-n']],
    ['zsh', ['-f', '-n']],
    ['fish', ['--no-config', '--no-execute']],
  ];
  for (const [shell, flags] of checks) {
    const isThere = spawnSync(shell, ['--version'], { timeout: 60_000 }).status === 0;
    it(`parses in ${shell}`, { skip: isThere ? false : `no ${shell} here` }, () => {
      const file = join(folder, `script.${shell}`);
      writeFileSync(file, completionScript(shell).result?.raw ?? '');
      const result = spawnSync(shell, [...flags, file], { encoding: 'utf8', timeout: 60_000 });
      assert.deepEqual([result.status, result.stderr], [0, '']);
    });
  }

  // How each of them asks, and what it does with the answer: a change has to be tried in the shell itself.
  const contract: readonly (readonly [Shell, readonly RegExp[]])[] = [
    ['bash', [/"\$\{words\[@\]:1\}"/, /== ":files"/, /^complete -F _bftpkg bftpkg$/m]],
    [
      'zsh',
      [
        /"\$\{\(@\)words\[2,CURRENT\]\}"/,
        /== ":files" \]\] && _files/,
        /^compdef _bftpkg bftpkg$/m,
      ],
    ],
    [
      'fish',
      [/\$words\[2\.\.-1\]/, /= ':files'/, /^complete -c bftpkg -f -a '\(__bftpkg_complete\)'$/m],
    ],
    ['pwsh', [/--complete-empty/, /StartsWith\(':'\)/, /-CommandName bftpkg/]],
  ];
  for (const [shell, parts] of contract) {
    it(`hands over the words, and tells files from words, in ${shell}`, () => {
      const script = completionScript(shell).result?.raw ?? '';
      for (const part of parts) assert.match(script, part);
      assert.match(script, /bftpkg __complete/);
      // What goes wrong must not end up between the words.
      assert.match(script, /2>(?:\/dev\/null|\$null)/);
    });
  }

  // The only one of the four that is on every build machine.
  it('completes in bash, also behind an equals sign', () => {
    const program = join(folder, 'bftpkg');
    const loader = join(projectRoot, 'node_modules/tsx/dist/loader.mjs');
    const main = join(projectRoot, 'cli/main.ts');
    writeFileSync(
      program,
      `#!/bin/sh\nexec '${process.execPath}' --import '${loader}' '${main}' "$@"\n`,
    );
    chmodSync(program, 0o755);
    const script = `${completionScript('bash').result?.raw ?? ''}
try() { COMP_LINE="$1"; COMP_POINT=\${#1}; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _bftpkg; echo "\${COMPREPLY[*]}"; }
try 'bftpkg ver' bftpkg ver
try 'bftpkg --format=js' bftpkg --format = js
try 'bftpkg --format=' bftpkg --format =
try 'bftpkg --format j' bftpkg --format j
`;
    const result = spawnSync('bash', ['--norc', '-c', script], {
      encoding: 'utf8',
      cwd: folder,
      env: { PATH: `${folder}:${process.env['PATH'] ?? ''}`, HOME: folder },
      timeout: 300_000,
    });
    assert.equal(result.stderr, '');
    assert.deepEqual(result.stdout.trim().split('\n'), [
      'verify',
      'json',
      'human concise json ndjson sarif junit github markdown',
      'json junit',
    ]);
  });
});
