import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import { formatSri, parseSri } from './integrity.ts';

const digest = Uint8Array.from(createHash('sha512').update('left-pad').digest());
const base64 = Buffer.from(digest).toString('base64');
const good = `sha512-${base64}`;
const other = `sha512-${createHash('sha512').update('evil').digest('base64')}`;

describe('parseSri', () => {
  it('reads what formatSri writes', () => {
    assert.equal(formatSri(digest), good);
    assert.deepEqual(parseSri(good), digest);
  });

  const refused: readonly [string, string][] = [
    ['nothing', ''],
    ['SHA-1', `sha1-${createHash('sha1').update('x').digest('base64')}`],
    ['SHA-256', `sha256-${createHash('sha256').update('x').digest('base64')}`],
    ['an algorithm that npm skips', good.replace('sha512', 'sha513')],
    ['two hashes, of which npm takes any', `${good} ${other}`],
    ['the same hash twice', `${good} ${good}`],
    ['a second algorithm', `${good} sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=`],
    ['options', `${good}?x`],
    ['a capital letter in the algorithm', good.replace('sha', 'SHA')],
    ['a space in front', ` ${good}`],
    ['a newline behind', `${good}\n`],
    ['a digest without padding', good.replace(/=+$/, '')],
    ['the URL alphabet', `sha512-${'_'.repeat(86)}==`],
    ['spare bits', `${good.slice(0, -3)}${good.at(-3) === 'B' ? 'C' : 'B'}==`],
    ['a digest of 65 bytes in as many characters', `sha512-${'A'.repeat(87)}=`],
    ['a digest of 66 bytes in as many characters', `sha512-${'A'.repeat(88)}`],
    ['hexadecimal', `sha512-${Buffer.from(digest).toString('hex')}`],
  ];
  for (const [why, text] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => parseSri(text), { code: 'ENCODING_MALFORMED' });
    });
  }

  it('refuses every proper beginning', () => {
    for (let end = 0; end < good.length; end++) {
      assert.throws(() => parseSri(good.slice(0, end)), { code: 'ENCODING_MALFORMED' });
    }
  });
});

describe('formatSri', () => {
  it('takes a digest of another length for a bug', () => {
    assert.throws(() => formatSri(new Uint8Array(32)), { name: 'AssertionError' });
  });
});
