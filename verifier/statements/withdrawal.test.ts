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
import { runPlan } from '../signatures.ts';
import { decodeUtf8 } from '../text.ts';
import type { MaintainerSet } from './maintainers.ts';
import { STATEMENT_BYTES_MAX } from './payload.ts';
import {
  WITHDRAWAL_KINDS,
  WITHDRAWAL_PAYLOAD_TYPE,
  WITHDRAWAL_REASONS,
  WITHDRAWAL_TEXT_LENGTH_MAX,
  formatWithdrawal,
  parseWithdrawal,
  planWithdrawal,
  type Withdrawal,
} from './withdrawal.ts';

const OBSERVED = new Map([['log.example.org', { size: 9, root: EMPTY_ROOT }]]);
const withdrawal = (changes: Partial<Withdrawal> = {}): Withdrawal => ({
  package: 'pkg:npm/a',
  version: '1.0.0',
  kind: 'revoked',
  reason: 'malicious-code',
  text: 'reads ~/.ssh; see advisory 7',
  release: 'cd'.repeat(32),
  observed: OBSERVED,
  ...changes,
});

describe('parseWithdrawal', () => {
  const payload = formatWithdrawal(withdrawal());
  const text = decodeUtf8(payload);

  for (const kind of WITHDRAWAL_KINDS) {
    for (const reason of WITHDRAWAL_REASONS) {
      it(`reads ${kind} for ${reason}`, () => {
        const value = withdrawal({ kind, reason, text: '' });
        assert.deepEqual(parseWithdrawal(formatWithdrawal(value)), value);
      });
    }
  }

  it('reads the longest text', () => {
    const value = withdrawal({ text: 'ü'.repeat(WITHDRAWAL_TEXT_LENGTH_MAX) });
    assert.deepEqual(parseWithdrawal(formatWithdrawal(value)), value);
  });

  it('refuses every prefix', () => assertNoPrefixParses(payload, parseWithdrawal));

  it('gives a flipped bit no second spelling', () => {
    assertFlipsAreCanonical(payload, parseWithdrawal, formatWithdrawal);
  });

  const codes: Readonly<Record<string, string | undefined>> = {
    'format is "x"': 'FORMAT_UNSUPPORTED',
    'package is "x"': 'PACKAGE_NAME_INVALID',
    'version is "x"': 'VERSION_INVALID',
  };
  const changes = changesOf(parseCanonicalJson(payload, STATEMENT_BYTES_MAX));
  for (const [what, changed] of changes.filter(([what]) => what !== 'text is "x"')) {
    it(`refuses one whose ${what}`, () => {
      assert.equal(
        refusalOf(() => parseWithdrawal(utf8(changed))),
        codes[what] ?? 'STATEMENT_MALFORMED',
      );
    });
  }

  const refused: readonly [string, Partial<Withdrawal>, string?][] = [
    ['a purl with a version', { package: 'pkg:npm/a@1.0.0' }],
    ['a version with a v', { version: 'v1.0.0' }, 'VERSION_INVALID'],
    ['a version with build metadata', { version: '1.0.0+b' }, 'VERSION_INVALID'],
    ['an unknown kind', { kind: 'deleted' as Withdrawal['kind'] }],
    ['a kind in capitals', { kind: 'Revoked' as Withdrawal['kind'] }],
    ['an unknown reason', { reason: 'spite' as Withdrawal['reason'] }],
    ['a text of 501 characters', { text: 'x'.repeat(501) }],
    ['a terminal sequence', { text: '\u001b]0;owned\u0007' }],
    ['a line break', { text: 'a\nb' }],
    ['a right-to-left override', { text: 'a\u202eb' }],
    ['a hash in capitals', { release: 'CD'.repeat(32) }],
    ['a hash of 31 bytes', { release: 'cd'.repeat(31) }],
    ['no log head', { observed: new Map() }],
  ];
  for (const [why, change, code = 'STATEMENT_MALFORMED'] of refused) {
    it(`refuses ${why}, reading and writing`, () => {
      assert.equal(
        refusalOf(() => formatWithdrawal(withdrawal(change))),
        code,
      );
    });
  }

  const texts: readonly [string, string, string][] = [
    ['a field twice', text.replace('{"format"', '{"format":"x","format"'), 'STATEMENT_MALFORMED'],
    ['a later format', text.replace('withdrawal/v1', 'withdrawal/v2'), 'FORMAT_UNSUPPORTED'],
    ['white space', `${text} `, 'STATEMENT_MALFORMED'],
    [
      'an escape that is not needed',
      text.replace('revoked', '\\u0072evoked'),
      'STATEMENT_MALFORMED',
    ],
  ];
  refusesTexts(text, parseWithdrawal, texts);
});

describe('planWithdrawal', () => {
  const SET: MaintainerSet = {
    package: 'pkg:npm/a',
    sequence: 0,
    previous: null,
    faulty: 1,
    maintainers: [1, 2, 3].map((n) => ({ name: `m${n}`, key: testKey(n).publicKey })),
    observed: OBSERVED,
  };
  const payload = formatWithdrawal(withdrawal());
  const sealed = (...signers: readonly number[]): Envelope =>
    signedBy(WITHDRAWAL_PAYLOAD_TYPE, payload, signers.map(testKey));
  const badLine = {
    keyid: keyId(testKey(2).publicKey),
    signature: new Uint8Array(64),
  };

  it('gives the withdrawal, its hash, and who signed', async () => {
    const verified = await runPlan(nativeVerifier, planWithdrawal(sealed(3, 99, 1), SET));
    assert.deepEqual(verified.withdrawal, withdrawal());
    assert.equal(verified.hash, statementHash(payload));
    assert.deepEqual(verified.signers, [testKey(1).publicKey, testKey(3).publicKey]);
  });

  const missing = 'MAINTAINER_SIGNATURES_MISSING';
  const rows: readonly [string, string | undefined, Envelope, MaintainerSet?][] = [
    ['f + 1 signatures', undefined, sealed(1, 2)],
    [
      'a bad line beside a good one',
      undefined,
      { ...sealed(1, 2), signatures: [badLine, ...sealed(1, 2).signatures] },
    ],
    ['f signatures', missing, sealed(1)],
    ['one key twice', missing, sealed(1, 1)],
    ['a maintainer and an outsider', missing, sealed(1, 99)],
    [
      'a bad line as the second signature',
      missing,
      { ...sealed(1), signatures: [badLine, ...sealed(1).signatures] },
    ],
    [
      'signatures on another withdrawal',
      missing,
      {
        ...sealed(1),
        signatures: signedBy(
          WITHDRAWAL_PAYLOAD_TYPE,
          formatWithdrawal(withdrawal({ kind: 'yanked' })),
          [testKey(1), testKey(2)],
        ).signatures,
      },
    ],
    [
      'the maintainers of another package',
      'MAINTAINER_CHAIN_BROKEN',
      sealed(1, 2),
      { ...SET, package: 'pkg:npm/b' },
    ],
    [
      'another payload type',
      'STATEMENT_MALFORMED',
      signedBy('application/json', payload, [testKey(1), testKey(2)]),
    ],
  ];
  for (const [why, code, envelope, set = SET] of rows) {
    it(`${code === undefined ? 'accepts' : 'refuses'} ${why}`, async () => {
      assert.equal(
        await laterRefusalOf(() => runPlan(nativeVerifier, planWithdrawal(envelope, set))),
        code,
      );
    });
  }
});
