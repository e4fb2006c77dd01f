import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { formatSri } from '../../verifier/npm/integrity.ts';
import { formatCount, shortenDigests, visibleLength, wrapLine } from './text-layout.ts';

describe('shortenDigests', () => {
  const a = formatSri(new Uint8Array(64).fill(1));
  const b = formatSri(new Uint8Array(64).fill(2));
  // Differs from `a` in one byte that the short form doesn't show.
  const ground = formatSri(Uint8Array.from({ length: 64 }, (_, i) => (i === 30 ? 9 : 1)));

  it('shortens different digests', () => {
    assert.deepEqual(shortenDigests([`${a} here`, b]), [
      'sha512-AQEBAQE…AQ== here',
      'sha512-AgICAgI…Ag==',
    ]);
  });

  it('shows digests in full that were made to look alike', () => {
    assert.deepEqual(shortenDigests([a, ground]), [a, ground]);
  });

  it('shortens one digest that stands twice', () => {
    assert.equal(new Set(shortenDigests([a, a])).size, 1);
    assert.notEqual(shortenDigests([a, a])[0], a);
  });
});

describe('formatCount', () => {
  for (const count of [0, 1, 12, 999, 1000, 1043, 48_112, 999_999, 1_000_000, 2 ** 53 - 1]) {
    it(`writes ${count} as en-US does`, () => {
      assert.equal(formatCount(count), count.toLocaleString('en-US'));
    });
  }
});

describe('wrapLine', () => {
  const cases: readonly (readonly [string, string, number | undefined, readonly string[]])[] = [
    ['leaves a short line', 'a b', 40, ['a b']],
    ['leaves every line without a width', 'x '.repeat(99), undefined, ['x '.repeat(99)]],
    ['leaves every line on a tiny terminal', 'x '.repeat(99), 10, ['x '.repeat(99)]],
    [
      'breaks between words and indents',
      `  ${'abcdefghi '.repeat(5)}end`,
      40,
      ['  abcdefghi abcdefghi abcdefghi', '    abcdefghi abcdefghi end'],
    ],
    ['never breaks a word', `a ${'b'.repeat(60)} c`, 40, ['a', `    ${'b'.repeat(60)}`, '    c']],
  ];
  for (const [why, line, width, expected] of cases) {
    it(why, () => assert.deepEqual(wrapLine(line, width, 4), expected));
  }

  it('does not count colours', () => {
    assert.equal(visibleLength('\u001b[31mab\u001b[39m'), 2);
    const colored = `\u001b[31m${'a'.repeat(38)}\u001b[39m`;
    assert.deepEqual(wrapLine(colored, 40, 2), [colored]);
  });

  it('keeps every word and fits whatever can fit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z]{1,30}$/), { minLength: 1 }),
        fc.integer({ min: 40, max: 120 }),
        (words, width) => {
          const lines = wrapLine(words.join(' '), width, 4);
          assert.deepEqual(lines.join(' ').trim().split(/ +/), words);
          for (const line of lines) assert.ok(line.length <= width, line);
        },
      ),
    );
  });
});
