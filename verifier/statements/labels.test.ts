import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { refusalOf } from '../../fixtures/documents.ts';
import { requirePrintable } from './labels.ts';

describe('requirePrintable', () => {
  const accepted: readonly [string, string][] = [
    ['nothing', ''],
    ['ASCII from the first to the last', '! ~'],
    ['accents', 'José Ångström'],
    ['a combining accent', 'Jose\u0301'],
    ['Cyrillic, Greek, Hebrew, Arabic', 'Ольга Ωμέγα שלום سلام'],
    ['Chinese, Japanese, Korean', '太郎 タロウ 홍길동'],
    ['a rare ideograph beyond the basic plane', '\u{20bb7}野家'],
    ['an emoji', 'release 🎉'],
    [
      'neighbours of what is refused',
      '\u00a1\u00ac\u00ae\u2010\u2027\u2030\u2070\u2801\u3001\uffef',
    ],
  ];
  for (const [why, text] of accepted) {
    it(`accepts ${why}`, () =>
      assert.equal(
        refusalOf(() => requirePrintable(text, 'name')),
        undefined,
      ));
  }

  const refused: readonly [string, number][] = [
    ['NUL', 0],
    ['a line break', 0x0a],
    ['an escape', 0x1b],
    ['delete', 0x7f],
    ['a C1 control', 0x9b],
    ['a no-break space', 0xa0],
    ['a soft hyphen', 0xad],
    ['a grapheme joiner', 0x34f],
    ['an Arabic letter mark', 0x61c],
    ['a Hangul filler', 0x115f],
    ['a Mongolian variation selector', 0x180b],
    ['an en quad', 0x2000],
    ['a zero-width space', 0x200b],
    ['a zero-width joiner', 0x200d],
    ['a left-to-right mark', 0x200e],
    ['a right-to-left mark', 0x200f],
    ['a line separator', 0x2028],
    ['a paragraph separator', 0x2029],
    ['a left-to-right embedding', 0x202a],
    ['a right-to-left override', 0x202e],
    ['a word joiner', 0x2060],
    ['a left-to-right isolate', 0x2066],
    ['a pop directional isolate', 0x2069],
    ['a blank braille pattern', 0x2800],
    ['an ideographic space', 0x3000],
    ['a lone high surrogate', 0xd800],
    ['a lone low surrogate', 0xdfff],
    ['a private use character', 0xe000],
    ['a variation selector', 0xfe0f],
    ['a byte order mark', 0xfeff],
    ['an object replacement character', 0xfffc],
    ['a hieroglyph format control', 0x13430],
    ['a musical format control', 0x1d173],
    ['a language tag', 0xe0001],
    ['a variation selector of plane 14', 0xe0100],
    ['the last code point', 0x10ffff],
  ];
  for (const [why, code] of refused) {
    it(`refuses ${why}, wherever it stands`, () => {
      const character = String.fromCodePoint(code);
      for (const text of [character, `a${character}b`, `${character}b`, `a${character}`]) {
        assert.equal(
          refusalOf(() => requirePrintable(text, 'name')),
          'STATEMENT_MALFORMED',
        );
      }
    });
  }

  for (const text of [' a', 'a ', ' ']) {
    it(`refuses a space at an end: ${JSON.stringify(text)}`, () => {
      assert.equal(
        refusalOf(() => requirePrintable(text, 'name')),
        'STATEMENT_MALFORMED',
      );
    });
  }
});
