import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { sha256 } from '@noble/hashes/sha2.js';
import * as fc from 'fast-check';

import { utf8 } from '../bytes.ts';
import { encodeHex } from '../encoding.ts';
import { VerifyError } from '../errors.ts';
import { canonicalJson } from '../json.ts';
import { decodeUtf8 } from '../text.ts';
import { packageKey, releaseKey } from './keys.ts';
import {
  formatPackageRecord,
  formatReleaseRecord,
  parsePackageRecord,
  parseReleaseRecord,
} from './records.ts';

const STATEMENT = 'ab'.repeat(32);
const PACKAGE = '{"latest":"1.2.3","maintainers":7,"releases":2,"sequence":1}';
const RELEASE = `{"index":9,"statement":"${STATEMENT}","status":"yanked","withdrawal":12}`;

const refused = (error: unknown): boolean =>
  error instanceof VerifyError && error.code === 'MAP_MALFORMED';

describe('packageKey and releaseKey', () => {
  it('hash the texts of DESIGN section 4.6', () => {
    assert.equal(encodeHex(packageKey('@a/b')), encodeHex(sha256(utf8('package/@a/b'))));
    assert.equal(
      encodeHex(releaseKey('@a/b', '1.0.0')),
      encodeHex(sha256(utf8('release/@a/b@1.0.0'))),
    );
  });
});

describe('parsePackageRecord', () => {
  it('round-trips', () => {
    const record = parsePackageRecord(utf8(PACKAGE));
    assert.deepEqual(record, { maintainers: 7, sequence: 1, releases: 2, latest: '1.2.3' });
    assert.equal(decodeUtf8(formatPackageRecord(record)), PACKAGE);
    const none = { maintainers: 0, sequence: 0, releases: 0, latest: null };
    assert.deepEqual(parsePackageRecord(formatPackageRecord(none)), none);
  });
  const refusals: readonly (readonly [why: string, text: string])[] = [
    ['a missing field', '{"latest":null,"maintainers":7,"releases":2}'],
    ['a field too many', '{"latest":null,"maintainers":7,"more":1,"releases":2,"sequence":1}'],
    ['white space', '{"latest": null,"maintainers":7,"releases":2,"sequence":1}'],
    ['a negative index', '{"latest":null,"maintainers":-1,"releases":2,"sequence":1}'],
    ['a number as latest', '{"latest":1,"maintainers":7,"releases":2,"sequence":1}'],
    ['a list', '[]'],
    [
      'bytes beyond the bound',
      `{"latest":"${'9'.repeat(1100)}","maintainers":7,"releases":2,"sequence":1}`,
    ],
  ];
  for (const [why, text] of refusals) {
    it(`refuses ${why}`, () => assert.throws(() => parsePackageRecord(utf8(text)), refused));
  }
  it('refuses the record cut at every byte', () => {
    for (let end = 0; end < PACKAGE.length; end++) {
      assert.throws(
        () => parsePackageRecord(utf8(PACKAGE.slice(0, end))),
        refused,
        `cut at ${end}`,
      );
    }
  });
});

describe('parseReleaseRecord', () => {
  it('round-trips', () => {
    const record = parseReleaseRecord(utf8(RELEASE));
    assert.deepEqual(record, { index: 9, statement: STATEMENT, status: 'yanked', withdrawal: 12 });
    assert.equal(decodeUtf8(formatReleaseRecord(record)), RELEASE);
  });
  const refusals: readonly (readonly [why: string, text: string])[] = [
    ['an unknown status', RELEASE.replace('yanked', 'fine')],
    ['revoked without a withdrawal', RELEASE.replace('yanked', 'revoked').replace('12', 'null')],
    ['upper-case hex', RELEASE.replace(STATEMENT, STATEMENT.toUpperCase())],
    ['a short hash', RELEASE.replace(STATEMENT, 'abab')],
    ['a package record', PACKAGE],
  ];
  for (const [why, text] of refusals) {
    it(`refuses ${why}`, () => assert.throws(() => parseReleaseRecord(utf8(text)), refused));
  }
});

describe('formatPackageRecord and formatReleaseRecord', () => {
  const format = (write: () => Uint8Array): string => {
    try {
      return decodeUtf8(write());
    } catch (error) {
      assert.ok(error instanceof VerifyError, 'a refusal');
      return error.code;
    }
  };
  // Also numbers and texts that no record of ours has: what has no canonical text is refused, not written.
  const number = fc.oneof(fc.maxSafeInteger(), fc.constantFrom(-0, 0.5, 2 ** 53, Number.NaN, 1e21));
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\ud800', 'a"b\\c', '\u007f\u2028', '\ud83d\ude00'),
  );
  const either = fc.oneof(number, fc.constant(null));

  it('write canonical JSON', () => {
    fc.assert(
      fc.property(number, number, number, fc.oneof(text, fc.constant(null)), (a, b, c, latest) => {
        const record = { maintainers: a, sequence: b, releases: c, latest };
        assert.equal(
          format(() => formatPackageRecord(record)),
          format(() => utf8(canonicalJson(record))),
        );
      }),
    );
    fc.assert(
      fc.property(number, text, either, (index, statement, withdrawal) => {
        const record = { index, statement, status: 'active' as const, withdrawal };
        assert.equal(
          format(() => formatReleaseRecord(record)),
          format(() => utf8(canonicalJson(record))),
        );
      }),
    );
  });
});
