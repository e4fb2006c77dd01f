import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { utf8 } from './bytes.ts';

describe('utf8', () => {
  const ascii = 'abcdefgh'.repeat(8);
  for (const [why, text] of [
    ['nothing', ''],
    ['the first and the last of ASCII', '\0\u007f'],
    ['the first behind ASCII', '\u0080'],
    ['as long as short texts get', ascii],
    ['the same with two bytes at its end', `${ascii.slice(1)}\u00e9`],
    ['the same with four bytes at its end', `${ascii.slice(2)}\u{1f600}`],
    ['one more', `${ascii}a`],
    ['a long one', `${ascii.repeat(100)}\u20ac`],
  ] as const) {
    it(`encodes ${why} as Node does`, () => {
      assert.deepEqual(utf8(text), new Uint8Array(Buffer.from(text, 'utf8')));
    });
  }

  it('encodes whatever is well formed as Node does', () => {
    const texts = fc.string({ unit: 'grapheme', maxLength: 80 });
    fc.assert(
      fc.property(texts, (text) => {
        assert.deepEqual(utf8(text), new Uint8Array(Buffer.from(text, 'utf8')));
      }),
    );
  });

  it('makes bytes that nobody else has', () => {
    utf8('same').fill(0);
    assert.deepEqual([...utf8('same')], [...Buffer.from('same')]);
  });
});
