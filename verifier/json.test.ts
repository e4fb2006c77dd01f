import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { VerifyError } from './errors.ts';
import { JSON_DEPTH_MAX, canonicalJson, parseCanonicalJson, type JsonValue } from './json.ts';

const LENGTH_MAX = 10_000;

/** The rule itself, the long way: what is read is what would be written. */
function oracle(text: string): boolean {
  try {
    return canonicalJson(JSON.parse(text) as JsonValue) === text;
  } catch {
    return false;
  }
}

function accepts(text: string): boolean {
  try {
    parseCanonicalJson(text, LENGTH_MAX);
    return true;
  } catch (error) {
    assert.ok(error instanceof VerifyError, String(error));
    assert.equal(error.code, 'JSON_MALFORMED');
    return false;
  }
}

/** `depth` arrays around a value. */
const nested = (depth: number, inner: string): string =>
  `${'['.repeat(depth)}${inner}${']'.repeat(depth)}`;

const ROWS: readonly (readonly [why: string, text: string, good: boolean])[] = [
  ['an object', '{"a":1,"b":[true,false,null],"c":"é"}', true],
  ['the empty key comes first', '{"":1,"a":2}', true],
  ['keys out of order', '{"b":1,"a":1}', false],
  ['keys out of order, further in', '{"a":[{"b":1,"a":1}]}', false],
  ['keys by UTF-16 units, not by code points', '{"\ud83d\ude00":1,"\uffff":2}', true],
  ['keys by code points', '{"\uffff":2,"\ud83d\ude00":1}', false],
  ['keys like numbers in the order of texts', '{"10":1,"9":2}', true],
  ['keys like numbers in the order of numbers', '{"9":2,"10":1}', false],
  ['one key twice', '{"a":1,"a":1}', false],
  ['one key twice, other values', '{"a":1,"a":2}', false],
  ['a prototype', '{"__proto__":1}', false],
  ['a prototype, further in', '{"a":[{"__proto__":{}}]}', false],
  ['white space', '{"a": 1}', false],
  ['a line end', '1\n', false],
  ['a fraction', '1.5', false],
  ['a fraction that is whole', '1.0', false],
  ['an exponent', '1e2', false],
  ['a number as JSON.stringify writes it, not safe', '1e+21', false],
  ['the largest safe integer', '9007199254740991', true],
  ['one more', '9007199254740992', false],
  ['minus zero', '-0', false],
  ['minus zero, further in', '{"a":[-0]}', false],
  ['a negative integer', '-1', true],
  ['an escape that has to be', '"\\n\\"\\\\"', true],
  ['a control character', '"\\u0001"', true],
  ['an escape in capitals', '"\\u001F"', false],
  ['an escape that need not be', '"\\u0061"', false],
  ['a slash escaped', '"\\/"', false],
  ['a pair of surrogates', '"\ud83d\ude00"', true],
  ['a pair of surrogates, escaped', '"\\ud83d\\ude00"', false],
  ['a lone surrogate, escaped', '"\\ud800"', false],
  ['a lone surrogate, escaped, in a key', '{"\\udc00":1}', false],
  ['a lone surrogate', '"\ud800"', false],
  ['a backslash before ud', '"\\\\ud"', true],
  ['as deep as may be', nested(JSON_DEPTH_MAX, '1'), true],
  ['an empty array as deep as may be', nested(JSON_DEPTH_MAX + 1, ''), true],
  ['a value too deep', nested(JSON_DEPTH_MAX + 1, '1'), false],
  ['an object too deep', nested(JSON_DEPTH_MAX + 1, '{}'), false],
  ['as deep as the text allows', nested(LENGTH_MAX / 2, ''), false],
  ['nothing', '', false],
  ['two values', '1 2', false],
];

describe('parseCanonicalJson', () => {
  for (const [why, text, good] of ROWS) {
    it(`${good ? 'reads' : 'refuses'} ${why}`, () => {
      assert.equal(accepts(text), good);
      assert.equal(oracle(text), good, 'the rule itself');
    });
  }

  it('refuses what is longer than its bound before it looks at it', () => {
    assert.ok(accepts(`"${'a'.repeat(LENGTH_MAX - 2)}"`));
    assert.ok(!accepts(`"${'a'.repeat(LENGTH_MAX - 1)}"`));
  });

  it('refuses every prefix of a document', () => {
    const text = '{"a":[1,"b",{"c":null}],"d":true}';
    for (let end = 0; end < text.length; end++) assert.ok(!accepts(text.slice(0, end)), `${end}`);
  });

  it('agrees with the rule on literals, however they are spelled', () => {
    const parts = [
      'a',
      '"',
      '\\',
      '\\"',
      '\\\\',
      '\\n',
      '\\/',
      '\\u0041',
      '\\ud800',
      '\\u007f',
      '\u007f',
      'é',
      '\u0001',
      ' ',
      '\ud800',
    ];
    const around = fc.constantFrom('', '', '', ' ', '\n', '\ufeff');
    const inside = fc.array(fc.constantFrom(...parts), { maxLength: 6 });
    let good = 0;
    fc.assert(
      fc.property(around, inside, around, (before, pieces, behind) => {
        const text = `${before}"${pieces.join('')}"${behind}`;
        const expected = oracle(text);
        if (expected) good += 1;
        assert.equal(accepts(text), expected, text);
      }),
      { numRuns: 3_000 },
    );
    assert.ok(good >= 100, `only ${good} good literals were made`);
  });

  it('agrees with the rule on whatever JSON there is', () => {
    const key = fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom('__proto__', '9', '10', 'a'));
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small' },
        fc.oneof(fc.integer(), fc.double(), fc.boolean(), fc.constant(null)),
        fc.string({ unit: 'binary', maxLength: 5 }),
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
      ),
    }));
    let good = 0;
    fc.assert(
      fc.property(tree, fc.boolean(), (value, inOrder) => {
        let text = JSON.stringify(value);
        try {
          if (inOrder) text = canonicalJson(value as JsonValue);
        } catch {
          // It has no canonical text: then neither has what JSON.stringify makes of it.
        }
        const expected = oracle(text);
        if (expected) good += 1;
        assert.equal(accepts(text), expected, text);
      }),
      { numRuns: 2_000 },
    );
    assert.ok(good >= 500, `only ${good} good documents were made`);
  });
});
