// Random input for every parser of a signed document: whatever comes, it is refused as such or it is
// the one spelling of what was read.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { signedBy, testKey } from '../fixtures/documents.ts';
import { concat, utf8 } from './bytes.ts';
import { formatEnvelope, parseEnvelope } from './dsse.ts';
import { formatEntry, parseEntry } from './entry.ts';
import { VerifyError } from './errors.ts';
import { canonicalJson, type JsonValue } from './json.ts';
import { EMPTY_ROOT } from './merkle/hash.ts';
import { ROSTER_PAYLOAD_TYPE, formatRoster, parseRoster } from './roster.ts';
import { formatMaintainerSet, parseMaintainerSet } from './statements/maintainers.ts';
import { formatRelease, parseRelease } from './statements/release.ts';
import { formatWithdrawal, parseWithdrawal } from './statements/withdrawal.ts';
import { makeVerifierKey } from './vkey.ts';

const observed = new Map([['log.example.org', { size: 1, root: EMPTY_ROOT }]]);
const roster = formatRoster({
  origin: 'log.example.org',
  epoch: 0,
  previous: null,
  faultyWeight: 0,
  replicas: [
    {
      name: 'r0',
      cosignKey: makeVerifierKey('r0', 4, testKey(1).publicKey),
      voteKey: testKey(2).publicKey,
      weight: 1,
      url: 'http://localhost:1',
      peerUrl: 'http://localhost:2',
    },
  ],
  admission: { mode: 'open' },
});
const envelope = signedBy(ROSTER_PAYLOAD_TYPE, utf8('{}'), [testKey(1)]);

/** A good document, and what reads it and writes it again. */
type Row = readonly [name: string, document: Uint8Array, again: (bytes: Uint8Array) => Uint8Array];

const ROWS: readonly Row[] = [
  [
    'parseEnvelope',
    utf8(formatEnvelope(envelope)),
    (bytes) => utf8(formatEnvelope(parseEnvelope(bytes))),
  ],
  ['parseRoster', roster, (bytes) => formatRoster(parseRoster(bytes))],
  [
    'parseMaintainerSet',
    formatMaintainerSet({
      package: 'pkg:npm/a',
      sequence: 0,
      previous: null,
      faulty: 0,
      maintainers: [{ name: 'a', key: testKey(1).publicKey }],
      observed,
    }),
    (bytes) => formatMaintainerSet(parseMaintainerSet(bytes)),
  ],
  [
    'parseRelease',
    formatRelease({
      subjects: [
        {
          purl: 'pkg:npm/a@1.0.0',
          sha512: new Uint8Array(64),
          size: 1,
          maintainers: 0,
          manifest: { bin: {} },
        },
      ],
      observed,
    }),
    (bytes) => formatRelease(parseRelease(bytes)),
  ],
  [
    'parseWithdrawal',
    formatWithdrawal({
      package: 'pkg:npm/a',
      version: '1.0.0',
      kind: 'yanked',
      reason: 'broken',
      text: 'a',
      release: '00'.repeat(32),
      observed,
    }),
    (bytes) => formatWithdrawal(parseWithdrawal(bytes)),
  ],
  [
    'parseEntry',
    formatEntry({ kind: 'roster', time: 1, envelope }),
    (bytes) => formatEntry(parseEntry(bytes)),
  ],
];

const OPTIONS = { numRuns: 400 };

for (const [name, document, again] of ROWS) {
  describe(`${name} of random input`, () => {
    /** Whether the bytes were accepted, after what every accepted document has to satisfy. */
    const accepts = (bytes: Uint8Array): boolean => {
      let written: Uint8Array;
      try {
        written = again(bytes);
      } catch (error) {
        if (error instanceof VerifyError) return false;
        throw error;
      }
      assert.deepEqual(written, bytes, 'a second spelling');
      return true;
    };

    it('accepts the good document that is changed below', () => assert.ok(accepts(document)));

    it('refuses random bytes', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => !accepts(bytes)),
        OPTIONS,
      );
    });

    it('refuses random canonical JSON', () => {
      fc.assert(
        fc.property(fc.jsonValue(), (value) => {
          let text: string;
          try {
            text = canonicalJson(value as JsonValue);
          } catch {
            // Fractions and lone surrogates have no canonical text; their plain one is as good.
            text = JSON.stringify(value);
          }
          return !accepts(utf8(text.replaceAll(/[\ud800-\udfff]/g, '?')));
        }),
        OPTIONS,
      );
    });

    it('gives a document with a random piece replaced no second spelling', () => {
      const place = fc.nat({ max: document.length });
      fc.assert(
        fc.property(place, place, fc.uint8Array({ maxLength: 8 }), (a, b, piece) => {
          const [start, end] = a < b ? [a, Math.min(b, a + 8)] : [b, Math.min(a, b + 8)];
          accepts(concat(document.subarray(0, start), piece, document.subarray(end)));
        }),
        OPTIONS,
      );
    });
  });
}
