import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { makeStyle, wantsColor, wantsUnicode, type ColorInput } from './color.ts';

type Row = readonly [string, Partial<ColorInput>, boolean];

describe('wantsColor', () => {
  const cases: readonly Row[] = [
    ['a terminal gets colour', { isTty: true }, true],
    ['a pipe gets none', {}, false],
    ['--color always beats NO_COLOR', { flag: 'always', env: { NO_COLOR: '1' } }, true],
    ['--color never beats FORCE_COLOR', { flag: 'never', env: { FORCE_COLOR: '1' } }, false],
    ['the short report gets colour too', { format: 'concise', isTty: true }, true],
    ['other formats get none', { format: 'json', isTty: true, env: { FORCE_COLOR: '1' } }, false],
    ['NO_COLOR switches off', { isTty: true, env: { NO_COLOR: '1' } }, false],
    ['an empty NO_COLOR says nothing', { isTty: true, env: { NO_COLOR: '' } }, true],
    ['NO_COLOR beats FORCE_COLOR', { env: { NO_COLOR: '1', FORCE_COLOR: '1' } }, false],
    ['FORCE_COLOR switches on', { env: { FORCE_COLOR: '1' } }, true],
    ['an empty FORCE_COLOR switches on', { env: { FORCE_COLOR: '' } }, true],
    ['FORCE_COLOR=0 switches off', { isTty: true, env: { FORCE_COLOR: '0' } }, false],
    ['CLICOLOR_FORCE switches on', { env: { CLICOLOR_FORCE: '1' } }, true],
    ['CLICOLOR_FORCE=0 says nothing', { env: { CLICOLOR_FORCE: '0' } }, false],
    ['CLICOLOR=0 switches off', { isTty: true, env: { CLICOLOR: '0' } }, false],
    ['a dumb terminal gets none', { isTty: true, env: { TERM: 'dumb' } }, false],
    ['NODE_DISABLE_COLORS switches off', { isTty: true, env: { NODE_DISABLE_COLORS: '1' } }, false],
    ['logs of GitHub render colour', { env: { GITHUB_ACTIONS: 'true' } }, true],
    ['a dumb terminal beats GitHub', { env: { GITHUB_ACTIONS: 'true', TERM: 'dumb' } }, false],
  ];
  for (const [why, input, expected] of cases) {
    it(why, () => {
      const full: ColorInput = { flag: 'auto', format: 'human', env: {}, isTty: false, ...input };
      assert.equal(wantsColor(full), expected);
    });
  }
});

describe('wantsUnicode', () => {
  const cases: readonly (readonly [string, Record<string, string>, boolean])[] = [
    ['a UTF-8 locale', { LANG: 'en_US.UTF-8' }, true],
    ['no locale at all', {}, true],
    ['the C locale', { LANG: 'C' }, false],
    ['LC_ALL beats LANG', { LC_ALL: 'C', LANG: 'en_US.UTF-8' }, false],
  ];
  for (const [why, env, expected] of cases) {
    it(why, () => assert.equal(wantsUnicode(env), expected));
  }
});

describe('makeStyle', () => {
  it('writes no escape sequence without colour', () => {
    assert.equal(makeStyle(false, true).bad('x'), 'x');
    assert.equal(makeStyle(true, true).bad('x'), '\u001b[31mx\u001b[39m');
  });

  it('says the same in ASCII', () => {
    assert.equal(makeStyle(false, false).marks.fail, 'FAIL');
  });
});
