import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import {
  assertFlipsAreCanonical,
  assertNoPrefixParses,
  changesOf,
  refusalOf,
  signedBy,
  testKey,
} from '../fixtures/documents.ts';
import { utf8 } from './bytes.ts';
import {
  ENVELOPE_LENGTH_MAX,
  ENVELOPE_SIGNATURES_MAX,
  envelopeJson,
  formatEnvelope,
  parseEnvelope,
  planSigners,
  preAuthenticationEncoding,
  readEnvelope,
  statementHash,
  type Envelope,
  type EnvelopeSignature,
} from './dsse.ts';
import { keyId, type PublicKey } from './ed25519.ts';
import { encodeBase64 } from './encoding.ts';
import { AssertionError } from './errors.ts';
import { canonicalJson } from './json.ts';
import { nativeVerifier } from './node/ed25519.ts';
import type { SigningKey } from './node/signing-key.ts';
import { runPlan } from './signatures.ts';
import { decodeUtf8 } from './text.ts';

const TYPE = 'application/vnd.example+json';
const PAYLOAD = utf8('{"a":"ü"}');
const [A, B, C, OUTSIDER] = [testKey(1), testKey(2), testKey(3), testKey(99)];
const ENVELOPE = signedBy(TYPE, PAYLOAD, [A, B]);

describe('preAuthenticationEncoding', () => {
  const rows: readonly [string, string, string, string][] = [
    // The first row is from DSSE's protocol.md, the second from its test vectors.
    [
      'the specification’s example',
      'http://example.com/HelloWorld',
      'hello world',
      'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
    ],
    ['empty parts', '', '', 'DSSEv1 0  0 '],
    ['lengths in bytes, not characters', 'ü', 'ßß', 'DSSEv1 2 ü 4 ßß'],
    ['a payload that looks like more fields', 'a', '1 b 1 c', 'DSSEv1 1 a 7 1 b 1 c'],
  ];
  for (const [why, type, payload, expected] of rows) {
    it(`writes ${why}`, () => {
      assert.equal(decodeUtf8(preAuthenticationEncoding(type, utf8(payload))), expected);
    });
  }

  it('tells apart what has the same characters in type and payload', () => {
    const one = preAuthenticationEncoding('ab', utf8('c'));
    assert.notDeepEqual(one, preAuthenticationEncoding('a', utf8('bc')));
  });
});

describe('statementHash', () => {
  it('is SHA-256 of the payload in hexadecimal', () => {
    assert.equal(statementHash(PAYLOAD), createHash('sha256').update(PAYLOAD).digest('hex'));
  });
});

describe('parseEnvelope', () => {
  const text = formatEnvelope(ENVELOPE);

  it('gives back what was written, from text and from bytes', () => {
    assert.deepEqual(parseEnvelope(text), ENVELOPE);
    assert.deepEqual(parseEnvelope(utf8(text)), ENVELOPE);
    assert.deepEqual(readEnvelope(envelopeJson(ENVELOPE), 'envelope'), ENVELOPE);
  });

  it('writes the fields of DSSE', () => {
    assert.deepEqual(Object.keys(envelopeJson(ENVELOPE)).toSorted(), [
      'payload',
      'payloadType',
      'signatures',
    ]);
    assert.match(text, /"signatures":\[\{"keyid":"[0-9a-f]{64}","sig":"[A-Za-z0-9+/]{86}=="\},/);
  });

  it('refuses every prefix', () => assertNoPrefixParses(utf8(text), parseEnvelope));

  it('gives a flipped bit no second spelling', () => {
    assertFlipsAreCanonical(utf8(text), parseEnvelope, (e) => utf8(formatEnvelope(e)));
  });

  // The letter x is a legal hint and a legal type, and says nothing by itself.
  const isLegal = /(?:payloadType|keyid) is "x"/;
  for (const [what, changed] of changesOf(envelopeJson(ENVELOPE))) {
    it(`${isLegal.test(what) ? 'reads' : 'refuses'} one whose ${what}`, () => {
      assert.equal(
        refusalOf(() => parseEnvelope(changed)),
        isLegal.test(what) ? undefined : 'ENVELOPE_MALFORMED',
      );
    });
  }

  const line = (bytes: number): EnvelopeSignature => ({
    keyid: 'k',
    signature: new Uint8Array(bytes),
  });
  const lines = (count: number): EnvelopeSignature[] =>
    Array.from({ length: count }, () => line(64));
  const refused: readonly [string, string][] = [
    ['nothing', ''],
    ['white space after it', `${text}\n`],
    ['a byte order mark', `\ufeff${text}`],
    [
      'fields in another order',
      text.replace(/^\{("payload":"[^"]*"),("payloadType":"[^"]*")/, '{$2,$1'),
    ],
    ['a field twice', text.replace('{', '{"payload":"",')],
    ['an escape that is not needed', text.replace('"payloadType"', '"payload\\u0054ype"')],
    ['no signatures', formatEnvelope({ ...ENVELOPE, signatures: [] })],
    ['more than 64 signatures', formatEnvelope({ ...ENVELOPE, signatures: lines(65) })],
    ['a signature of 63 bytes', formatEnvelope({ ...ENVELOPE, signatures: [line(63)] })],
    ['a signature of 65 bytes', formatEnvelope({ ...ENVELOPE, signatures: [line(65)] })],
    ['an empty signature', formatEnvelope({ ...ENVELOPE, signatures: [line(0)] })],
    ['an empty payload type', formatEnvelope({ ...ENVELOPE, payloadType: '' })],
    ['a space in the payload type', formatEnvelope({ ...ENVELOPE, payloadType: 'a b' })],
    ['a payload type that is not ASCII', formatEnvelope({ ...ENVELOPE, payloadType: 'ü' })],
    [
      'a payload type of 129 characters',
      formatEnvelope({ ...ENVELOPE, payloadType: 'a'.repeat(129) }),
    ],
    ['a keyid of 129 characters', text.replace(/"keyid":"/, `"keyid":"${'a'.repeat(65)}`)],
    ['a keyid that is not ASCII', text.replace(/"keyid":"/, '"keyid":"ü')],
    ['a keyid with a space', text.replace(/"keyid":"/, '"keyid":" ')],
    ['a payload without padding', text.replace('"payload":"', '"payload":"A')],
    ['a payload in the URL alphabet', text.replace(/"payload":"[^"]*"/, '"payload":"-_-_"')],
    ['a payload with spare bits set', text.replace(/"payload":"[^"]*"/, '"payload":"AB=="')],
    ['one character too many', formatEnvelope({ ...ENVELOPE, payload: new Uint8Array(48_900) })],
    ['a JSON array', `[${text}]`],
  ];
  for (const [why, source] of refused) {
    it(`refuses ${why}`, () => {
      assert.notEqual(source, text, 'the row changes something');
      assert.equal(
        refusalOf(() => parseEnvelope(source)),
        'ENVELOPE_MALFORMED',
      );
      assert.equal(
        refusalOf(() => parseEnvelope(utf8(source))),
        'ENVELOPE_MALFORMED',
      );
    });
  }

  it('reads 64 signatures, and the largest payload that fits', () => {
    const full = { ...ENVELOPE, signatures: lines(ENVELOPE_SIGNATURES_MAX) };
    assert.deepEqual(parseEnvelope(formatEnvelope(full)), full);
    const empty = formatEnvelope({ ...ENVELOPE, payload: new Uint8Array(0) }).length;
    const room = Math.floor((ENVELOPE_LENGTH_MAX - empty) / 4) * 3;
    const large = { ...ENVELOPE, payload: new Uint8Array(room) };
    assert.equal(parseEnvelope(formatEnvelope(large)).payload.length, room);
    assert.equal(
      refusalOf(() =>
        parseEnvelope(formatEnvelope({ ...large, payload: new Uint8Array(room + 3) })),
      ),
      'ENVELOPE_MALFORMED',
    );
  });

  it('refuses bytes that are not UTF-8', () => {
    const bytes = utf8(text);
    bytes[20] = 0xff;
    assert.equal(
      refusalOf(() => parseEnvelope(bytes)),
      'ENVELOPE_MALFORMED',
    );
  });

  it('names the place of a refusal inside a document', () => {
    assert.throws(
      () => readEnvelope({ payload: '' }, 'entries[3].envelope'),
      /entries\[3\]\.envelope/,
    );
  });
});

describe('planSigners', () => {
  const good = (
    key: SigningKey,
    payload: Uint8Array = PAYLOAD,
    type: string = TYPE,
  ): EnvelopeSignature => ({
    keyid: keyId(key.publicKey),
    signature: key.sign(preAuthenticationEncoding(type, payload)),
  });
  const bad = (key: SigningKey): EnvelopeSignature => ({
    keyid: keyId(key.publicKey),
    signature: new Uint8Array(64).fill(7),
  });
  const named = (keyid: string, key: SigningKey): EnvelopeSignature => ({ ...good(key), keyid });

  const signersOf = (
    signatures: readonly EnvelopeSignature[],
    keys: readonly PublicKey[],
    envelope: Partial<Envelope> = {},
  ): Promise<readonly PublicKey[]> =>
    runPlan(
      nativeVerifier,
      planSigners({ payloadType: TYPE, payload: PAYLOAD, signatures, ...envelope }, keys),
    );

  const trusted = [A.publicKey, B.publicKey, C.publicKey];
  const rows: readonly [string, EnvelopeSignature[], SigningKey[]][] = [
    ['nobody when there is no line', [], []],
    ['each signer', [good(A), good(C)], [A, C]],
    ['signers in the order of the trusted keys', [good(C), good(A)], [A, C]],
    ['a key once, though it signed three times', [good(A), good(A), good(A)], [A]],
    ['a key once, with a good and a bad line', [good(A), bad(A)], [A]],
    ['a key whose bad line comes first', [bad(A), good(A)], [A]],
    ['no key with only bad lines', [bad(A), bad(A), good(B)], [B]],
    ['no outsider', [good(OUTSIDER), good(B)], [B]],
    ['no signature of A under the keyid of B', [named(keyId(B.publicKey), A)], []],
    ['no signature of an outsider under the keyid of A', [named(keyId(A.publicKey), OUTSIDER)], []],
    ['nobody for an empty keyid', [named('', A)], []],
    ['nobody for a keyid in capitals', [named(keyId(A.publicKey).toUpperCase(), A)], []],
    ['nobody for a keyid cut short', [named(keyId(A.publicKey).slice(0, 8), A)], []],
    ['no signature on another payload', [good(A, utf8('{}'))], []],
    ['no signature on another type', [good(A, PAYLOAD, 'text/plain')], []],
    [
      'no signature on the bare payload',
      [{ keyid: keyId(A.publicKey), signature: A.sign(PAYLOAD) }],
      [],
    ],
  ];
  for (const [why, signatures, expected] of rows) {
    it(`finds ${why}`, async () => {
      assert.deepEqual(
        await signersOf(signatures, trusted),
        expected.map(({ publicKey }) => publicKey),
      );
    });
  }

  it('counts a trusted key once, though it is listed twice', async () => {
    const again = Uint8Array.from(A.publicKey) as PublicKey;
    assert.deepEqual(await signersOf([good(A)], [A.publicKey, again]), [A.publicKey]);
  });

  it('finds nobody when nobody is trusted, and asks nothing', async () => {
    assert.deepEqual(await signersOf([good(A)], []), []);
    assert.equal(planSigners(ENVELOPE, []).jobs.length, 0);
  });

  it('asks nothing about outsiders: their lines cost no verification', () => {
    const signatures = [good(OUTSIDER), good(A), named('', B)];
    assert.equal(planSigners({ ...ENVELOPE, signatures }, trusted).jobs.length, 1);
  });

  it('lets no flipped bit of payload, type or signature count', async () => {
    const [signature] = signedBy(TYPE, PAYLOAD, [A]).signatures;
    assert.ok(signature);
    for (let bit = 0; bit < 512; bit++) {
      const changed = Uint8Array.from(signature.signature);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const found = await signersOf([{ ...signature, signature: changed }], trusted);
      assert.deepEqual(found, [], `signature bit ${bit}`);
    }
    for (let bit = 0; bit < 8 * PAYLOAD.length; bit++) {
      const payload = Uint8Array.from(PAYLOAD);
      payload[bit >> 3] = (payload[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.deepEqual(
        await signersOf([signature], trusted, { payload }),
        [],
        `payload bit ${bit}`,
      );
    }
    assert.deepEqual(await signersOf([signature], trusted, { payloadType: `${TYPE}x` }), []);
  });

  it('stops when not every question was answered', () => {
    assert.throws(() => planSigners(ENVELOPE, trusted).finish([true]), AssertionError);
  });

  it('uses the base64 of the envelope and nothing else of it', () => {
    const json = envelopeJson(ENVELOPE);
    assert.equal(json['payload'], encodeBase64(PAYLOAD));
    assert.deepEqual(parseEnvelope(canonicalJson(json)).payload, PAYLOAD);
  });
});
