import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { JSON_MEMBERS_MAX, JSON_VALUES_MAX, parseForeignJson } from './foreign-json.ts';

const LENGTH_MAX = 20_000_000;
const parse = (source: string | Uint8Array): unknown =>
  parseForeignJson(source, { lengthMax: LENGTH_MAX }).value;
/** Our objects have no prototype; deepEqual minds. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('parseForeignJson', () => {
  const accepted: readonly [string, string][] = [
    ['an object', '{"a":1,"b":[true,false,null],"c":{"d":"e"}}'],
    ['white space of all four kinds', ' \t\r\n{ \t\r\n"a" \t\r\n: \t\r\n[ 1 , 2 ] , "b" : 0 } \n'],
    ['empty containers', '{"a":{},"b":[],"c":[ ],"d":{ }}'],
    ['escapes', String.raw`{"a\u0062\n\"\\\/\ud83d\ude00":"\b\f\r\té"}`],
    ['numbers', '[0,-0.5,1e3,1E+2,1.25e-2,-7]'],
    ['a number alone', '12'],
    ['a string alone', '"x"'],
    ['the depth of 32', `${'['.repeat(32)}1${']'.repeat(32)}`],
    ['keys that objects have by birth', '{"constructor":1,"toString":2,"hasOwnProperty":3}'],
  ];
  for (const [why, text] of accepted) {
    it(`reads ${why}`, () => {
      assert.deepEqual(plain(parse(text)), JSON.parse(text));
      assert.deepEqual(plain(parse(new TextEncoder().encode(text))), JSON.parse(text));
    });
  }

  const refused: readonly [string, string][] = [
    ['nothing', ''],
    ['white space only', ' \n'],
    ['two values', '1 2'],
    ['a comma at the end of an object', '{"a":1,}'],
    ['a comma at the end of an array', '[1,]'],
    ['a comma at the start', '[,1]'],
    ['a key without quotes', '{a:1}'],
    ['single quotes', "{'a':1}"],
    ['a comment', '{/**/"a":1}'],
    ['a missing colon', '{"a" 1}'],
    ['duplicate keys', '{"a":1,"a":1}'],
    ['keys that are equal after unescaping', String.raw`{"a":1,"\u0061":2}`],
    ['duplicate keys far down', '[[{"x":{"a":1,"b":2,"a":3}}]]'],
    ['__proto__', '{"__proto__":{"a":1}}'],
    ['__proto__ in escapes', String.raw`{"\u005f_proto__":1}`],
    ['an escaped lone surrogate', String.raw`"\ud800"`],
    ['an escaped lone surrogate in a key', String.raw`{"\udc00":1}`],
    ['a raw lone surrogate', '"\ud800"'],
    ['a control character in a string', '"\u0001"'],
    ['a newline in a string', '"a\nb"'],
    ['a string without an end', '"abc'],
    ['an unknown escape', String.raw`"\x41"`],
    ['a short escape', String.raw`"\u12"`],
    ['a leading zero', '01'],
    ['a leading plus', '+1'],
    ['a bare minus', '-'],
    ['a bare fraction', '.5'],
    ['a fraction without digits', '1.'],
    ['an exponent without digits', '1e'],
    ['a hexadecimal number', '0x10'],
    ['a number out of range', '1e999'],
    ['NaN', 'NaN'],
    ['Infinity', 'Infinity'],
    ['a literal in capitals', 'True'],
    ['a literal with a tail', 'nullx'],
    ['a Unicode space', '\u00a0{}'],
    ['a second byte order mark', '\ufeff\ufeff{}'],
    ['a byte order mark inside', '{\ufeff}'],
    ['a vertical tab', '\u000b{}'],
    ['the depth of 33', `${'['.repeat(33)}1${']'.repeat(33)}`],
    ['a very deep nesting', '['.repeat(1_000_000)],
    [
      'too many members',
      `{${Array.from({ length: JSON_MEMBERS_MAX + 1 }, (_, i) => `"${i}":0`).join(',')}}`,
    ],
    ['too many items', `[${'0,'.repeat(JSON_MEMBERS_MAX)}0]`],
    ['too many values', `[${`[${'0,'.repeat(99_998)}0],`.repeat(JSON_VALUES_MAX / 100_000)}0]`],
  ];
  for (const [why, text] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => parse(text), { name: 'VerifyError', code: 'JSON_MALFORMED' });
    });
  }

  it('refuses a document over the given length before reading it', () => {
    assert.deepEqual(parseForeignJson('[1]', { lengthMax: 3 }).value, [1]);
    assert.throws(() => parseForeignJson('[1]', { lengthMax: 2 }), { code: 'JSON_MALFORMED' });
  });

  it('refuses bytes that are not UTF-8', () => {
    assert.throws(() => parse(Uint8Array.of(0x22, 0xc0, 0x80, 0x22)), {
      code: 'ENCODING_MALFORMED',
    });
  });

  it('drops one byte order mark, as npm does', () => {
    assert.deepEqual(plain(parse('\ufeff{"a":1}')), { a: 1 });
  });

  it('gives objects no prototype', () => {
    const value = parse('{}') as Record<string, unknown>;
    assert.equal(value['constructor'], undefined);
  });

  it('refuses every proper beginning of a document', () => {
    const text = String.raw`{"a":[1,{"b":"c\n"}],"d":true,"e":null}`;
    for (let end = 0; end < text.length; end++) {
      assert.throws(
        () => parse(text.slice(0, end)),
        { code: 'JSON_MALFORMED' },
        text.slice(0, end),
      );
    }
  });

  it('reads what JSON.stringify writes, in any layout', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(0, 2, '\t'), (value, space) => {
        const text = JSON.stringify(value, undefined, space);
        if (text.includes('__proto__') || /\\ud[89a-f]/.test(text)) return;
        assert.deepEqual(plain(parse(text)), JSON.parse(text));
      }),
      { numRuns: 500 },
    );
  });

  it('accepts nothing that JSON.parse refuses, and then means the same', () => {
    const start = '{"a": [1, -2.5e3, {"b": "c\\n\\u00e9"}], "d": true, "e": null, "f": {}}';
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.nat({ max: start.length }),
            fc.nat({ max: 2 }),
            fc.constantFrom('', '"', '\\', ',', ':', '{', '}', '[', ']', '0', 'e', ' ', '\u00a0'),
          ),
          { maxLength: 3 },
        ),
        (edits) => {
          let text = start;
          for (const [at, cut, put] of edits) text = text.slice(0, at) + put + text.slice(at + cut);
          let ours: unknown;
          try {
            ours = parse(text);
          } catch (error) {
            assert.equal((error as { code?: string }).code, 'JSON_MALFORMED');
            return;
          }
          accepted++;
          assert.deepEqual(plain(ours), JSON.parse(text));
        },
      ),
      { numRuns: 10_000 },
    );
    assert.ok(accepted > 500, `only ${accepted} mutants were JSON: the property looks at nothing`);
  });
});

describe('lineOf', () => {
  const text = [
    '{',
    '  "lockfileVersion": 3,',
    '  "packages": {',
    '    "": { "name": "x" },',
    '    "node_modules/a": {',
    '      "version": "1.0.0",',
    '      "os": [',
    '        "linux",',
    '        "darwin"',
    '      ]',
    '    }, "node_modules/b": {}',
    '  }',
    '}',
  ].join('\n');
  const rows: readonly [(string | number)[], number | undefined][] = [
    [['lockfileVersion'], 2],
    [['packages'], 3],
    [['packages', ''], 4],
    [['packages', '', 'name'], 4],
    [['packages', 'node_modules/a'], 5],
    [['packages', 'node_modules/a', 'version'], 6],
    [['packages', 'node_modules/a', 'os', 1], 9],
    [['packages', 'node_modules/b'], 11],
    [['packages', 'node_modules/c'], undefined],
    [['packages', 'node_modules/a', 'os', 2], undefined],
    [['lockfileVersion', 'x'], undefined],
    [['constructor'], undefined],
    [[], undefined],
  ];
  for (const [path, line] of rows) {
    it(`finds ${JSON.stringify(path)} on line ${line}`, () => {
      for (const [newline, mark] of [
        ['\n', ''],
        ['\r\n', '\ufeff'],
      ] as const) {
        const source = mark + text.replaceAll('\n', newline);
        assert.equal(parseForeignJson(source, { lengthMax: 1000 }).lineOf(path), line);
      }
    });
  }

  it('names the line of a refusal', () => {
    const broken = text.replace('"os"', '"version"');
    assert.throws(() => parse(broken), { message: /line 7: duplicate key "version"/ });
  });
});
