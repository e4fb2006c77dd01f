import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';

import type { Terminal } from '../context.ts';
import {
  behindProgress,
  chooseProgress,
  Progress,
  type ProgressInput,
  type ProgressMode,
} from './progress.ts';

describe('chooseProgress', () => {
  const base: ProgressInput = { flag: 'auto', quiet: false, isTty: true, env: {} };
  const cases: readonly (readonly [string, Partial<ProgressInput>, ProgressMode])[] = [
    ['a terminal gets a bar', {}, 'bar'],
    ['a pipe gets lines', { isTty: false }, 'lines'],
    ['a build server with a terminal gets lines', { env: { CI: 'true' } }, 'lines'],
    ['CI=false is no build server', { env: { CI: 'false' } }, 'bar'],
    ['a dumb terminal gets lines', { env: { TERM: 'dumb' } }, 'lines'],
    ['quiet gets nothing', { quiet: true }, 'none'],
    ['the flag decides over quiet', { quiet: true, flag: 'lines' }, 'lines'],
    ['the flag decides over the terminal', { flag: 'none' }, 'none'],
    ['a bar can be had anywhere', { flag: 'bar', isTty: false }, 'bar'],
  ];
  for (const [why, input, expected] of cases) {
    it(why, () => assert.equal(chooseProgress({ ...base, ...input }), expected));
  }
});

describe('Progress', () => {
  let written: string[] = [];
  const terminal = { writeErr: (text: string): void => void written.push(text) };

  beforeEach(() => {
    written = [];
    mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  });
  afterEach(() => mock.timers.reset());

  it('shows no bar for work shorter than half a second', () => {
    const progress = new Progress('bar', terminal);
    progress.update('fetching');
    mock.timers.tick(499);
    progress.stop();
    mock.timers.tick(60_000);
    assert.deepEqual(written, []);
  });

  it('shows how far it is, and leaves nothing behind', () => {
    const progress = new Progress('bar', terminal);
    progress.update('fetching', { done: 1, total: 4 });
    mock.timers.tick(500);
    assert.equal(written.at(-1), `\r\u001b[2K[${'#'.repeat(5)}${'-'.repeat(15)}] fetching 1/4`);
    progress.update('fetching', { done: 4, total: 4 });
    mock.timers.tick(100);
    assert.match(written.at(-1) ?? '', /#{20}/);
    progress.stop();
    assert.equal(written.at(-1), '\r\u001b[2K');
    const { length } = written;
    mock.timers.tick(60_000);
    assert.equal(written.length, length, 'nothing after the end');
  });

  it('draws only what has changed', () => {
    const progress = new Progress('bar', terminal);
    progress.update('waiting');
    mock.timers.tick(5_000);
    progress.stop();
    assert.equal(written.length, 2, 'drawn once, erased once');
  });

  it('stays within the terminal', () => {
    const progress = new Progress('bar', { ...terminal, errColumns: () => 30 });
    progress.update('x'.repeat(300), { done: 1, total: 2 });
    mock.timers.tick(500);
    progress.stop();
    assert.equal(written[0]?.replace('\r\u001b[2K', '').length, 29);
  });

  it('survives counts that make no sense', () => {
    const progress = new Progress('bar', terminal);
    for (const [done, total] of [
      [5, 2],
      [-1, 2],
      [0, 0],
      [1, 0],
    ] as const) {
      progress.update('odd', { done, total });
      mock.timers.tick(500);
    }
    progress.stop();
    assert.ok(written.length > 1);
  });

  it('writes a line each ten seconds where nobody sees a bar', () => {
    const progress = new Progress('lines', terminal);
    progress.update('fetching', { done: 400, total: 1043 });
    mock.timers.tick(9_999);
    assert.deepEqual(written, []);
    mock.timers.tick(1);
    assert.deepEqual(written, ['bftpkg: fetching 400/1,043\n']);
    mock.timers.tick(20_000);
    assert.equal(written.length, 3);
    progress.stop();
    mock.timers.tick(60_000);
    assert.equal(written.length, 3);
  });

  it('says nothing when nothing is known or wanted', () => {
    const lines = new Progress('lines', terminal);
    const none = new Progress('none', terminal);
    none.update('x');
    mock.timers.tick(60_000);
    lines.stop();
    none.stop();
    assert.deepEqual(written, []);
  });

  it('lets no escape sequence of a stranger through', () => {
    const progress = new Progress('lines', terminal);
    progress.update('resolving with http://x/\u001b]0;t\u0007\r\n');
    mock.timers.tick(10_000);
    progress.stop();
    assert.deepEqual(written, [
      'bftpkg: resolving with http://x/\\u001b]0;t\\u0007\\u000d\\u000a\n',
    ]);
  });
});

describe('behindProgress', () => {
  it('takes the bar away before anything else is written or asked', async () => {
    const written: string[] = [];
    const write = (text: string): void => void written.push(text);
    const terminal: Terminal = {
      writeOut: write,
      writeErr: write,
      outIsTty: true,
      errIsTty: true,
      ask: async (question) => Promise.resolve(`${question} yes`),
    };
    mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
    try {
      const progress = new Progress('bar', terminal);
      const behind = behindProgress(terminal, progress);
      progress.update('working');
      mock.timers.tick(500);
      behind.writeOut('result\n');
      mock.timers.tick(100);
      behind.writeErr('warning\n');
      mock.timers.tick(100);
      assert.equal(await behind.ask?.('sure?'), 'sure? yes');
      mock.timers.tick(1_000);
      progress.stop();
      const erase = '\r\u001b[2K';
      const bar = `${erase}working`;
      assert.deepEqual(written, [bar, erase, 'result\n', bar, erase, 'warning\n', bar, erase]);
    } finally {
      mock.timers.reset();
    }
  });
});
