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
import { parseCanonicalJson } from '../json.ts';
import { EMPTY_ROOT } from '../merkle/hash.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import type { SigningKey } from '../node/signing-key.ts';
import type { Admission } from '../roster.ts';
import { runPlan } from '../signatures.ts';
import { decodeUtf8 } from '../text.ts';
import {
  MAINTAINERS_PAYLOAD_TYPE,
  MAINTAINER_COUNT_MAX,
  formatMaintainerSet,
  maintainerSetWarnings,
  maintainerThreshold,
  parseMaintainerSet,
  planMaintainerSet,
  type Maintainer,
  type MaintainerSet,
  type VerifiedMaintainerSet,
} from './maintainers.ts';
import { OBSERVED_ORIGINS_MAX } from './observed.ts';
import { STATEMENT_BYTES_MAX } from './payload.ts';

const member = (n: number, name = `maintainer ${n}`): Maintainer => ({
  name,
  key: testKey(n).publicKey,
});
const OBSERVED = new Map([['log.example.org', { size: 0, root: EMPTY_ROOT }]]);

/** A set of the maintainers 1 to 3, f = 1. */
function setOf(changes: Partial<MaintainerSet> = {}): MaintainerSet {
  return {
    package: 'pkg:npm/%40scope/name',
    sequence: 0,
    previous: null,
    faulty: 1,
    maintainers: [member(1), member(2), member(3)],
    observed: OBSERVED,
    ...changes,
  };
}

const origins = (count: number): MaintainerSet['observed'] =>
  new Map(Array.from({ length: count }, (_, i) => [`log${i}`, { size: i, root: EMPTY_ROOT }]));

describe('parseMaintainerSet', () => {
  const payload = formatMaintainerSet(setOf());
  const text = decodeUtf8(payload);

  const accepted: readonly [string, MaintainerSet][] = [
    ['a set of three', setOf()],
    ['one maintainer alone', setOf({ faulty: 0, maintainers: [member(1)] })],
    ['a later set', setOf({ sequence: 7, previous: 'ab'.repeat(32) })],
    ['as many signatures needed as there are maintainers', setOf({ faulty: 2 })],
    [
      'names as people write them',
      setOf({ maintainers: [member(1, 'José 太郎'), member(2, 'Z')] }),
    ],
    ['heads of 16 logs', setOf({ observed: origins(OBSERVED_ORIGINS_MAX) })],
    [
      'origins that every object inherits',
      setOf({ observed: new Map([...origins(1), ['toString', { size: 1, root: EMPTY_ROOT }]]) }),
    ],
    [
      '64 maintainers',
      setOf({ maintainers: Array.from({ length: MAINTAINER_COUNT_MAX }, (_, i) => member(i)) }),
    ],
  ];
  for (const [why, set] of accepted) {
    it(`reads ${why}`, () => assert.deepEqual(parseMaintainerSet(formatMaintainerSet(set)), set));
  }

  it('refuses every prefix', () => assertNoPrefixParses(payload, parseMaintainerSet));

  it('gives a flipped bit no second spelling', () => {
    assertFlipsAreCanonical(payload, parseMaintainerSet, formatMaintainerSet);
  });

  const isLegal = /name is "x"$/;
  for (const [what, changed] of changesOf(parseCanonicalJson(payload, STATEMENT_BYTES_MAX))) {
    const expected = isLegal.test(what)
      ? undefined
      : what === 'format is "x"'
        ? 'FORMAT_UNSUPPORTED'
        : what === 'package is "x"'
          ? 'PACKAGE_NAME_INVALID'
          : 'STATEMENT_MALFORMED';
    it(`${expected === undefined ? 'reads' : 'refuses'} one whose ${what}`, () => {
      assert.equal(
        refusalOf(() => parseMaintainerSet(utf8(changed))),
        expected,
      );
    });
  }

  const named = (name: string): MaintainerSet =>
    setOf({ maintainers: [member(1, name), member(2)] });
  const refused: readonly [string, MaintainerSet, string?][] = [
    ['no maintainers', setOf({ faulty: 0, maintainers: [] })],
    ['a threshold above the number of maintainers', setOf({ faulty: 3 })],
    ['a threshold of zero', setOf({ faulty: -1 })],
    ['65 maintainers', setOf({ maintainers: Array.from({ length: 65 }, (_, i) => member(i)) })],
    ['one key under two names', setOf({ maintainers: [member(1, 'a'), member(1, 'b')] })],
    ['one key under one name twice', setOf({ maintainers: [member(1), member(1), member(2)] })],
    ['one name with two keys', setOf({ maintainers: [member(1, 'a'), member(2, 'a')] })],
    ['an empty name', named('')],
    ['a name of 101 characters', named('a'.repeat(101))],
    ['a space in front of a name', named(' a')],
    ['a space behind a name', named('a ')],
    ['a terminal sequence in a name', named('\u001b[2Ja')],
    ['a line break in a name', named('a\nb')],
    ['a right-to-left override in a name', named('a\u202eb')],
    ['a zero-width space in a name', named('a\u200bb')],
    ['a no-break space in a name', named('a\u00a0b')],
    ['a byte order mark in a name', named('\ufeffa')],
    ['a tag character in a name', named('a\u{e0061}')],
    ['a lone surrogate in a name', named('a\ud800')],
    ['a predecessor of sequence 0', setOf({ previous: 'ab'.repeat(32) })],
    ['no predecessor of sequence 1', setOf({ sequence: 1 })],
    ['a predecessor in capitals', setOf({ sequence: 1, previous: 'AB'.repeat(32) })],
    ['a predecessor of 33 bytes', setOf({ sequence: 1, previous: 'ab'.repeat(33) })],
    ['a purl with a version', setOf({ package: 'pkg:npm/left-pad@1.0.0' })],
    ['a bare name', setOf({ package: 'left-pad' }), 'PACKAGE_NAME_INVALID'],
    [
      'a second spelling of a scope',
      setOf({ package: 'pkg:npm/@scope/name' }),
      'PACKAGE_NAME_INVALID',
    ],
    ['a name in capitals', setOf({ package: 'pkg:npm/Left-pad' }), 'PACKAGE_NAME_INVALID'],
    ['no log head', setOf({ observed: new Map() })],
    ['heads of 17 logs', setOf({ observed: origins(17) })],
    [
      'an origin with a space',
      setOf({ observed: new Map([['a b', { size: 0, root: EMPTY_ROOT }]]) }),
    ],
    [
      'an origin called __proto__',
      setOf({ observed: new Map([['__proto__', { size: 0, root: EMPTY_ROOT }]]) }),
    ],
    [
      'a head with a root of 31 bytes',
      setOf({ observed: new Map([['a', { size: 0, root: EMPTY_ROOT.subarray(1) }]]) }),
    ],
    [
      'a head of negative size',
      setOf({ observed: new Map([['a', { size: -1, root: EMPTY_ROOT }]]) }),
    ],
  ];
  for (const [why, set, code = 'STATEMENT_MALFORMED'] of refused) {
    it(`refuses ${why}, reading and writing`, () => {
      assert.equal(
        refusalOf(() => formatMaintainerSet(set)),
        code,
      );
    });
  }

  const key = /"key":"([0-9a-f]{64})"/.exec(text)?.[1] ?? '';
  const texts: readonly [string, string, string][] = [
    ['a key of small order', text.replace(key, `01${'0'.repeat(62)}`), 'STATEMENT_MALFORMED'],
    ['a key in capitals', text.replace(key, key.toUpperCase()), 'STATEMENT_MALFORMED'],
    ['a field twice', text.replace('{"faulty"', '{"faulty":1,"faulty"'), 'STATEMENT_MALFORMED'],
    ['a later format', text.replace('maintainers/v1', 'maintainers/v2'), 'FORMAT_UNSUPPORTED'],
    ['white space', `${text}\n`, 'STATEMENT_MALFORMED'],
    [
      'more bytes than are ever read',
      text + ' '.repeat(STATEMENT_BYTES_MAX),
      'STATEMENT_MALFORMED',
    ],
  ];
  refusesTexts(text, parseMaintainerSet, texts);
});

describe('maintainerThreshold and maintainerSetWarnings', () => {
  const members = [1, 2, 3, 4, 5].map((n) => member(n));
  const rows: readonly [number, number, number, number][] = [
    // maintainers, f, threshold, number of warnings
    [1, 0, 1, 1],
    [3, 0, 1, 1],
    [2, 1, 2, 1],
    [3, 1, 2, 0],
    [4, 2, 3, 1],
    [5, 2, 3, 0],
  ];
  for (const [count, faulty, threshold, warnings] of rows) {
    it(`says for ${count} maintainers with f = ${faulty}: ${threshold} and ${warnings} warnings`, () => {
      const set = setOf({ faulty, maintainers: members.slice(0, count) });
      assert.equal(maintainerThreshold(set), threshold);
      assert.equal(maintainerSetWarnings(set).length, warnings);
    });
  }
});

describe('planMaintainerSet', () => {
  const k = (...numbers: readonly number[]): SigningKey[] => numbers.map(testKey);
  const sealed = (set: MaintainerSet, signers: readonly SigningKey[]): Envelope =>
    signedBy(MAINTAINERS_PAYLOAD_TYPE, formatMaintainerSet(set), signers);
  const check = (
    envelope: Envelope,
    previous?: { set: MaintainerSet; hash: string },
    admission?: Admission,
  ): Promise<VerifiedMaintainerSet> =>
    runPlan(nativeVerifier, planMaintainerSet(envelope, previous, admission));

  const first = setOf();
  const firstSealed = sealed(first, k(1, 2, 3));
  const before = { set: first, hash: statementHash(firstSealed.payload) };
  // Maintainer 4 comes, maintainer 3 goes.
  const second = setOf({
    sequence: 1,
    previous: before.hash,
    maintainers: [member(1), member(2), member(4)],
  });
  const registrars: Admission = {
    mode: 'registrars',
    faulty: 1,
    keys: k(10, 11, 12).map(({ publicKey }) => publicKey),
  };
  const withBadLine = (envelope: Envelope, n: number): Envelope => ({
    ...envelope,
    signatures: [
      { keyid: keyId(testKey(n).publicKey), signature: new Uint8Array(64) },
      ...envelope.signatures,
    ],
  });
  const doubled = (envelope: Envelope): Envelope => ({
    ...envelope,
    signatures: [...envelope.signatures, ...envelope.signatures],
  });
  const relabelled = (envelope: Envelope, from: number, to: number): Envelope => ({
    ...envelope,
    signatures: envelope.signatures.map((line) =>
      line.keyid === keyId(testKey(from).publicKey)
        ? { ...line, keyid: keyId(testKey(to).publicKey) }
        : line,
    ),
  });

  it('gives the set, its hash, and who signed', async () => {
    const verified = await check(sealed(second, k(4, 3, 1, 77)), before);
    assert.deepEqual(verified.set, second);
    assert.equal(verified.hash, statementHash(formatMaintainerSet(second)));
    assert.deepEqual(
      verified.signers,
      k(1, 3, 4).map(({ publicKey }) => publicKey),
    );
  });

  const accepted: readonly [string, Envelope, typeof before | undefined, Admission?][] = [
    ['a first set signed by all', firstSealed, undefined],
    ['a first set in an open log', firstSealed, undefined, { mode: 'open' }],
    ['a first set with f + 1 registrars', sealed(first, k(1, 2, 3, 10, 12)), undefined, registrars],
    ['a successor by f + 1 old ones and the new one', sealed(second, k(1, 2, 4)), before],
    [
      'a successor by one who leaves, one who stays, the new one',
      sealed(second, k(3, 1, 4)),
      before,
    ],
    [
      'a successor without registrars: the package exists',
      sealed(second, k(1, 2, 4)),
      before,
      registrars,
    ],
    [
      'a bad line beside a good one of the same key',
      withBadLine(sealed(second, k(1, 2, 4)), 1),
      before,
    ],
    [
      'a registrar who is also a maintainer, in both roles',
      sealed(first, k(1, 2, 3, 10)),
      undefined,
      { mode: 'registrars', faulty: 1, keys: k(1, 10).map(({ publicKey }) => publicKey) },
    ],
    [
      'a successor that changes f, by the old f + 1',
      sealed({ ...second, faulty: 0, maintainers: [member(1)] }, k(1, 2)),
      before,
    ],
  ];
  for (const [why, envelope, previous, admission] of accepted) {
    it(`accepts ${why}`, async () => {
      assert.equal(await laterRefusalOf(() => check(envelope, previous, admission)), undefined);
    });
  }

  const missing = 'MAINTAINER_SIGNATURES_MISSING';
  const broken = 'MAINTAINER_CHAIN_BROKEN';
  type Before = typeof before | undefined;
  const refused: readonly [string, string, Envelope, Before?, Admission?][] = [
    ['a first set that one of its keys did not sign', missing, sealed(first, k(1, 2))],
    ['a first set with one key’s signature twice', missing, doubled(sealed(first, k(1, 2)))],
    [
      'a first set with only a bad line of one key',
      missing,
      withBadLine(sealed(first, k(1, 2)), 3),
    ],
    [
      'a first set with A’s signature under C’s keyid',
      missing,
      relabelled(sealed(first, k(1, 2, 1)), 1, 3),
    ],
    [
      'a first set with f registrars',
      missing,
      sealed(first, k(1, 2, 3, 10)),
      undefined,
      registrars,
    ],
    [
      'a first set with one registrar twice',
      missing,
      doubled(sealed(first, k(1, 2, 3, 10))),
      undefined,
      registrars,
    ],
    [
      'registrars in the place of maintainers',
      missing,
      sealed(first, k(10, 11, 12)),
      undefined,
      registrars,
    ],
    ['a successor by f old ones', missing, sealed(second, k(1, 4)), before],
    ['a successor by one old one twice', missing, doubled(sealed(second, k(1, 4))), before],
    [
      'a successor with one bad and one good line of one key',
      missing,
      withBadLine(sealed(second, k(1, 4)), 1),
      before,
    ],
    ['a successor by new ones and outsiders', missing, sealed(second, k(4, 77, 78)), before],
    ['a successor without the new one', missing, sealed(second, k(1, 2, 3)), before],
    [
      'a successor that lowers f, by the new f + 1 only',
      missing,
      sealed({ ...second, faulty: 0 }, k(1, 4)),
      before,
    ],
    [
      'a take-over by new keys only',
      missing,
      sealed({ ...second, maintainers: [member(7), member(8)] }, k(7, 8)),
      before,
    ],
    ['a successor as a first set', broken, sealed(second, k(1, 2, 3, 4))],
    ['a second first set', broken, firstSealed, before],
    ['a gap', broken, sealed({ ...second, sequence: 2 }, k(1, 2, 4)), before],
    [
      'another predecessor',
      broken,
      sealed({ ...second, previous: 'ab'.repeat(32) }, k(1, 2, 4)),
      before,
    ],
    [
      'another package',
      broken,
      sealed({ ...second, package: 'pkg:npm/other' }, k(1, 2, 4)),
      before,
    ],
    [
      'another payload type',
      'STATEMENT_MALFORMED',
      signedBy('application/json', formatMaintainerSet(first), k(1, 2, 3)),
    ],
    [
      'a payload that is no set',
      'STATEMENT_MALFORMED',
      signedBy(MAINTAINERS_PAYLOAD_TYPE, utf8('[]'), k(1, 2, 3)),
    ],
    [
      'signatures made for another payload type',
      missing,
      {
        ...firstSealed,
        signatures: signedBy('application/json', firstSealed.payload, k(1, 2, 3)).signatures,
      },
    ],
  ];
  for (const [why, code, envelope, previous, admission] of refused) {
    it(`refuses ${why}`, async () => {
      assert.equal(await laterRefusalOf(() => check(envelope, previous, admission)), code);
    });
  }
});
