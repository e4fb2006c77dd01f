import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { canonicalJson, parseCanonicalJson, type JsonObject } from '../../verifier/json.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import { PRIME } from '../../verifier/secret-sharing/field.ts';
import { formatShare, parseShare, SHARE_FILE_BYTES_MAX, type KeyShare } from './share-file.ts';

const { publicKey } = SigningKey.fromSeed(new Uint8Array(32).fill(7));
const SHARE: KeyShare = {
  header: { backup: 'ab'.repeat(16), name: 'alice', publicKey, shares: 5, threshold: 3 },
  share: { index: 2, value: PRIME - 1n },
};
const TEXT = formatShare(SHARE);

/** The text with other fields, and the digest that belongs to them: what a holder can write. */
function altered(fields: JsonObject): string {
  const whole = parseCanonicalJson(TEXT.trimEnd(), SHARE_FILE_BYTES_MAX) as JsonObject;
  const kept = Object.entries(whole).filter(([name]) => name !== 'digest');
  const rest = { ...Object.fromEntries(kept), ...fields };
  const digest = createHash('sha256').update(canonicalJson(rest)).digest('hex');
  return canonicalJson({ ...rest, digest });
}

describe('a share file', () => {
  it('is read as it was written', () => {
    assert.deepEqual(parseShare(TEXT), SHARE);
    assert.equal(formatShare(parseShare(TEXT)), TEXT);
    assert.deepEqual(parseShare(altered({})), SHARE, 'the digest is that of everything else');
    assert.equal(TEXT.length < SHARE_FILE_BYTES_MAX, true);
  });

  it('is refused with any one character changed, dropped or doubled', () => {
    fc.assert(
      fc.property(
        fc.nat(TEXT.length - 2),
        fc.string({ minLength: 0, maxLength: 2 }),
        (at, with_) => {
          fc.pre(TEXT[at] !== with_);
          assert.throws(() => parseShare(TEXT.slice(0, at) + with_ + TEXT.slice(at + 1)));
        },
      ),
      { numRuns: 500 },
    );
  });

  const cases: readonly (readonly [why: string, text: string])[] = [
    ['another version', altered({ format: 'bftpkg-share/v2' })],
    ['an index of 0', altered({ index: 0 })],
    ['an index above the number of shares', altered({ index: 6 })],
    ['a threshold above the number of shares', altered({ threshold: 6 })],
    ['a threshold of one', altered({ threshold: 1 })],
    ['more shares than there can be', altered({ shares: 65 })],
    ['a value that is no element', altered({ value: 'f'.repeat(66) })],
    ['a short value', altered({ value: '00' })],
    ['a backup without a whole identity', altered({ backup: 'ab' })],
    ['a public key of small order', altered({ publicKey: '00'.repeat(32) })],
    ['a field more', altered({ more: 1 })],
    ['spaces', TEXT.replace('{', '{ ')],
    ['too many bytes', TEXT + ' '.repeat(SHARE_FILE_BYTES_MAX)],
  ];
  for (const [why, text] of cases) {
    it(`is refused with ${why}`, () => assert.throws(() => parseShare(text)));
  }

  it('is told from another by everything that it says', () => {
    const digests = [
      SHARE,
      { ...SHARE, share: { ...SHARE.share, index: 3 } },
      { ...SHARE, share: { ...SHARE.share, value: 1n } },
      { ...SHARE, header: { ...SHARE.header, name: 'bob' } },
      { ...SHARE, header: { ...SHARE.header, threshold: 2 } },
    ].map((share) => /"digest":"([0-9a-f]{64})"/.exec(formatShare(share))?.[1]);
    assert.equal(new Set(digests).size, 5);
  });
});
