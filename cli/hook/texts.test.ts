// The runner that a project has, as a program: what it hands on, and what it refuses to believe.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { describe, it } from 'node:test';

import { runnerText } from './texts.ts';

const USAGE = 2;

interface Run {
  readonly code: number | null;
  readonly stderr: string;
  /** What the bftpkg that was found had for its environment; `undefined` when none was started. */
  readonly env: Readonly<Record<string, string>> | undefined;
}

/**
 * Runs it in a project with these files.
 *
 * @param isBun as bun would, which has put what its files say into the environment already
 */
function run(
  files: Readonly<Record<string, string>>,
  variables: Readonly<Record<string, string>>,
  isBun: boolean,
): Run {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'bftpkg-runner-')));
  try {
    const project = join(folder, 'project');
    const all = {
      'project/.bftpkg/hook.cjs': runnerText('1.0.0'),
      'bin/bftpkg': 'console.log(JSON.stringify(process.env));\n',
      'bun.cjs': "Object.defineProperty(process, 'versions', { value: { bun: '1.4.4' } });\n",
      ...Object.fromEntries(
        Object.entries(files).map(([name, text]) => [`project/${name}`, text] as const),
      ),
    };
    for (const [name, text] of Object.entries(all)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text, { mode: 0o755 });
    }
    writeFileSync(join(folder, 'bin/bftpkg'), `#!/usr/bin/env node\n${all['bin/bftpkg']}`);
    const preload = isBun ? ['--require', join(folder, 'bun.cjs')] : [];
    const PATH = `${join(folder, 'bin')}${delimiter}${process.env['PATH'] ?? ''}`;
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [...preload, join(project, '.bftpkg/hook.cjs'), 'scan'],
      { cwd: project, encoding: 'utf8', env: { PATH, ...variables } },
    );
    const env = stdout === '' ? undefined : (JSON.parse(stdout) as Record<string, string>);
    return { code: status, stderr, env };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('the runner of the hook', { skip: process.platform === 'win32' }, () => {
  it('hands the environment on, outside of bun', () => {
    const { code, env } = run({}, { BFTPKG_TIMEOUT: '9s', ANY: 'x' }, false);
    assert.equal(code, 0);
    assert.equal(env?.['BFTPKG_TIMEOUT'], '9s');
    assert.equal(env?.['ANY'], 'x');
  });

  it('hands on under bun what bftpkg needs, and nothing that loads code', () => {
    const variables = {
      BFTPKG_TIMEOUT: '9s',
      HOME: '/home/dev',
      NODE_OPTIONS: '',
      LD_PRELOAD: '',
      npm_config_user_agent: 'npm/12.2.0',
    };
    const { code, env } = run({}, variables, true);
    assert.equal(code, 0);
    assert.equal(env?.['BFTPKG_TIMEOUT'], '9s');
    assert.equal(env?.['HOME'], '/home/dev');
    for (const name of ['NODE_OPTIONS', 'LD_PRELOAD', 'npm_config_user_agent']) {
      assert.equal(env?.[name], undefined, name);
    }
  });

  const refused: readonly (readonly [string, Readonly<Record<string, string>>, boolean])[] = [
    ['which bftpkg is asked', { '.env': 'A=1\nBFTPKG_BIN=/evil\n' }, true],
    [
      'it in a file for one mode',
      { '.env.development.local': 'export BFTPKG_BIN = /evil\n' },
      true,
    ],
    ['it behind another one', { '.env': 'A="1" BFTPKG_BIN=/evil\n' }, true],
    ['it in small letters', { '.env': 'bftpkg_bin=/evil\n' }, true],
    ['it with other line ends', { '.env': 'A=1\rBFTPKG_BIN: /evil\r' }, true],
    ['whose policy counts', { '.env': 'XDG_CONFIG_HOME=/tmp/x\n' }, true],
    ['whose home it is', { '.env': 'HOME=.\n' }, true],
    ['a proxy', { '.env': 'https_proxy=http://evil.example\n' }, true],
    ['roots of trust', { '.env': 'NODE_EXTRA_CA_CERTS=./evil.pem\n' }, true],
    [
      'variables for Yarn 1',
      { '.yarnrc': 'lastUpdateCheck 1\nenv:\n  BFTPKG_BIN "/evil"\n' },
      false,
    ],
    ['them in quotes', { '.yarnrc': '"env":\n  A "/evil"\n' }, false],
    ['them with an escape', { '.yarnrc': '"\\u0065nv":\n  BFTPKG_BIN "./evil2"\n' }, false],
    ['them behind another name', { '.yarnrc': 'a, env:\n  BFTPKG_BIN "/evil"\n' }, false],
    ['them behind a quoted #', { '.yarnrc': '"#", env :\n  BFTPKG_BIN "/evil"\n' }, false],
    ['them behind a value', { '.yarnrc': 'a 1env:\n  BFTPKG_BIN "/evil"\n' }, false],
    ['them from a folder above', { '../.yarnrc': 'env:\n  BFTPKG_BIN "/evil"\n' }, false],
    ['something that is no file', { '.env/x': '' }, true],
  ];
  for (const [why, files, isBun] of refused) {
    it(`does not let a project say ${why}`, () => {
      const { code, stderr, env } = run(files, {}, isBun);
      assert.equal(code, USAGE, stderr);
      assert.equal(env, undefined);
      assert.match(stderr, /nothing was verified/);
    });
  }

  it('is not stopped by what does no harm', () => {
    const text =
      '# HOME is where it is\nNODE_ENV=production\nURL=https://a.example/?path=/x&home=y\n';
    assert.equal(run({ '.env': text, '.yarnrc': 'environment 1\n' }, {}, true).code, 0);
    const classic = 'registry "https://r.example/env/"\n  # env: \\ \nlastUpdateCheck 1\n';
    assert.equal(run({ '.yarnrc': classic, '../.yarnrc': classic }, {}, false).code, 0);
    assert.equal(run({ '.env': 'BFTPKG_BIN=/evil\n' }, {}, false).code, 0, 'only bun reads it');
  });
});
