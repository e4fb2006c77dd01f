import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import type { JsonValue } from '../../verifier/json.ts';
import { CliError } from '../errors.ts';
import { parsePlainYaml } from './plain-yaml.ts';

function read(text: string): JsonValue {
  return JSON.parse(JSON.stringify(parsePlainYaml(text, 'x.yaml').value)) as JsonValue;
}

/** True for the one error that a reader may throw. */
function isUnreadable(error: unknown): boolean {
  return error instanceof CliError && error.diagnostic.code === 'BP9005';
}

const SAMPLES = ['pnpm-6/pnpm-lock.yaml', 'pnpm-9/pnpm-lock.yaml', 'yarn-berry/yarn.lock'];

function sample(name: string): string {
  return readFileSync(new URL(`../../fixtures/lockfiles/${name}`, import.meta.url), 'utf8');
}

describe('parsePlainYaml', () => {
  const accepted: readonly (readonly [string, string, JsonValue])[] = [
    ['nothing', '', {}],
    ['comments and empty lines', '# a\n\n  # b\n', {}],
    ['a table', 'a: 1\nb: x y\n', { a: '1', b: 'x y' }],
    [
      'scalars as texts',
      'a: 1.10\nb: true\nc: null\nd: 1e3\n',
      { a: '1.10', b: 'true', c: 'null', d: '1e3' },
    ],
    [
      'nested tables',
      'a:\n  b:\n    c: d\n  e: f\ng: h\n',
      { a: { b: { c: 'd' }, e: 'f' }, g: 'h' },
    ],
    [
      'keys with colons and at signs',
      '/@s/a@1.0.0(b@2):\n  x: y\n',
      { '/@s/a@1.0.0(b@2)': { x: 'y' } },
    ],
    ['single quotes', "'@s/a': 'it''s'\n", { '@s/a': "it's" }],
    ['double quotes', '"a: b": "c\\u0041\\n"\n', { 'a: b': 'cA\n' }],
    ['a list', 'a:\n  - b\n  - "c"\n', { a: ['b', 'c'] }],
    ['a list right below its key', 'a:\n- b\nc: d\n', { a: ['b'], c: 'd' }],
    [
      'inline tables and lists',
      'a: {b: c, d: [e, "f, g"], h: {}}\n',
      { a: { b: 'c', d: ['e', 'f, g'], h: {} } },
    ],
    [
      'addresses inline',
      'a: {tarball: https://x.example/a.tgz, b: c}\n',
      { a: { tarball: 'https://x.example/a.tgz', b: 'c' } },
    ],
    ['an empty value', 'a:\nb: c\n', { a: '', b: 'c' }],
    ['a text over lines', 'a: |-\n  one\n\n  two: x\nb: c\n', { a: 'one\n\ntwo: x', b: 'c' }],
    ['a long key', '? "a, b"\n:\n  c: d\n', { 'a, b': { c: 'd' } }],
    ['Windows line ends', 'a:\r\n  b: c\r\n', { a: { b: 'c' } }],
    ['a document mark at the start', '---\na: b\n', { a: 'b' }],
    ['names of prototypes', 'constructor: a\ntoString: b\n', { constructor: 'a', toString: 'b' }],
  ];
  for (const [why, text, value] of accepted) {
    it(`reads ${why}`, () => assert.deepEqual(read(text), value));
  }

  // Each is understood differently by different YAML readers, or not at all.
  const refused: readonly (readonly [string, string])[] = [
    ['duplicate keys', 'a: 1\na: 2\n'],
    ['duplicate keys in different quotes', 'a: 1\n"\\u0061": 2\n'],
    ['duplicate keys inline', 'a: {b: 1, b: 2}\n'],
    ['__proto__', '__proto__: a\n'],
    ['__proto__ inline', 'a: {__proto__: b}\n'],
    ['a merge key', 'a:\n  <<: b\n'],
    ['an anchor', 'a: &x b\n'],
    ['an alias', 'a: *x\n'],
    ['a tag', 'a: !!binary b\n'],
    ['a directive', '%YAML 1.2\na: b\n'],
    ['a second document', 'a: b\n---\nc: d\n'],
    ['an end mark', 'a: b\n...\n'],
    ['a tab as indentation', 'a:\n\tb: c\n'],
    ['a tab in a value', 'a: b\tc\n'],
    ['a comment behind a value', 'a: b # c\n'],
    ['a text that goes on in the next line', 'a: b\n  c\n'],
    ['a quoted text that goes on', 'a: "b\n  c"\n'],
    ['two keys on a line', 'a: b: c\n'],
    ['a key without a colon', 'a\n'],
    ['a value without a key', ': a\n'],
    ['a list at the top', 'a: b\n- c\n'],
    ['a table in a list', 'a:\n  - b: c\n'],
    ['an odd indentation', 'a:\n    b: c\n  d: e\n'],
    ['more indentation out of nowhere', 'a: b\n  c: d\n'],
    ['less at the end than at the start', '  a: b\nc: d\n'],
    ['an inline table over lines', 'a: {b: c,\n  d: e}\n'],
    ['an inline table without an end', 'a: {b: c\n'],
    ['something behind an inline table', 'a: {b: c} d\n'],
    ['an escape of YAML alone', 'a: "\\x41"\n'],
    ['a quote in the middle of quotes', "a: 'b' c'\n"],
    ['a folded text with a number', 'a: |2\n  b\n'],
    ['a null byte', 'a: b\0c\n'],
    ['a line separator of Unicode', 'a: b\u2028c: d\n'],
    ['a lone surrogate', 'a: \ud800\n'],
    ['depth', Array.from({ length: 40 }, (_, i) => `${' '.repeat(i)}a:\n`).join('')],
    ['depth inline', `a: ${'['.repeat(40)}${']'.repeat(40)}\n`],
  ];
  for (const [why, text] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => read(text), isUnreadable);
    });
  }

  it('refuses bytes that are not UTF-8', () => {
    assert.throws(() => parsePlainYaml(new Uint8Array([0x61, 0xff]), 'x'), isUnreadable);
  });

  it('knows the lines of keys', () => {
    const { value, lineOf } = parsePlainYaml('a:\n  b: c\n\n  d: e\n', 'x');
    const inner = (value as { a: object }).a;
    assert.equal(lineOf(inner, 'd'), 4);
    assert.equal(lineOf(inner, 'none'), undefined);
  });

  for (const name of SAMPLES) {
    it(`reads or refuses ${name} cut at any byte, and never anything else`, () => {
      // A part that has every construct of the file; all of it would take a quarter of a minute.
      const text = sample(name).slice(0, 2500);
      let refusals = 0;
      for (let length = 0; length < text.length; length++) {
        try {
          parsePlainYaml(text.slice(0, length), 'x');
        } catch (error) {
          assert.ok(isUnreadable(error), `${length}: ${String(error)}`);
          refusals++;
        }
      }
      assert.ok(refusals > text.length / 10, 'most cuts within a line are noticed');
    });
  }
});
