import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ORIGIN_LENGTH_MAX, isOrigin } from './origin.ts';

describe('isOrigin', () => {
  const rows: readonly [string, string, boolean][] = [
    ['a host name', 'log.example.org', true],
    ['a host name with a path', 'example.org/log/2026', true],
    ['any other printable ASCII', '!"#$%&\'()*,-./:;<=>?@[\\]^_`{|}~', true],
    ['the longest', 'o'.repeat(ORIGIN_LENGTH_MAX), true],
    ['one character more', 'o'.repeat(ORIGIN_LENGTH_MAX + 1), false],
    ['nothing', '', false],
    ['a plus, which ends a name in a verifier key', 'a+b', false],
    ['a space, which ends a name in a note', 'a b', false],
    ['a line break, which ends it in a checkpoint', 'a\nb', false],
    ['a line break at the end', 'a\n', false],
    ['a tab', 'a\tb', false],
    ['a control character', 'a\u0000b', false],
    ['delete', 'a\u007f', false],
    ['a look-alike', 'l\u043eg.example.org', false],
    ['a no-break space', 'a\u00a0b', false],
  ];
  for (const [why, text, expected] of rows) {
    it(`${expected ? 'accepts' : 'refuses'} ${why}`, () => assert.equal(isOrigin(text), expected));
  }
});
