import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { signedBy, testKey } from '../fixtures/documents.ts';
import { utf8 } from './bytes.ts';
import { formatEnvelope, parseEnvelope, readEnvelope, type Envelope } from './dsse.ts';
import { splitEnvelope } from './envelope-text.ts';
import { VerifyError } from './errors.ts';
import { canonicalJson, parseCanonicalJson } from './json.ts';

const LINES_MAX = 64;
const LENGTH_MAX = 65_535;

function envelopeOf(payload: string, signers: number, type = 'text/plain'): Envelope {
  const keys = Array.from({ length: signers }, (_, i) => testKey(1 + i));
  return signedBy(type, utf8(payload), keys);
}

/** The envelope, or the code of the refusal. */
function outcomeOf(read: () => Envelope): Envelope | string {
  try {
    return read();
  } catch (error) {
    assert.ok(error instanceof VerifyError, 'a refusal');
    return error.code;
  }
}

/** The long way: parsed, written back, compared. */
function readSlowly(text: string): Envelope | string {
  const outcome = outcomeOf(() => readEnvelope(parseCanonicalJson(text, LENGTH_MAX), ''));
  return outcome === 'JSON_MALFORMED' ? 'ENVELOPE_MALFORMED' : outcome;
}

const GOOD = formatEnvelope(envelopeOf('{"a":1}', 3));
const [TYPE, LINE] = ['"payloadType":"text/plain"', /\{"keyid"[^}]*\}/];

describe('splitEnvelope', () => {
  it('finds what JSON.parse finds', () => {
    for (const payload of ['', 'a', 'ab', 'abc', 'x'.repeat(3000)]) {
      for (const signers of [1, 2, 3]) {
        const text = formatEnvelope(envelopeOf(payload, signers));
        assert.deepEqual(splitEnvelope(text, LINES_MAX), JSON.parse(text));
      }
    }
  });

  const rows: readonly (readonly [why: string, text: string])[] = [
    ['no text', ''],
    ['a space behind it', `${GOOD} `],
    ['a space in front', ` ${GOOD}`],
    ['a space within', GOOD.replace('","payloadType"', '", "payloadType"')],
    ['keys in another order', `{${TYPE},${GOOD.slice(1).replace(`${TYPE},`, '')}`],
    ['a field more at the end', GOOD.replace(/\]\}$/, '],"x":1}')],
    ['a field more in the middle', GOOD.replace(TYPE, `"payloadTypf":"",${TYPE}`)],
    ['a field more in a line', GOOD.replace('"}', '","x":""}')],
    ['a field twice', GOOD.replace(TYPE, `${TYPE},${TYPE}`)],
    ['an escape in the type', GOOD.replace('text/plain', 'te\\u0078t/plain')],
    ['an escaped slash', GOOD.replace('text/plain', 'text\\/plain')],
    ['an escape in the key id', GOOD.replace('"keyid":"', '"keyid":"\\u0061')],
    ['an escape in the payload', GOOD.replace('"payload":"', '"payload":"\\u0061')],
    ['a line feed in the type', GOOD.replace('text/plain', 'text/\nplain')],
    ['a letter beyond ASCII in the type', GOOD.replace('text/plain', 'téxt/plain')],
    ['a lone surrogate in the key id', GOOD.replace('"keyid":"', '"keyid":"\ud800')],
    ['no signatures', GOOD.replace(/\[.*\]/, '[]')],
    ['a comma behind the last line', GOOD.replace(/\]\}$/, ',]}')],
    ['something else than a comma between lines', GOOD.replace('},{', '};{')],
    ['nothing between lines', GOOD.replace('},{', '}{')],
    ['a line that is no object', GOOD.replace(LINE, '1')],
    ['one line more than there may be', formatLines(LINES_MAX + 1)],
    ['a second envelope behind it', GOOD + GOOD],
    ['cut short', GOOD.slice(0, -1)],
    ['spare bits in the payload', GOOD.replace('fQ==', 'fR==')],
  ];
  for (const [why, text] of rows) {
    it(`is no way around a refusal: ${why}`, () => {
      assert.equal(readSlowly(text), 'ENVELOPE_MALFORMED', 'refused the long way');
      assert.equal(
        outcomeOf(() => parseEnvelope(text)),
        'ENVELOPE_MALFORMED',
      );
    });
  }

  it('takes as many lines as there may be', () => {
    const text = formatLines(LINES_MAX);
    assert.deepEqual(parseEnvelope(text), readSlowly(text));
  });

  it('leads to what the long way leads to, whatever is changed', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 3 }),
      fc.constantFrom('"', '\\', ',', '{', '}', ']', '[', ':', ' ', '","sig":"', '=', 'A', '\\"'),
    );
    fc.assert(
      fc.property(
        fc.nat(GOOD.length),
        fc.nat(4),
        fc.oneof(
          piece,
          fc.nat(GOOD.length).map((at) => GOOD.slice(at, at + 20)),
        ),
        (at, length, insert) => {
          const text = GOOD.slice(0, at) + insert + GOOD.slice(at + length);
          assert.deepEqual(
            outcomeOf(() => parseEnvelope(text)),
            readSlowly(text),
          );
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('reads quotes and backslashes in a type and key id the long way', () => {
    const json = JSON.parse(GOOD) as { signatures: { keyid: string }[]; payloadType: string };
    const [line] = json.signatures;
    assert.ok(line, 'a line');
    line.keyid = 'a"b\\c';
    json.payloadType = 'd"\\';
    const text = canonicalJson(json);
    const envelope = parseEnvelope(text);
    assert.deepEqual([envelope.signatures[0]?.keyid, envelope.payloadType], ['a"b\\c', 'd"\\']);
    assert.deepEqual(envelope, readSlowly(text));
  });
});

function formatLines(count: number): string {
  const lines = Array.from({ length: count }, () => LINE.exec(GOOD)?.[0] ?? '');
  return GOOD.replace(/\[.*\]/, `[${lines.join(',')}]`);
}
