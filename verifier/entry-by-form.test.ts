// Entries are read by the form that they have; what that accepts must be what the long way accepts, and mean the same.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { signedBy, testKey } from '../fixtures/documents.ts';
import { utf8 } from './bytes.ts';
import { readEnvelope } from './dsse.ts';
import {
  ENTRY_BYTES_MAX,
  ENTRY_TIME_MAX,
  STATEMENT_PAYLOAD_TYPES,
  formatEntry,
  parseEntry,
  statementKindOf,
  type Entry,
} from './entry.ts';
import { VerifyError } from './errors.ts';
import { ObjectReader, parseCanonicalJson } from './json.ts';
import { readingAs } from './refusals.ts';
import { decodeUtf8 } from './text.ts';

/** The long way for entries of statements: parsed, written back, compared, and each field asked for. */
function readSlowly(text: string): Entry {
  return readingAs('ENTRY_MALFORMED', 'entry', () => {
    const reader = new ObjectReader(parseCanonicalJson(text, ENTRY_BYTES_MAX), '');
    reader.format('format', 'bftpkg-entry/v1');
    const kind = reader.oneOf('kind', ['maintainers', 'release', 'withdrawal', 'roster', 'commit']);
    const time = reader.integer('time', 0, ENTRY_TIME_MAX);
    // What commit entries say has one way to be read only.
    if (kind === 'commit') return parseEntry(text);
    const envelope = readEnvelope(reader.required('envelope'), 'envelope');
    reader.end();
    if (statementKindOf(envelope.payloadType) === kind) return { kind, time, envelope };
    throw new VerifyError('ENTRY_MALFORMED', 'another payload type');
  });
}

function outcomeOf(read: () => Entry): Entry | string {
  try {
    return read();
  } catch (error) {
    assert.ok(error instanceof VerifyError, String(error));
    return error.code;
  }
}

const TEXTS = (['maintainers', 'release', 'withdrawal', 'roster'] as const).map((kind, i) => {
  const keys = Array.from({ length: 1 + (i % 3) }, (_, at) => testKey(1 + at));
  const envelope = signedBy(STATEMENT_PAYLOAD_TYPES[kind], utf8('x'.repeat(i)), keys);
  return decodeUtf8(formatEntry({ kind, time: 1_800_000_000 * i, envelope }));
});
const [TEXT = ''] = TEXTS;
const LINE = /\{"keyid"[^}]*\}/.exec(TEXT)?.[0] ?? '';

const rows: readonly (readonly [why: string, text: string])[] = [
  ['itself', TEXT],
  ['a line twice', TEXT.replace(LINE, `${LINE},${LINE}`)],
  ['64 lines', TEXT.replace(LINE, Array<string>(64).fill(LINE).join(','))],
  ['65 lines', TEXT.replace(LINE, Array<string>(65).fill(LINE).join(','))],
  ['no line', TEXT.replace(LINE, '')],
  ['another kind', TEXT.replace('"kind":"maintainers"', '"kind":"release"')],
  ['a kind of nothing', TEXT.replace('"kind":"maintainers"', '"kind":"constructor"')],
  ['the kind of a batch', TEXT.replace('"kind":"maintainers"', '"kind":"commit"')],
  ['another format', TEXT.replace('bftpkg-entry/v1', 'bftpkg-entry/v2')],
  ['the last second', TEXT.replace('"time":0', `"time":${ENTRY_TIME_MAX}`)],
  ['a second more', TEXT.replace('"time":0', `"time":${ENTRY_TIME_MAX + 1}`)],
  ['minus zero', TEXT.replace('"time":0', '"time":-0')],
  ['an exponent', TEXT.replace('"time":0', '"time":1e3')],
  ['a zero in front', TEXT.replace('"time":0', '"time":00')],
  ['a field more', TEXT.replace(',"format"', ',"f":1,"format"')],
  ['the format twice', TEXT.replace(',"format"', ',"format":"bftpkg-entry/v1","format"')],
  ['white space behind it', `${TEXT}\n`],
  ['white space inside', TEXT.replace(',"format"', ', "format"')],
  ['an escape', TEXT.replace('"payloadType":"a', '"payloadType":"\\u0061')],
  ['a signature of 65 bytes', TEXT.replace(/"sig":"[^"]*"/, `"sig":"${'A'.repeat(87)}="`)],
  ['a signature of 66 bytes', TEXT.replace(/"sig":"[^"]*"/, `"sig":"${'A'.repeat(88)}"`)],
  ['a signature with spare bits', TEXT.replace(/.==","?\}/, (end) => `B${end.slice(1)}`)],
  ['a key id of 128', TEXT.replace(/"keyid":"[^"]*"/, `"keyid":"${'k'.repeat(128)}"`)],
  ['a key id of 129', TEXT.replace(/"keyid":"[^"]*"/, `"keyid":"${'k'.repeat(129)}"`)],
  ['a key id with a space', TEXT.replace('"keyid":"', '"keyid":" ')],
  ['a key id beyond ASCII', TEXT.replace('"keyid":"', '"keyid":"é')],
  ['a control character', TEXT.replace('"keyid":"', '"keyid":"\u0001')],
  ['a byte order mark', `\ufeff${TEXT}`],
  ['a payload in URL letters', TEXT.replace('"payload":"', '"payload":"-_-_')],
];

describe('parseEntry by form', () => {
  for (const [why, text] of rows) {
    it(`agrees with the long way: ${why}`, () => {
      assert.deepEqual(
        outcomeOf(() => parseEntry(text)),
        outcomeOf(() => readSlowly(text)),
      );
      assert.deepEqual(
        outcomeOf(() => parseEntry(utf8(text))),
        outcomeOf(() => readSlowly(text)),
      );
    });
  }

  it('agrees with the long way on damaged entries', () => {
    const parts = [
      '"',
      '\\',
      ',',
      ':',
      '}',
      ']',
      '{',
      '[',
      '0',
      '1',
      'e',
      '-',
      ' ',
      'A',
      '=',
      '==',
      'é',
      '\\u0041',
    ];
    const snippet = fc.constantFrom(
      '',
      ...parts,
      ',"format":',
      '"kind":"release"',
      LINE,
      `,${LINE}`,
    );
    const edit = fc.record({ at: fc.nat(1_500), length: fc.nat(4), snippet });
    let good = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...TEXTS),
        fc.array(edit, { minLength: 1, maxLength: 2 }),
        (original, edits) => {
          let text = original;
          for (const { at, length, snippet: part } of edits) {
            const start = at % (text.length + 1);
            text = text.slice(0, start) + part + text.slice(start + length);
          }
          const found = outcomeOf(() => parseEntry(text));
          assert.deepEqual(
            found,
            outcomeOf(() => readSlowly(text)),
          );
          if (typeof found === 'string') return;
          good += 1;
          // And it is the one spelling of what was read.
          assert.equal(decodeUtf8(formatEntry(found)), text);
        },
      ),
      { numRuns: 3_000 },
    );
    assert.ok(good >= 30, `only ${good} damaged entries were still good`);
  });
});
