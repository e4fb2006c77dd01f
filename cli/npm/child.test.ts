// Starting programs without a shell, on every platform.
import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { describe, it } from 'node:test';

import { SILENT } from '../../fixtures/terminal.ts';
import type { Context } from '../context.ts';
import { programOf, runChild } from './child.ts';
import { isolation } from './isolation.ts';

const CONTEXT: Context = {
  cwd: tmpdir(),
  env: { PATH: process.env['PATH'] },
  terminal: SILENT,
  nowMs: Date.now,
  signal: new AbortController().signal,
};

describe('programOf', () => {
  const there = new Set([
    'C:\\half\\npm.cmd',
    'C:\\node\\npm.cmd',
    'C:\\node\\node_modules\\npm\\bin\\npm-cli.js',
  ]);
  const isThere = (path: string): boolean => there.has(path);
  const script = 'C:\\node\\node_modules\\npm\\bin\\npm-cli.js';

  it('starts programs by their names where the system can', () => {
    assert.deepEqual(
      programOf('npm', {}, 'linux', () => false),
      ['npm'],
    );
    assert.deepEqual(
      programOf('git', { PATH: '' }, 'win32', () => false),
      ['git'],
    );
  });

  const found: readonly (readonly [string, Record<string, string>])[] = [
    ['npm’s own file', { PATH: 'C:\\node' }],
    ['also under another spelling of PATH', { Path: 'C:\\other;C:\\node' }],
    ['past an npm that is not whole', { PATH: 'C:\\half;C:\\node' }],
    // A relative folder would be the project's.
    ['and never looks in the current folder', { PATH: '.;;C:\\node' }],
  ];
  for (const [why, env] of found) {
    it(`gives Node ${why} on Windows`, () => {
      assert.deepEqual(programOf('npm', env, 'win32', isThere), [process.execPath, script]);
    });
  }

  it('says that there is no npm on Windows', () => {
    const look = (): unknown => programOf('npm', { PATH: 'C:\\half' }, 'win32', isThere);
    assert.throws(look, /npm is not on PATH/);
  });
});

describe('runChild', () => {
  // Version ranges have such characters, and the names of a lockfile's aliases can have any.
  it('gives arguments to nobody but the program', async () => {
    const args = ['a b', '>=1 <2', '^1', '$HOME', '`id`', '"', '%PATH%', '&echo x'];
    const code = 'process.stdout.write(JSON.stringify(process.argv.slice(1)))';
    const options = { cwd: tmpdir(), context: CONTEXT, env: {} };
    const { stdout } = await runChild(process.execPath, ['-e', code, ...args], options);
    assert.deepEqual(JSON.parse(stdout), args);
  });
});

describe('isolation', () => {
  it('is refused, not left out, where there are no namespaces', async () => {
    await assert.rejects(isolation(CONTEXT, 'darwin'), /--isolate is not possible here/);
    const nowhere = { ...CONTEXT, env: { PATH: '/nonexistent' } };
    await assert.rejects(isolation(nowhere, 'linux'), /--isolate is not possible here/);
  });
});
