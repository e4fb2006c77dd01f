import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { configRoot, diffLines, editJson, shorten } from './edit.ts';

const TEXT = `{
  // why we are here
  "pin": "ab", /* short */
  "exceptions": [
    { "package": "a" }
  ]
}
`;

describe('editJson', () => {
  it('keeps comments and order', () => {
    const after = editJson(TEXT, ['exceptions', -1], { package: 'b' });
    assert.match(after, /\/\/ why we are here\n {2}"pin": "ab", \/\* short \*\//);
    assert.match(after, /"a"\n {4}\},\n {4}\{\n {6}"package": "b"\n {4}\}\n {2}\]\n\}\n$/);
  });

  it('adds what is not there yet, and removes', () => {
    assert.match(editJson('{}\n', ['bftpkg', 'baseline'], 'b'), /"bftpkg": \{\s+"baseline": "b"/);
    assert.doesNotMatch(editJson(TEXT, ['exceptions'], undefined), /exceptions/);
    assert.match(editJson(TEXT, ['exceptions', 0], undefined), /"exceptions": \[\s*\]/);
  });

  // The last one of a list on one line left its closing brace behind.
  for (const gap of [undefined, 1]) {
    it(`removes any item of a list ${gap === undefined ? 'on one line' : 'on lines'}`, () => {
      const items = [{ a: 1 }, { b: 1 }, { c: 1 }];
      for (const at of items.keys()) {
        const text = editJson(JSON.stringify({ items }, null, gap), ['items', at], undefined);
        const kept = items.filter((_, i) => i !== at);
        assert.deepEqual(JSON.parse(text), { items: kept }, text);
      }
    });
  }

  it('leaves a comma at the end where there was one', () => {
    assert.equal(editJson('{"items": [1, 2,]}', ['items', 1], undefined), '{"items": [1,]}');
  });
});

describe('diffLines', () => {
  const cases: readonly (readonly [string, string | undefined, string, readonly string[]])[] = [
    ['nothing', 'a\n', 'a\n', []],
    ['a new file', undefined, 'a\nb\n', ['--- (new file)', '+++ f', '@@ line 1 @@', '+ a', '+ b']],
    [
      'a line between others',
      'a\nb\nc\nd\n',
      'a\nb\nX\nc\nd\n',
      ['--- f', '+++ f', '@@ line 3 @@', '  a', '  b', '+ X', '  c', '  d'],
    ],
    ['a changed line', 'a\nb\n', 'a\nc\n', ['--- f', '+++ f', '@@ line 2 @@', '  a', '- b', '+ c']],
    ['a repeated line', 'a\n', 'a\na\n', ['--- f', '+++ f', '@@ line 2 @@', '  a', '+ a']],
    ['a removed line', 'a\na\n', 'a\n', ['--- f', '+++ f', '@@ line 2 @@', '  a', '- a']],
  ];
  for (const [why, before, after, expected] of cases) {
    it(`shows ${why}`, () => assert.deepEqual(diffLines('f', before, after), expected));
  }
});

describe('shorten', () => {
  it('says how much is not shown', () => {
    assert.deepEqual(shorten(['a', 'b'], 2), ['a', 'b']);
    assert.deepEqual(shorten(['a', 'b', 'c', 'd'], 2), ['a', 'b', '… and 2 more lines']);
  });
});

describe('configRoot', () => {
  it('knows package.json from other files', () => {
    assert.deepEqual(configRoot('/a/package.json'), ['bftpkg']);
    assert.deepEqual(configRoot('/a/bftpkg.json'), []);
    assert.deepEqual(configRoot('/a/my-package.json'), []);
  });
});
