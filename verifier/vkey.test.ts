import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parsePublicKey } from './ed25519.ts';
import { decodeHex } from './encoding.ts';
import { formatVerifierKey, makeVerifierKey, parseVerifierKey } from './vkey.ts';

// C2SP signed-note, and a real log's.
const EXAMPLE = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
const REAL = 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8';
const key = parsePublicKey(
  decodeHex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'),
);

describe('parseVerifierKey', () => {
  const rows: readonly [string, string, number][] = [
    [EXAMPLE, 'example.com/foo', 0x530d903a],
    [REAL, 'sum.golang.org', 0x033de0ae],
  ];
  for (const [text, name, keyHash] of rows) {
    it(`reads ${name}`, () => {
      const parsed = parseVerifierKey(text);
      assert.equal(parsed.name, name);
      assert.equal(parsed.keyHash, keyHash);
      assert.equal(parsed.type, 1);
      assert.equal(formatVerifierKey(parsed), text);
    });
  }

  it('keeps the purposes of one key apart', () => {
    const log = makeVerifierKey('r1', 0x01, key);
    const witness = makeVerifierKey('r1', 0x04, key);
    assert.notEqual(log.keyHash, witness.keyHash);
    assert.deepEqual(parseVerifierKey(formatVerifierKey(witness)), witness);
  });

  const refused: readonly [string, string, string][] = [
    ['nothing', '', 'KEY_MALFORMED'],
    ['a name only', 'example.com/foo', 'KEY_MALFORMED'],
    ['no key', 'example.com/foo+530d903a', 'KEY_MALFORMED'],
    ['an empty key', 'example.com/foo+530d903a+', 'FORMAT_UNSUPPORTED'],
    ['another name', EXAMPLE.replace('foo', 'fop'), 'KEY_MALFORMED'],
    ['another hash', EXAMPLE.replace('530d903a', '530d903b'), 'KEY_MALFORMED'],
    ['a hash in capitals', EXAMPLE.replace('530d903a', '530D903A'), 'KEY_MALFORMED'],
    ['a shorter hash', REAL.replace('033de0ae', '33de0ae'), 'KEY_MALFORMED'],
    ['another type', EXAMPLE.replace('+Aeky', '+Aumy'), 'FORMAT_UNSUPPORTED'],
    ['no padding where none is due', `${EXAMPLE}=`, 'KEY_MALFORMED'],
    ['a line end', `${EXAMPLE}\n`, 'KEY_MALFORMED'],
    ['a space in front', ` ${EXAMPLE}`, 'KEY_MALFORMED'],
    ['no name', EXAMPLE.slice('example.com/foo'.length), 'KEY_MALFORMED'],
    ['a URL alphabet', REAL.replace('eza+HJ', 'eza-HJ'), 'KEY_MALFORMED'],
    ['far too much', `${EXAMPLE}${'A'.repeat(1e6)}`, 'KEY_MALFORMED'],
  ];
  for (const [why, text, code] of refused) {
    it(`refuses ${why}`, () => assert.throws(() => parseVerifierKey(text), { code }));
  }

  it('refuses it cut off anywhere', () => {
    for (let end = 0; end < REAL.length; end++) {
      assert.throws(() => parseVerifierKey(REAL.slice(0, end)), { name: 'VerifyError' }, `${end}`);
    }
  });

  it('refuses a key of small order', () => {
    const identity = `AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA`;
    assert.throws(() => parseVerifierKey(`a+00000000+${identity}`), { code: 'KEY_MALFORMED' });
  });
});

describe('makeVerifierKey', () => {
  const names: readonly [string, string][] = [
    ['nothing', ''],
    ['a space', 'a b'],
    ['a no-break space', 'a\u00a0b'],
    ['a plus sign', 'a+b'],
    ['a newline', 'a\nb'],
    ['an escape character', 'a\u001bb'],
    ['a right-to-left mark', 'a\u202eb'],
    ['an invisible character', 'a\u200bb'],
    ['a lone surrogate', 'a\ud800b'],
    ['256 characters', 'a'.repeat(256)],
  ];
  for (const [why, name] of names) {
    it(`refuses a name with ${why}`, () => {
      assert.throws(() => makeVerifierKey(name, 0x04, key), { code: 'KEY_MALFORMED' });
    });
  }
});
