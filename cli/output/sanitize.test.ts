import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { printable, printableJson, printableLines } from './sanitize.ts';

describe('printable', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['leaves plain text alone', 'left-pad@1.3.0 – ok ✔ ü 漢', 'left-pad@1.3.0 – ok ✔ ü 漢'],
    ['spells out an escape sequence', 'a\u001b[2Kb', 'a\\u001b[2Kb'],
    ['spells out the 8-bit control sequence introducer', 'a\u009b31mb', 'a\\u009b31mb'],
    ['spells out line breaks, which forge report lines', 'a\r\nOK', 'a\\u000d\\u000aOK'],
    ['spells out a title-setting bell', '\u001b]0;x\u0007', '\\u001b]0;x\\u0007'],
    ['spells out bidi overrides', 'a\u202egpj', 'a\\u202egpj'],
    ['spells out bidi isolates', '\u2066x\u2069', '\\u2066x\\u2069'],
    ['spells out zero-width characters', 'le\u200bft', 'le\\u200bft'],
    ['spells out a byte order mark', '\ufeffx', '\\ufeffx'],
    ['spells out line and paragraph separators', 'a\u2028b\u2029', 'a\\u2028b\\u2029'],
    ['spells out tag characters', 'a\u{e0041}', 'a\\u{e0041}'],
    ['spells out a lone surrogate', 'a\ud800b', 'a\\ud800b'],
    ['keeps a surrogate pair', '😀', '😀'],
  ];
  for (const [why, input, expected] of cases) {
    it(why, () => assert.equal(printable(input), expected));
  }

  it('cuts long text', () => {
    assert.equal(printable('x'.repeat(1000), 10), 'xxxxxxxxx…');
  });
});

describe('printableLines', () => {
  it('keeps our line breaks and nothing else', () => {
    assert.deepEqual(printableLines('a\u001b\nb'), ['a\\u001b', 'b']);
  });
});

describe('printableJson', () => {
  it('means the same and holds nothing that a terminal acts on', () => {
    const value = { a: 'x\u202e\u001b[2J\u009b\u{e0041}\n', b: ['ü✔'] };
    const text = printableJson(value);
    assert.deepEqual(JSON.parse(text), value);
    // oxlint-disable-next-line no-control-regex -- looking for control characters
    assert.doesNotMatch(text.replaceAll('\n', ''), /[\u0000-\u001f\u007f-\u009f\u202e]/);
  });
});
