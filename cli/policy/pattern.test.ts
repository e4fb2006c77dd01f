import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { isPattern, matchesPattern } from './pattern.ts';

describe('matchesPattern', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['*', 'left-pad', true],
    ['*', '@acme/left-pad', true],
    ['left-pad', 'left-pad', true],
    ['left-pad', 'left-pads', false],
    ['left-pad', 'a-left-pad', false],
    ['left-*', 'left-pad', true],
    ['left-*', 'left-', true],
    ['left-*', 'left', false],
    ['*-pad', 'left-pad', true],
    ['*-pad', 'pad', false],
    ['l*-*d', 'left-pad', true],
    ['l*-*d', 'left-pads', false],
    ['aa*aa', 'aaa', false],
    ['aa*aa', 'aaaa', true],
    ['@acme/*', '@acme/parse', true],
    ['@acme/*', '@acme-evil/parse', false],
    ['@acme/*', 'acme', false],
    ['@acme*/*', '@acme-evil/parse', true],
    ['*/*', '@acme/parse', true],
    ['acme*', '@acme/parse', false],
    ['@*', '@acme/parse', false],
    ['.', 'a', false],
    ['a.b', 'axb', false],
  ];
  for (const [pattern, name, expected] of cases) {
    it(`${pattern} ${expected ? 'covers' : 'does not cover'} ${name}`, () => {
      assert.equal(matchesPattern(pattern, name), expected);
    });
  }

  it('agrees with a regular expression', () => {
    const part = fc.stringMatching(/^[ab*]{1,6}$/);
    const text = fc.stringMatching(/^[ab]{0,8}$/);
    fc.assert(
      fc.property(part, text, (pattern, name) => {
        const expression = new RegExp(`^${pattern.replaceAll('*', '[^/]*')}$`);
        assert.equal(matchesPattern(`x${pattern}`, `x${name}`), expression.test(name));
      }),
    );
  });

  it('takes no time for many stars', () => {
    assert.equal(matchesPattern(`${'*a'.repeat(100)}b`, 'a'.repeat(214)), false);
  });
});

describe('isPattern', () => {
  const refused = ['', '@acme', '@/a', 'a/b/c', '/a', 'a/', 'a b', 'a\n', '@acme/**/', 'ä', '[a]'];
  for (const text of [...refused, 'a'.repeat(300)]) {
    it(`refuses ${JSON.stringify(text.slice(0, 20))}`, () => assert.equal(isPattern(text), false));
  }
  for (const text of ['*', 'a', '@a/*', '@*/a', 'JSONStream', 'a.b_c~d']) {
    it(`takes ${text}`, () => assert.equal(isPattern(text), true));
  }
});
