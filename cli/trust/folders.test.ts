import assert from 'node:assert/strict';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { cacheFolder, configFolder, stateFolder } from './folders.ts';

const HOME = process.platform === 'win32' ? 'C:\\home\\dev' : '/home/dev';
const OTHER = process.platform === 'win32' ? 'D:\\x' : '/x';

describe('the folders of a user', () => {
  const cases: readonly (readonly [string, Record<string, string>, string])[] = [
    ['below the home folder', { HOME }, join(HOME, '.config')],
    ['where XDG_CONFIG_HOME says', { HOME, XDG_CONFIG_HOME: OTHER }, OTHER],
    [
      'not where a relative XDG_CONFIG_HOME does',
      { HOME, XDG_CONFIG_HOME: 'x' },
      join(HOME, '.config'),
    ],
    ['where the system says without HOME', {}, join(homedir(), '.config')],
    ['where the system says with an empty one', { HOME: '' }, join(homedir(), '.config')],
    [
      'not in the checkout with a relative HOME',
      { HOME: '.' },
      join(userInfo().homedir, '.config'),
    ],
  ];
  for (const [why, env, expected] of cases) {
    it(`are ${why}`, () => assert.equal(configFolder(env), join(expected, 'bftpkg')));
  }

  it('are three', () => {
    assert.equal(
      new Set([configFolder, stateFolder, cacheFolder].map((of) => of({ HOME }))).size,
      3,
    );
  });
});
