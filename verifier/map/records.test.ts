import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { sha256 } from '@noble/hashes/sha2.js';

import { utf8 } from '../bytes.ts';
import { encodeHex } from '../encoding.ts';
import { VerifyError } from '../errors.ts';
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
