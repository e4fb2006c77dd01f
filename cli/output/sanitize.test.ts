import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { printable, printableJson, printableJsonLine } from './sanitize.ts';

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
    ['leaves no command to GitHub', '::set-output name=a::b', '\\u003a:set-output name=a::b'],
    ['nor one behind blanks', ' \u00a0::stop-commands::x', ' \u00a0\\u003a:stop-commands::x'],
    ['nor one of its older kind', 'a ##[add-path]evil', 'a #\\u0023[add-path]evil'],
    ['nor one to Azure', 'x##vso[task.prependpath]e', 'x#\\u0023vso[task.prependpath]e'],
    ['nor one to TeamCity', '##teamcity[buildStatus]', '#\\u0023teamcity[buildStatus]'],
    ['nor one behind another', '####vso[task.x]', '###\\u0023vso[task.x]'],
    ['leaves headings and scopes alone', '## a: b::c #1 [x]', '## a: b::c #1 [x]'],
  ];
  for (const [why, input, expected] of cases) {
    it(why, () => assert.equal(printable(input), expected));
  }

  it('cuts long text', () => {
    assert.equal(printable('x'.repeat(1000), 10), 'xxxxxxxxx…');
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

  for (const command of ['##vso[task.prependpath]e', '##[set-output name=a]b']) {
    it(`means the same and does not tell a build server ${command}`, () => {
      for (const text of [printableJson([command]), printableJsonLine([command])]) {
        assert.deepEqual(JSON.parse(text), [command]);
        assert.ok(!text.includes(command), text);
      }
    });
  }
});
