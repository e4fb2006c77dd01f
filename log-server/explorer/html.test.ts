import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { markup } from './html.ts';

describe('markup', () => {
  // [why, value, expected]
  const cases: readonly (readonly [string, string, string])[] = [
    ['markup', '<script>alert(1)</script>', '&lt;script&gt;alert(1)&lt;/script&gt;'],
    ['the end of an attribute', `" onclick='x'`, '&quot; onclick=&#39;x&#39;'],
    ['an entity', '&lt;', '&amp;lt;'],
    ['text that runs backwards', 'a\u202Ecod.b', 'a⟨U+202E⟩cod.b'],
    ['what is not seen', 'left\u200Bpad\u0000', 'left⟨U+200B⟩pad⟨U+0000⟩'],
    ['lines', 'a\nb\u2028c', 'a\nb⟨U+2028⟩c'],
    ['letters of all kinds', 'ünï 日本 😀', 'ünï 日本 😀'],
  ];
  for (const [why, value, expected] of cases) {
    it(`shows ${why} as text`, () => {
      assert.equal(
        markup`<p title="${value}">${value}</p>`.text,
        `<p title="${expected}">${expected}</p>`,
      );
    });
  }

  it('takes its own markup as it is, one by one or in rows', () => {
    const rows = ['<a>', 'b'].map((name, i) => markup`<li>${i}: ${name}</li>`);
    assert.equal(markup`<b>${rows}</b>`.text, '<b><li>0: &lt;a&gt;</li><li>1: b</li></b>');
  });
});
