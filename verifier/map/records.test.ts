import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { sha256 } from '@noble/hashes/sha2.js';
import * as fc from 'fast-check';

import { concat, utf8 } from '../bytes.ts';
import { encodeHex } from '../encoding.ts';
import { VerifyError } from '../errors.ts';
import { ObjectReader, canonicalJson, parseCanonicalJson } from '../json.ts';
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

// Plain records are read by the form that they have; the long way is parsed, written back, compared.
describe('records by form', () => {
  const slowPackage = (bytes: Uint8Array): unknown => {
    const reader = new ObjectReader(parseCanonicalJson(bytes, 1024), '');
    const latest = reader.required('latest');
    const record = {
      latest: latest === null ? null : reader.string('latest', 256),
      maintainers: reader.integer('maintainers', 0),
      releases: reader.integer('releases', 0),
      sequence: reader.integer('sequence', 0),
    };
    reader.end();
    return record;
  };
  const slowRelease = (bytes: Uint8Array): unknown => {
    const reader = new ObjectReader(parseCanonicalJson(bytes, 1024), '');
    const withdrawal =
      reader.required('withdrawal') === null ? null : reader.integer('withdrawal', 0);
    const statement = reader.string('statement', 64);
    const status = reader.oneOf('status', ['active', 'yanked', 'revoked']);
    const index = reader.integer('index', 0);
    reader.end();
    if (!/^[0-9a-f]{64}$/.test(statement)) return undefined;
    return status !== 'active' && withdrawal === null
      ? undefined
      : { index, statement, status, withdrawal };
  };
  const outcomeOf = (read: () => unknown): unknown => {
    try {
      return read();
    } catch (error) {
      assert.ok(error instanceof VerifyError, String(error));
      return undefined;
    }
  };
  const active = `{"index":9,"statement":"${STATEMENT}","status":"active","withdrawal":null}`;
  const texts = [PACKAGE, PACKAGE.replace('"1.2.3"', 'null'), RELEASE, active];
  const pieces = ['', '"', '0', '1', '-', 'e1', '.', ' ', ',', 'null', 'g', 'é', '\\u0031', '\n'];
  const wide = ['9007199254740991', '9007199254740992', '999999999999999', '1000000000000000'];

  it('agrees with the long way wherever one piece is put in or replaces a character', () => {
    let good = 0;
    for (const text of texts) {
      for (let at = 0; at <= text.length; at++) {
        for (const piece of [...pieces, ...wide]) {
          const bytes = utf8(text.slice(0, at) + piece + text.slice(at + (at % 2)));
          const found = outcomeOf(() => parsePackageRecord(bytes));
          assert.deepEqual(
            found,
            outcomeOf(() => slowPackage(bytes)),
          );
          const release = outcomeOf(() => parseReleaseRecord(bytes));
          assert.deepEqual(
            release,
            outcomeOf(() => slowRelease(bytes)),
          );
          if (found !== undefined || release !== undefined) good += 1;
        }
      }
    }
    assert.ok(good >= 100, `only ${good} were still good`);
  });

  it('agrees with the long way on damaged records', () => {
    const edit = fc.record({
      at: fc.nat(140),
      length: fc.nat(2),
      piece: fc.oneof(
        fc.constantFrom(...pieces, ...wide).map((piece) => utf8(piece)),
        fc.uint8Array({ minLength: 1, maxLength: 2 }),
      ),
    });
    let good = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...texts),
        fc.array(edit, { minLength: 1, maxLength: 2 }),
        (text, edits) => {
          let bytes = utf8(text);
          for (const { at, length, piece } of edits) {
            const start = at % (bytes.length + 1);
            bytes = concat(bytes.subarray(0, start), piece, bytes.subarray(start + length));
          }
          const found = [
            outcomeOf(() => parsePackageRecord(bytes)),
            outcomeOf(() => parseReleaseRecord(bytes)),
          ];
          const slow = [outcomeOf(() => slowPackage(bytes)), outcomeOf(() => slowRelease(bytes))];
          assert.deepEqual(found, slow);
          if (found.some((one) => one !== undefined)) good += 1;
        },
      ),
      { numRuns: 4_000 },
    );
    assert.ok(good >= 20, `only ${good} damaged records were still good`);
  });
});
