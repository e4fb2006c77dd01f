import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { concat, utf8 } from '../bytes.ts';
import { VerifyError } from '../errors.ts';
import { canonicalJson, parseCanonicalJson } from '../json.ts';
import { decodeUtf8 } from '../text.ts';
import { cutEntries } from './entry-slices.ts';
import { EVIDENCE_BYTES_MAX, formatEvidence, parseEvidence, type Evidence } from './format.ts';

const TEXT = ((): string => {
  const log = new SyntheticLog({ weights: [1] });
  log.maintain('p', { maintainers: ['ada'], faulty: 0 });
  log.release({ name: 'p', version: '1.0.0' });
  log.commit();
  return decodeUtf8(formatEvidence(log.evidence([{ kind: 'package', name: 'p' }])));
})();

const documentOf = (entries: string): string =>
  TEXT.replace(/"entries":\[.*?\],"format"/, () => `"entries":[${entries}],"format"`);

const entry = (data: string, index: number): string => canonicalJson({ data, index });

const MARKS = [
  '","index":',
  '"entries":[',
  '{"data":"',
  '","index":3},{"data":"',
  '"],"entries":[',
];
const ESCAPES = ['\\', '\\ud800', '\\u0041', '\\n', '\ud800'];
const SNIPPETS: readonly string[] = [...MARKS, ...ESCAPES, ...'" ] } , [ { 0 - e1'.split(' '), ' '];

describe('cutEntries', () => {
  const cut: readonly (readonly [why: string, data: readonly string[]])[] = [
    ['no entry', []],
    ['an empty one', ['']],
    ['the marks themselves', ['","index":7}', '{"data":"', '"entries":[', '],"format"']],
    ['backslashes at the end', ['\\', '\\\\', '\\"']],
    ['characters that are escaped', ['\u0000\u001f\n"', '\u2028é😀']],
    ['the longest', ['x'.repeat(65_535), '\u0001'.repeat(65_535)]],
  ];
  for (const [why, data] of cut) {
    it(`cuts ${why}`, () => {
      const entries = data.map((one, index) => ({ data: one, index }));
      const text = documentOf(entries.map((one) => entry(one.data, one.index)).join(','));
      assert.deepEqual(cutEntries(text, 10), { entries, frame: documentOf('') });
      assert.deepEqual(parseEvidence(text).entries, entries);
    });
  }

  const left: readonly (readonly [why: string, entries: string])[] = [
    ['another spelling of a character', '{"data":"\\u0041","index":0}'],
    ['an escape in capitals', '{"data":"\\u001F","index":0}'],
    ['half a character', '{"data":"\\ud800","index":0}'],
    ['another order', '{"index":0,"data":""}'],
    ['white space', '{"data": "","index":0}'],
    ['white space between', '{"data":"","index":0} ,{"data":"","index":1}'],
    ['a comma at the end', '{"data":"","index":0},'],
    ['two in a row', '{"data":"","index":0}{"data":"","index":1}'],
    ['a zero in front', '{"data":"","index":00}'],
    ['an exponent', '{"data":"","index":1e1}'],
    ['a negative index', '{"data":"","index":-1}'],
    ['an index that no tree has', '{"data":"","index":9007199254740991}'],
    ['an index beyond integers', '{"data":"","index":9007199254740993}'],
    ['no index', '{"data":"","index":}'],
    ['a field more', '{"data":"","index":0,"more":1}'],
    ['a value more in the literal', '{"data":"","x":[[]],"y":"","index":0}'],
    ['no text', '{"data":[""],"index":0}'],
    ['a long one', entry('x'.repeat(65_536), 0)],
    ['a list of lists', '[[[]]]'],
  ];
  for (const [why, entries] of left) {
    it(`leaves ${why} to the reader of the whole, who refuses it`, () => {
      const text = documentOf(entries);
      assert.equal(cutEntries(text, 10), undefined);
      assert.throws(() => parseEvidence(text), VerifyError);
    });
  }

  it('leaves more than it may cut', () => {
    const two = documentOf(`${entry('', 0)},${entry('', 1)}`);
    assert.equal(cutEntries(two, 1), undefined);
    assert.equal(parseEvidence(two).entries.length, 2);
  });

  const elsewhere: readonly (readonly [why: string, text: string])[] = [
    [
      'in an object inside',
      TEXT.replace('"consistency":null', '"consistency":{"entries":[],"size":1}'),
    ],
    ['twice', TEXT.replace('"entries":[', '"entries":[],"entries":[')],
    ['before its place', `{"entries":[],${TEXT.slice(1)}`],
    ['nowhere', TEXT.replace(/"entries":\[.*?\],"format"/, '"format"')],
  ];
  for (const [why, text] of elsewhere) {
    it(`does not help a list that stands ${why}`, () => {
      assert.throws(() => parseEvidence(text), VerifyError);
    });
  }

  const outcomeOf = (source: Uint8Array | string): Evidence | string => {
    try {
      return parseEvidence(source);
    } catch (error) {
      assert.ok(error instanceof VerifyError, String(error));
      return error.code;
    }
  };

  // Bytes are decoded in two halves. What is well-formed, and what it says, must not depend on that.
  it('reads damaged bytes as the text that they are as a whole', () => {
    const bytes = utf8(TEXT);
    const list = TEXT.indexOf('"entries":[');
    const near = fc.integer({ min: Math.max(0, list - 16), max: list + 40 });
    const pieces = [[], [0xc3], [0xa9], [0xc3, 0xa9], [0xed, 0xa0, 0x80], [0xef, 0xbb, 0xbf]];
    const piece = fc.constantFrom(
      ...pieces,
      [0xff],
      [0x22],
      [0x5b],
      Array.from(utf8('"entries":[')),
    );
    const edit = fc.record({ at: fc.oneof(near, fc.nat(bytes.length)), length: fc.nat(3), piece });
    let good = 0;
    fc.assert(
      fc.property(edit, ({ at, length, piece: part }) => {
        const damaged = concat(
          bytes.subarray(0, at),
          Uint8Array.from(part),
          bytes.subarray(at + length),
        );
        let text: string;
        try {
          text = decodeUtf8(damaged);
        } catch {
          assert.equal(outcomeOf(damaged), 'EVIDENCE_MALFORMED');
          return;
        }
        good += 1;
        assert.deepEqual(outcomeOf(damaged), outcomeOf(text));
      }),
      { numRuns: 1_000 },
    );
    assert.ok(good >= 100, `only ${good} were still a text`);
  });

  // What is accepted is the one spelling of what it says, however its text was damaged: cut or read as a whole.
  it('accepts what the whole is canonical of, and nothing else', () => {
    const snippet = fc.constantFrom(...SNIPPETS);
    const edit = fc.record({ at: fc.nat(TEXT.length), length: fc.nat(12), snippet });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        let text = TEXT;
        for (const { at, length, snippet: part } of edits) {
          text = text.slice(0, at) + part + text.slice(at + length);
        }
        let isWhole = true;
        try {
          parseCanonicalJson(text, EVIDENCE_BYTES_MAX);
        } catch {
          isWhole = false;
        }
        try {
          assert.equal(decodeUtf8(formatEvidence(parseEvidence(text))), text);
          assert.ok(isWhole, 'accepted in parts only');
        } catch (error) {
          if (!(error instanceof VerifyError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });
});
