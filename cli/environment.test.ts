import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { allSettings, commandTree, unknownVariables, variableOf } from './environment.ts';
import { runCli } from './run.ts';
import { buildProgram } from './program/program.ts';

const program = buildProgram('1.2.3', () => undefined);

async function run(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  let stdout = '';
  let stderr = '';
  const code = await runCli(argv, '1.2.3', {
    env: { HOME: '/nonexistent', ...env },
    cwd: '/nonexistent',
    terminal: {
      writeOut: (text) => void (stdout += text),
      writeErr: (text) => void (stderr += text),
      outIsTty: false,
      errIsTty: false,
      ask: undefined,
    },
  });
  return { code, stdout, stderr };
}

describe('variableOf', () => {
  it('names the variable of a flag', () => {
    assert.equal(variableOf('--max-checkpoint-age'), 'BFTPKG_MAX_CHECKPOINT_AGE');
    assert.equal(variableOf('--no-input'), 'BFTPKG_NO_INPUT');
  });
});

describe('allSettings', () => {
  it('has a variable for every flag of every command, but for those that answer in its place', () => {
    const inItsPlace = new Set(['--version', '--json-schema']);
    const flags = commandTree(program).flatMap((command) =>
      command.options.flatMap(({ long }) => (inItsPlace.has(long ?? '') ? [] : (long ?? []))),
    );
    assert.ok(flags.length > 40);
    const known = new Set(allSettings(program).map(({ variable }) => variable));
    for (const flag of flags) assert.ok(known.has(variableOf(flag)), flag);
  });

  it('has each once, with all commands that take it', () => {
    const settings = allSettings(program);
    assert.equal(new Set(settings.map(({ variable }) => variable)).size, settings.length);
    const key = settings.find(({ flag }) => flag === '--key');
    assert.ok((key?.commands.length ?? 0) > 3);
  });
});

describe('unknownVariables', () => {
  it('finds what no flag has, and leaves those of the server alone', () => {
    const env = { BFTPKG_TIMOUT: '1', BFTPKG_TIMEOUT: '1', BFTPKG_SERVER_X: '1', OTHER: '1' };
    assert.deepEqual(unknownVariables(program, env), ['BFTPKG_TIMOUT']);
    assert.deepEqual(
      unknownVariables(program, { BFTPKG_BIN: '/x', BFTPKG_HOOK_PACKAGES: '[]' }),
      [],
    );
  });

  it('are told of by every command', async () => {
    const env = { BFTPKG_ALOW_UNLOGGED: 'never', 'BFTPKG_\u001bX': '1', BFTPKG_TIMEOUT: '1m' };
    const { code, stderr } = await run(['explain', 'BP1001'], env);
    assert.equal(code, 0);
    assert.deepEqual(stderr.split('\n'), [
      'bftpkg: BFTPKG_ALOW_UNLOGGED has no effect: there is no such flag (bftpkg env)',
      'bftpkg: BFTPKG_\\u001bX has no effect: there is no such flag (bftpkg env)',
      '',
    ]);
    assert.equal((await run(['explain', 'BP1001', '--quiet'], env)).stderr, '');
  });
});

describe('applyEnvironment', () => {
  const explained = ['explain', 'BP1001'];
  const isJson = (text: string): boolean => text.startsWith('{');
  type Case = readonly [
    string,
    readonly string[],
    Readonly<Record<string, string>>,
    number,
    boolean,
  ];
  const cases: readonly Case[] = [
    ['nothing set', explained, {}, 0, false],
    ['a value', explained, { BFTPKG_FORMAT: 'json' }, 0, true],
    ['set to nothing is not set', explained, { BFTPKG_FORMAT: '' }, 0, false],
    ['a switch that is on', explained, { BFTPKG_JSON: '1' }, 0, true],
    ['a switch that is on in words', explained, { BFTPKG_JSON: 'Yes' }, 0, true],
    ['a switch that is off', explained, { BFTPKG_JSON: '0' }, 0, false],
    [
      'the command line wins',
      ['--format=concise', ...explained],
      { BFTPKG_FORMAT: 'json' },
      0,
      false,
    ],
    [
      'it wins over the short form too',
      ['--format=concise', ...explained],
      { BFTPKG_JSON: '1' },
      0,
      false,
    ],
    ['a switch that is neither', explained, { BFTPKG_QUIET: 'maybe' }, 2, false],
    ['a value that the flag would not take', explained, { BFTPKG_FORMAT: 'xml' }, 2, false],
    [
      'a switch of the command itself',
      ['explain'],
      { BFTPKG_LIST: '1', BFTPKG_JSON: '1' },
      0,
      true,
    ],
    [
      'no variable asks for the schema in the place of a verification',
      ['verify'],
      { BFTPKG_JSON_SCHEMA: '1' },
      2,
      false,
    ],
    ['a mistake in a repeatable flag', explained, { BFTPKG_REPORT: 'json' }, 2, false],
    ['a time that is none', explained, { BFTPKG_TIMEOUT: 'soon' }, 2, false],
    [
      'an unreadable value is a document when that is wanted',
      explained,
      { BFTPKG_JSON: '1', BFTPKG_QUIET: 'x' },
      2,
      true,
    ],
  ];
  for (const [why, argv, env, code, json] of cases) {
    it(why, async () => {
      const result = await run(argv, env);
      assert.equal(result.code, code, result.stderr);
      assert.equal(isJson(result.stdout), json, result.stdout);
      if (isJson(result.stdout)) JSON.parse(result.stdout);
    });
  }

  it('names the variable that is wrong', async () => {
    const { stderr } = await run(explained, { BFTPKG_COLOR: 'pink' });
    assert.match(stderr, /BFTPKG_COLOR="pink"/);
  });
});

describe('env', () => {
  interface Row {
    readonly variable: string;
    readonly value: string;
    readonly origin: string;
  }

  async function rows(
    argv: readonly string[],
    env: Readonly<Record<string, string>>,
  ): Promise<readonly Row[]> {
    const { stdout } = await run(['--json', ...argv, 'env'], env);
    return (JSON.parse(stdout) as { readonly result: { readonly settings: readonly Row[] } }).result
      .settings;
  }

  it('says where each value comes from', async () => {
    const found = await rows(['--timeout', '5s'], { BFTPKG_TIMEOUT: '9s', BFTPKG_ASCII: '1' });
    const of = (variable: string): readonly unknown[] => {
      const row = found.find((each) => each.variable === variable);
      return [row?.value, row?.origin];
    };
    assert.deepEqual(of('BFTPKG_TIMEOUT'), ['5s', 'flag']);
    assert.deepEqual(of('BFTPKG_ASCII'), ['1', 'env']);
    assert.deepEqual(of('BFTPKG_FORMAT'), ['human', 'default']);
  });

  it('warns of a misspelled variable', async () => {
    const { stderr, code } = await run(['env'], { BFTPKG_TIMOUT: '1s' });
    assert.equal(code, 0);
    assert.match(stderr, /BFTPKG_TIMOUT has no effect[^]*did you mean BFTPKG_TIMEOUT/);
  });
});
