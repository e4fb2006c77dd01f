import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  assertFlipsAreCanonical,
  assertNoPrefixParses,
  changesOf,
  laterRefusalOf,
  refusalOf,
  refusesTexts,
  signedBy,
  testKey,
} from '../../fixtures/documents.ts';
import { utf8 } from '../bytes.ts';
import { statementHash, type Envelope } from '../dsse.ts';
import { keyId } from '../ed25519.ts';
import { AssertionError } from '../errors.ts';
import { parseCanonicalJson, type JsonObject, type JsonValue } from '../json.ts';
import { EMPTY_ROOT } from '../merkle/hash.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import type { SigningKey } from '../node/signing-key.ts';
import { runPlan } from '../signatures.ts';
import { decodeUtf8 } from '../text.ts';
import type { MaintainerSet } from './maintainers.ts';
import { STATEMENT_BYTES_MAX } from './payload.ts';
import {
  RELEASE_BYTES_MAX,
  RELEASE_PAYLOAD_TYPE,
  RELEASE_SUBJECTS_MAX,
  formatRelease,
  parseRelease,
  planRelease,
  type ReleaseSubjectFields,
  type VerifiedReleaseStatement,
} from './release.ts';

const OBSERVED = new Map([['log.example.org', { size: 9, root: EMPTY_ROOT }]]);
const MANIFEST: JsonObject = { dependencies: { b: '^1.0.0' }, bin: { a: './a.js' } };

const subject = (
  purl: string,
  changes: Partial<ReleaseSubjectFields> = {},
): ReleaseSubjectFields => ({
  purl,
  sha512: new Uint8Array(64).fill(0xab),
  size: 1234,
  maintainers: 0,
  manifest: MANIFEST,
  ...changes,
});
const payloadOf = (...subjects: readonly ReleaseSubjectFields[]): Uint8Array =>
  formatRelease({ subjects, observed: OBSERVED });
const release = (changes: Partial<ReleaseSubjectFields>): ReleaseSubjectFields =>
  subject('pkg:npm/a@1.0.0', changes);

describe('parseRelease', () => {
  const payload = payloadOf(
    subject('pkg:npm/%40s/b@2.0.0-rc.1', { size: 1 }),
    subject('pkg:npm/a@1.0.0'),
  );
  const text = decodeUtf8(payload);

  it('gives back what was written, in its order', () => {
    const { subjects, observed } = parseRelease(payload);
    assert.deepEqual(subjects, [
      {
        ...subject('pkg:npm/%40s/b@2.0.0-rc.1', { size: 1 }),
        package: 'pkg:npm/%40s/b',
        name: '@s/b',
        version: '2.0.0-rc.1',
      },
      { ...subject('pkg:npm/a@1.0.0'), package: 'pkg:npm/a', name: 'a', version: '1.0.0' },
    ]);
    assert.deepEqual(observed, OBSERVED);
    assert.deepEqual(formatRelease({ subjects, observed }), payload);
  });

  it('writes an in-toto Statement v1', () => {
    const json = JSON.parse(text) as Record<string, unknown>;
    assert.equal(json['_type'], 'https://in-toto.io/Statement/v1');
    assert.equal(json['predicateType'], 'urn:bftpkg:release:v1');
    assert.deepEqual((json['subject'] as unknown[])[1], {
      name: 'pkg:npm/a@1.0.0',
      digest: { sha512: 'ab'.repeat(64) },
    });
  });

  it('refuses every prefix', () => assertNoPrefixParses(payload, parseRelease));

  it('gives a flipped bit no second spelling', () => {
    assertFlipsAreCanonical(payloadOf(subject('pkg:npm/a@1.0.0')), parseRelease, formatRelease);
  });

  const json = parseCanonicalJson(payload, STATEMENT_BYTES_MAX);
  // What stands in a manifest is the business of npm/manifest.ts.
  for (const [what, changed] of changesOf(json, /\.manifest\../)) {
    const expected = /^(?:_type|predicateType) is "x"/.test(what)
      ? 'FORMAT_UNSUPPORTED'
      : what.endsWith('name is "x"')
        ? 'PACKAGE_NAME_INVALID'
        : /manifest (?:has a field too many|is \{\})$/.test(what)
          ? undefined
          : 'STATEMENT_MALFORMED';
    it(`${expected === undefined ? 'reads' : 'refuses'} one whose ${what}`, () => {
      assert.equal(
        refusalOf(() => parseRelease(utf8(changed))),
        expected,
      );
    });
  }

  const many = (count: number): ReleaseSubjectFields[] =>
    Array.from({ length: count }, (_, i) => subject(`pkg:npm/a${i}@1.0.0`, { manifest: {} }));
  let deep: JsonValue = {};
  for (let i = 0; i < 32; i++) deep = { a: deep };
  const refused: readonly [string, ReleaseSubjectFields[], string?][] = [
    ['no subject', []],
    ['65 subjects', many(RELEASE_SUBJECTS_MAX + 1)],
    ['a subject twice', [release({}), release({})]],
    ['a subject with two digests', [release({}), release({ sha512: new Uint8Array(64) })]],
    ['a subject without a version', [subject('pkg:npm/a')]],
    ['an npm name as subject', [subject('a@1.0.0')], 'PACKAGE_NAME_INVALID'],
    ['a package of another registry', [subject('pkg:pypi/a@1.0.0')], 'PACKAGE_NAME_INVALID'],
    ['a second spelling of a scope', [subject('pkg:npm/@s/b@1.0.0')], 'PACKAGE_NAME_INVALID'],
    ['a version with build metadata', [subject('pkg:npm/a@1.0.0+b')], 'VERSION_INVALID'],
    ['a version range', [subject('pkg:npm/a@1.x')], 'VERSION_INVALID'],
    ['an empty artifact', [release({ size: 0 })]],
    ['an artifact above the limit', [release({ size: RELEASE_BYTES_MAX + 1 })]],
    ['a digest of 63 bytes', [release({ sha512: new Uint8Array(63) })]],
    ['a digest of 65 bytes', [release({ sha512: new Uint8Array(65) })]],
    ['a negative sequence', [release({ maintainers: -1 })]],
    ['a manifest nested too deep', [release({ manifest: deep })]],
    ['a fraction in a manifest', [release({ manifest: { a: 0.5 } })]],
    ['a lone surrogate in a manifest', [release({ manifest: { a: '\ud800' } })]],
    [
      'a manifest that fills the statement',
      [release({ manifest: { a: 'x'.repeat(STATEMENT_BYTES_MAX) } })],
    ],
  ];
  for (const [why, subjects, code = 'STATEMENT_MALFORMED'] of refused) {
    it(`refuses ${why}, reading and writing`, () => {
      assert.equal(
        refusalOf(() => payloadOf(...subjects)),
        code,
      );
    });
  }

  it('reads 64 subjects, the largest artifact, and a manifest with any field', () => {
    assert.equal(parseRelease(payloadOf(...many(RELEASE_SUBJECTS_MAX))).subjects.length, 64);
    const large = release({ size: RELEASE_BYTES_MAX, manifest: { x: [null, true, 1, 'y'] } });
    const [read] = parseRelease(payloadOf(large)).subjects;
    assert.equal(read?.size, RELEASE_BYTES_MAX);
    assert.deepEqual(read?.manifest, large.manifest);
  });

  const one = decodeUtf8(payloadOf(release({})));
  const digest = `{"sha512":"${'ab'.repeat(64)}"}`;
  const texts: readonly [string, string, string][] = [
    [
      'a second digest',
      one.replace(digest, `{"sha256":"${'cd'.repeat(32)}",${digest.slice(1)}`),
      'STATEMENT_MALFORMED',
    ],
    [
      'a weak digest alone',
      one.replace(digest, `{"sha1":"${'cd'.repeat(20)}"}`),
      'STATEMENT_MALFORMED',
    ],
    ['a digest in capitals', one.replace('ab'.repeat(64), 'AB'.repeat(64)), 'STATEMENT_MALFORMED'],
    [
      'a predicate about another release than the subject',
      one.replace('"packages":{"pkg:npm/a@1.0.0"', '"packages":{"pkg:npm/a@1.0.1"'),
      'STATEMENT_MALFORMED',
    ],
    [
      'a predicate about one release more',
      one.replace(
        '"packages":{',
        '"packages":{"pkg:npm/Z@1.0.0":{"maintainers":0,"manifest":{},"size":1},',
      ),
      'STATEMENT_MALFORMED',
    ],
    [
      'a manifest with the key __proto__',
      one.replace('"manifest":{', '"manifest":{"__proto__":{},'),
      'STATEMENT_MALFORMED',
    ],
    [
      'a manifest with a key twice',
      one.replace('"manifest":{', '"manifest":{"bin":{"a":"x"},'),
      'STATEMENT_MALFORMED',
    ],
    ['another predicate', one.replace('release:v1', 'release:v2'), 'FORMAT_UNSUPPORTED'],
    [
      'another in-toto version',
      one.replace('Statement/v1', 'Statement/v0.1'),
      'FORMAT_UNSUPPORTED',
    ],
    ['white space', ` ${one}`, 'STATEMENT_MALFORMED'],
  ];
  refusesTexts(one, parseRelease, texts);
});

describe('planRelease', () => {
  const k = (...numbers: readonly number[]): SigningKey[] => numbers.map(testKey);
  const set = (
    purl: string,
    faulty: number,
    numbers: readonly number[],
    sequence = 0,
  ): MaintainerSet => ({
    package: purl,
    sequence,
    previous: sequence === 0 ? null : 'ab'.repeat(32),
    faulty,
    maintainers: numbers.map((n) => ({ name: `m${n}`, key: testKey(n).publicKey })),
    observed: OBSERVED,
  });
  // Two packages that share maintainer 3.
  const SETS: readonly MaintainerSet[] = [
    set('pkg:npm/a', 1, [1, 2, 3]),
    set('pkg:npm/b', 1, [3, 4, 5], 2),
    set('pkg:npm/solo', 0, [6]),
  ];
  const setFor = (purl: string): MaintainerSet | undefined =>
    SETS.find((candidate) => candidate.package === purl);

  const a = subject('pkg:npm/a@1.0.0');
  const a2 = subject('pkg:npm/a@1.0.1');
  const b = subject('pkg:npm/b@1.0.0', { maintainers: 2 });
  const solo = subject('pkg:npm/solo@1.0.0');
  const sealed = (
    subjects: readonly ReleaseSubjectFields[],
    ...signers: readonly number[]
  ): Envelope => signedBy(RELEASE_PAYLOAD_TYPE, payloadOf(...subjects), k(...signers));
  const check = (
    envelope: Envelope,
    sets: typeof setFor = setFor,
  ): Promise<VerifiedReleaseStatement> => runPlan(nativeVerifier, planRelease(envelope, sets));
  const withLine = (envelope: Envelope, keyOf: number, signature: Uint8Array): Envelope => ({
    ...envelope,
    signatures: [{ keyid: keyId(testKey(keyOf).publicKey), signature }, ...envelope.signatures],
  });

  it('gives the release, its hash, and who signed for each package', async () => {
    const envelope = sealed([a, b], 5, 3, 1, 99);
    const verified = await check(envelope);
    assert.equal(verified.hash, statementHash(envelope.payload));
    assert.deepEqual(verified.release, parseRelease(envelope.payload));
    const keysOf = (...numbers: number[]): Uint8Array[] =>
      k(...numbers).map((key) => key.publicKey);
    assert.deepEqual(verified.signersOf('pkg:npm/a'), keysOf(1, 3));
    assert.deepEqual(verified.signersOf('pkg:npm/b'), keysOf(3, 5));
    assert.throws(() => verified.signersOf('pkg:npm/solo'), AssertionError);
  });

  it('asks for the set of each package once, and nothing about outsiders', () => {
    const asked: string[] = [];
    const plan = planRelease(sealed([a, a2, solo], 1, 2, 6, 99), (purl) => {
      asked.push(purl);
      return setFor(purl);
    });
    assert.deepEqual(asked, ['pkg:npm/a', 'pkg:npm/solo']);
    assert.equal(plan.jobs.length, 3);
  });

  const accepted: readonly [string, Envelope][] = [
    ['f + 1 of the set', sealed([a], 1, 3)],
    ['all of the set', sealed([a], 3, 2, 1)],
    ['one of one with f = 0', sealed([solo], 6)],
    ['two versions of a package', sealed([a, a2], 1, 2)],
    ['two packages, with one maintainer in both', sealed([a, b], 1, 3, 4)],
    ['a bad line beside a good one', withLine(sealed([a], 1, 2), 1, new Uint8Array(64))],
  ];
  for (const [why, envelope] of accepted) {
    it(`accepts ${why}`, async () => {
      assert.equal(await laterRefusalOf(() => check(envelope)), undefined);
    });
  }

  const signatureOf3 = sealed([a], 3).signatures[0]?.signature ?? new Uint8Array(0);
  const missing = 'MAINTAINER_SIGNATURES_MISSING';
  const broken = 'MAINTAINER_CHAIN_BROKEN';
  const refused: readonly [string, string, Envelope, typeof setFor?][] = [
    ['f signatures', missing, sealed([a], 1)],
    ['one key twice', missing, sealed([a], 1, 1)],
    [
      'one key with a good and a bad line',
      missing,
      withLine(sealed([a], 1), 1, new Uint8Array(64)),
    ],
    ['a bad line of a second key', missing, withLine(sealed([a], 1), 2, new Uint8Array(64))],
    ['A’s signature under B’s keyid', missing, withLine(sealed([a], 3), 2, signatureOf3)],
    ['a maintainer and an outsider', missing, sealed([a], 1, 99)],
    ['a maintainer and another package’s', missing, sealed([a], 1, 4)],
    ['enough for one package of two', missing, sealed([a, b], 1, 2)],
    ['enough keys in sum, but not for each package', missing, sealed([a, b], 1, 4)],
    ['a package of one, signed by others', missing, sealed([a, solo], 1, 2)],
    ['an earlier set’s sequence', broken, sealed([{ ...b, maintainers: 1 }], 3, 4)],
    ['a later set’s sequence', broken, sealed([{ ...a, maintainers: 1 }], 1, 2)],
    ['two sequences for one package', broken, sealed([a, { ...a2, maintainers: 1 }], 1, 2)],
    ['a package without a set', broken, sealed([a, subject('pkg:npm/c@1.0.0')], 1, 2, 3)],
    ['a set of another package', broken, sealed([a], 1, 2), () => SETS[2]],
    [
      'another payload type',
      'STATEMENT_MALFORMED',
      signedBy('application/json', payloadOf(a), k(1, 2)),
    ],
    [
      'signatures made for another payload type',
      missing,
      {
        ...sealed([a], 1),
        signatures: signedBy('application/json', payloadOf(a), k(1, 2)).signatures,
      },
    ],
    [
      'signatures on another release',
      missing,
      { ...sealed([a], 1), signatures: sealed([a2], 1, 2).signatures },
    ],
  ];
  for (const [why, code, envelope, sets] of refused) {
    it(`refuses ${why}`, async () => {
      assert.equal(await laterRefusalOf(() => check(envelope, sets)), code);
    });
  }
});
