import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { bindingsOf, formatBaseline, parseBaseline, sameBinding } from './baseline.ts';
import type { BaselinePackage } from './policy.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';

const SRI = formatSri(new Uint8Array(64).fill(3));
const ENTRY = 'ab'.repeat(32);

const PACKAGES: readonly BaselinePackage[] = [
  { name: 'b', version: null, binding: { kind: 'entry', sha256: ENTRY }, codes: ['BP6006'] },
  {
    name: 'a',
    version: '1.0.0',
    binding: { kind: 'integrity', sri: SRI },
    codes: ['BP6004', 'BP5003'],
  },
];

describe('a baseline file', () => {
  it('reads what it writes, sorted, whatever the order was', () => {
    const text = formatBaseline(PACKAGES);
    assert.equal(formatBaseline(PACKAGES.toReversed()), text);
    const read = parseBaseline(text, 'x').packages;
    assert.deepEqual(
      read.map(({ name }) => name),
      ['a', 'b'],
    );
    assert.deepEqual(read.at(0)?.codes, ['BP5003', 'BP6004']);
    assert.equal(formatBaseline(read), text);
  });

  const good = { name: 'a', version: '1.0.0', integrity: SRI, codes: ['BP5003'] };
  const file = (fields: object): string =>
    JSON.stringify({ format: 'bftpkg-baseline/v1', packages: [{ ...good, ...fields }] });
  const refused: readonly (readonly [string, string])[] = [
    ['no JSON', '{'],
    ['another format', '{"format":"bftpkg-baseline/v2","packages":[]}'],
    ['an unknown key', '{"format":"bftpkg-baseline/v1","packages":[],"x":1}'],
    ['no packages', '{"format":"bftpkg-baseline/v1"}'],
    ['a line that is tied to nothing', file({ integrity: undefined })],
    ['a line that is tied twice', file({ entry: ENTRY })],
    ['a digest that is none', file({ integrity: 'sha512-x' })],
    ['a weak digest', file({ integrity: 'sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA=' })],
    ['a short hash', file({ integrity: undefined, entry: 'abcd' })],
    ['no code', file({ codes: [] })],
    ['an unknown code', file({ codes: ['BP0000'] })],
    ['a code for tampering', file({ codes: ['BP1003'] })],
    ['a code for a revocation', file({ codes: ['BP5001'] })],
    ['a name that is none', file({ name: 7 })],
    ['a misspelled field', file({ integritty: SRI })],
  ];
  for (const [why, text] of refused) {
    it(`is refused: ${why}`, () => assert.throws(() => parseBaseline(text, 'x')));
  }

  it('is refused when it is cut off, wherever', () => {
    const text = file({});
    parseBaseline(text, 'x');
    for (let length = 0; length < text.length; length++) {
      assert.throws(() => parseBaseline(text.slice(0, length), 'x'), `cut at ${length}`);
    }
  });
});

describe('bindingsOf', () => {
  const at = (line: number | null, found: string | null = null) => ({
    digest: { found },
    location: line === null ? null : { line },
  });

  it('prefers the digest, wherever the entry stands', () => {
    const binding = bindingsOf('a\nb\n', [1])(at(1, SRI));
    assert.deepEqual(binding, { kind: 'integrity', sri: SRI });
    assert.ok(sameBinding({ kind: 'integrity', sri: SRI }, binding));
  });

  it('ties to the words up to the next entry, and to no others', () => {
    const of = (text: string, line: number): unknown => bindingsOf(text, [1, 3, 5])(at(line));
    const text = 'a\n1\nb\n2\nc\n3\n';
    assert.deepEqual(of(text, 3), of(text.replace('1', '9').replace('3', '9'), 3));
    assert.notDeepEqual(of(text, 3), of(text.replace('2', '9'), 3));
    assert.notDeepEqual(of(text, 5), of(text.replace('3', '9'), 5), 'the last one to the end');
    assert.notDeepEqual(of(text, 1), of(text, 3));
  });

  it('ties to nothing what has no place or no text', () => {
    assert.equal(bindingsOf('a\n', [1])(at(null)), undefined);
    assert.equal(bindingsOf('a\n', [1])(at(2)), undefined);
    assert.equal(bindingsOf(undefined, [1])(at(1)), undefined);
    assert.equal(sameBinding({ kind: 'entry', sha256: ENTRY }, undefined), false);
    assert.equal(
      sameBinding({ kind: 'entry', sha256: ENTRY }, { kind: 'integrity', sri: ENTRY }),
      false,
    );
  });
});
