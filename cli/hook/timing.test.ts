import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { intentOf, parseUserAgent, timingOf, type HookEvent } from './timing.ts';

describe('parseUserAgent', () => {
  const known: readonly (readonly [string, string, number])[] = [
    ['npm/11.19.1 node/v20.20.2 linux x64 workspaces/false', 'npm', 11],
    ['npm/12.0.0-pre.1 node/v22.1.0 linux x64', 'npm', 12],
    ['pnpm/10.34.9 npm/? node/v20.20.2 linux x64', 'pnpm', 10],
    ['yarn/1.22.22 npm/? node/v20.20.2 linux x64', 'yarn-classic', 1],
    ['yarn/4.18.1 npm/? node/v20.20.2 linux x64', 'yarn-berry', 4],
    ['bun/1.4.5 npm/? node/v24.3.0 linux x64', 'bun', 1],
  ];
  for (const [agent, manager, major] of known) {
    it(`reads ${agent}`, () => {
      const caller = parseUserAgent(agent);
      assert.deepEqual([caller?.manager, caller?.major], [manager, major]);
    });
  }
  for (const agent of [
    undefined,
    '',
    'npm',
    'npm/',
    'npm/x.1',
    ' npm/12.0.0',
    `npm/12.${'1'.repeat(2000)}`,
    'cnpm/9.0.0',
  ]) {
    it(`knows nobody in ${String(agent).slice(0, 20)}`, () => {
      assert.equal(parseUserAgent(agent), undefined);
    });
  }
});

describe('timingOf', () => {
  // As it was measured: what had happened already when the hook said no.
  const rows: readonly (readonly [string, HookEvent, 'early' | 'late'])[] = [
    ['npm/10.9.4', 'preinstall', 'late'],
    ['npm/11.19.1', 'preinstall', 'late'],
    ['npm/12.2.0', 'preinstall', 'early'],
    ['npm/12.2.0', 'scan', 'late'],
    ['pnpm/9.15.9', 'preinstall', 'late'],
    ['pnpm/10.34.9', 'preinstall', 'late'],
    ['pnpm/11.28.0', 'preinstall', 'early'],
    ['pnpm/9.15.9', 'pnpm:devPreinstall', 'early'],
    ['pnpm/10.34.9', 'pnpm:devPreinstall', 'early'],
    ['pnpm/12.21.0', 'pnpm:devPreinstall', 'early'],
    ['yarn/1.22.22', 'preinstall', 'early'],
    ['yarn/4.18.1', 'preinstall', 'late'],
    ['yarn/4.18.1', 'validateProject', 'early'],
    ['bun/1.4.5', 'preinstall', 'late'],
    ['bun/1.4.5', 'scan', 'early'],
  ];
  for (const [agent, event, expected] of rows) {
    it(`${agent} calls ${event} ${expected}`, () => {
      const caller = parseUserAgent(agent);
      assert.ok(caller !== undefined, agent);
      const timing = timingOf(caller, event);
      assert.equal(timing.kind, expected);
      if (timing.kind === 'late') assert.match(timing.instead, /^bftpkg (?:ci|install)/);
    });
  }
});

describe('intentOf', () => {
  const rows: readonly (readonly [readonly string[], 'locked' | 'choosing'])[] = [
    [[], 'locked'],
    [['install'], 'locked'],
    [['ci'], 'locked'],
    [['--frozen-lockfile'], 'locked'],
    [['install', '--frozen-lockfile'], 'locked'],
    [['--silent', 'install'], 'locked'],
    [['add', 'left-pad'], 'choosing'],
    [['--silent', 'add', 'left-pad'], 'choosing'],
    [['install', 'left-pad'], 'choosing'],
    [['i', 'left-pad'], 'choosing'],
    [['up'], 'choosing'],
    [['update'], 'choosing'],
    [['upgrade', '--latest'], 'choosing'],
    [['dlx', 'x'], 'choosing'],
  ];
  for (const [words, expected] of rows) {
    it(`${words.join(' ') || 'nothing'} is ${expected}`, () => {
      assert.equal(intentOf(words).kind, expected);
    });
  }
});
