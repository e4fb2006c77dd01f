import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { utf8 } from '../bytes.ts';
import { encodeBase64 } from '../encoding.ts';
import { VerifyError, type VerifyErrorCode } from '../errors.ts';
import { canonicalJson, parseCanonicalJson, type JsonObject, type JsonValue } from '../json.ts';
import { decodeUtf8 } from '../text.ts';
import { EVIDENCE_BYTES_MAX, formatEvidence, parseEvidence } from './format.ts';

function makeDocument(): Uint8Array {
  const log = new SyntheticLog({ weights: [1] });
  log.maintain('p', { maintainers: ['ada'], faulty: 0 });
  const since = log.commit();
  log.release({ name: 'p', version: '1.0.0' });
  log.commit();
  return formatEvidence(
    log.evidence([{ kind: 'release', name: 'p', version: '1.0.0' }], { since }),
  );
}

const DOCUMENT = makeDocument();
const TEXT = decodeUtf8(DOCUMENT);
const JSON_DOCUMENT = parseCanonicalJson(DOCUMENT, EVIDENCE_BYTES_MAX) as JsonObject;

const refusedAs =
  (...codes: readonly VerifyErrorCode[]) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof VerifyError, `a refusal, not ${String(error)}`);
    assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`);
    return true;
  };
const malformed = refusedAs('EVIDENCE_MALFORMED');

describe('parseEvidence', () => {
  it('round-trips, from bytes and from text', () => {
    const evidence = parseEvidence(DOCUMENT);
    assert.equal(evidence.rosters.length, 1);
    assert.equal(evidence.entries.length, 3);
    assert.equal(evidence.consistency?.size, 2);
    assert.ok(evidence.consistency.hashes.length > 0 && evidence.log.length > 0);
    assert.deepEqual(formatEvidence(evidence), DOCUMENT);
    assert.deepEqual(parseEvidence(TEXT), evidence);
  });

  it('refuses the document cut at every byte', () => {
    for (let end = 0; end < DOCUMENT.length; end++) {
      assert.throws(() => parseEvidence(DOCUMENT.subarray(0, end)), malformed, `cut at ${end}`);
    }
  });

  const edit = (fields: { readonly [name: string]: JsonValue }): string =>
    canonicalJson({ ...JSON_DOCUMENT, ...fields });
  const entry = (index: number): JsonValue => ({ index, data: '{}' });
  const refusals: readonly (readonly [why: string, text: string, code?: VerifyErrorCode])[] = [
    ['no object', '[]'],
    ['another format', edit({ format: 'bftpkg-evidence/v2' }), 'FORMAT_UNSUPPORTED'],
    ['an unknown field', edit({ more: 1 })],
    ['white space at the end', `${TEXT}\n`],
    ['a second spelling of a character', TEXT.replace('"format"', '"\\u0066ormat"')],
    ['a field twice', TEXT.replace('{"checkpoint"', '{"checkpoint":"","checkpoint"')],
    ['entries that do not ascend', edit({ entries: [entry(1), entry(0)] })],
    ['an entry twice', edit({ entries: [entry(1), entry(1)] })],
    ['a negative index', edit({ entries: [entry(-1)] })],
    ['an entry with a field more', edit({ entries: [{ index: 1, data: '', kind: '' }] })],
    ['an entry that is too long', edit({ entries: [{ index: 1, data: ' '.repeat(65_536) }] })],
    ['a tree hash of 31 bytes', edit({ log: encodeBase64(new Uint8Array(31)) })],
    ['tree hashes in hex', edit({ log: 'ab'.repeat(32) + '!' })],
    ['base64 with spare bits', edit({ map: 'AB==' })],
    ['a consistency proof without hashes', edit({ consistency: { size: 1 } })],
    [
      'a consistency proof longer than any tree needs',
      edit({ consistency: { size: 1, hashes: encodeBase64(new Uint8Array(55 * 32)) } }),
    ],
    ['a roster that is no envelope', edit({ rosters: [{}] })],
    [
      'more rosters than a chain may have',
      edit({ rosters: Array.from({ length: 401 }, () => ({})) }),
    ],
    ['a note that is too long', edit({ checkpoint: 'x'.repeat(65_537) })],
    ...Object.keys(JSON_DOCUMENT).map((name): [string, string] => {
      const { [name]: _, ...rest } = JSON_DOCUMENT;
      return [`no ${name}`, canonicalJson(rest)];
    }),
    ...Object.keys(JSON_DOCUMENT).map((name): [string, string] => [
      `a number as ${name}`,
      edit({ [name]: 7 }),
    ]),
  ];
  for (const [why, text, code = 'EVIDENCE_MALFORMED'] of refusals) {
    it(`refuses ${why}`, () => assert.throws(() => parseEvidence(utf8(text)), refusedAs(code)));
  }

  it('refuses a document beyond the bound before it reads it', () => {
    const source = { length: EVIDENCE_BYTES_MAX + 1 } as unknown as Uint8Array;
    assert.throws(() => parseEvidence(source), malformed);
  });

  it('refuses what would take gigabytes to parse, at once', () => {
    for (const text of ['['.repeat(9_000_000), `[${'{},'.repeat(3_000_000)}{}]`]) {
      assert.throws(
        () => parseEvidence(text),
        (error: unknown) =>
          malformed(error) && /nested deeper|more than \d+ values/.test(String(error)),
      );
    }
  });

  it('reads every flipped bit as another document or refuses it', () => {
    // One byte in seven: the whole document takes seconds.
    for (let at = 0; at < DOCUMENT.length; at += 7) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = Uint8Array.from(DOCUMENT);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
        let again: Uint8Array;
        try {
          again = formatEvidence(parseEvidence(flipped));
        } catch (error) {
          assert.ok(refusedAs('EVIDENCE_MALFORMED', 'FORMAT_UNSUPPORTED')(error));
          continue;
        }
        assert.deepEqual(again, flipped, `byte ${at}, bit ${bit}`);
      }
    }
  });
});
