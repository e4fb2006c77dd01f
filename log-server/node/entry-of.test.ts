import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { utf8 } from '../../verifier/bytes.ts';
import { formatEnvelope } from '../../verifier/dsse.ts';
import {
  ENTRY_TIME_MAX,
  STATEMENT_PAYLOAD_TYPES,
  type StatementKind,
  formatEntry,
} from '../../verifier/entry.ts';
import { entryOf } from './entry-of.ts';

const KINDS: readonly StatementKind[] = ['maintainers', 'release', 'withdrawal', 'roster'];

function envelope(payloadType: string): { text: Uint8Array; entry: (time: number) => Uint8Array } {
  const payload = utf8('","payloadType":"not a type","');
  const signatures = [{ keyid: 'ab'.repeat(32), signature: new Uint8Array(64) }];
  const whole = { payloadType, payload, signatures };
  const kind = KINDS.find((each) => STATEMENT_PAYLOAD_TYPES[each] === payloadType) ?? 'release';
  return {
    text: utf8(formatEnvelope(whole)),
    entry: (time) => formatEntry({ kind, time, envelope: whole }),
  };
}

describe('entryOf', () => {
  for (const kind of KINDS) {
    it(`gives the ledger's entry of a ${kind} statement`, () => {
      const { text, entry } = envelope(STATEMENT_PAYLOAD_TYPES[kind]);
      // A view into something longer, as requests are.
      const bytes = new Uint8Array(text.length + 10);
      bytes.set(text, 5);
      const request = { id: 'x', bytes: bytes.subarray(5, 5 + text.length) };
      assert.deepEqual(entryOf(request, 1_700_000_000_999), entry(1_700_000_000));
    });
  }

  const { text } = envelope(STATEMENT_PAYLOAD_TYPES.release);
  const none: readonly (readonly [string, Uint8Array, number])[] = [
    ['nothing', new Uint8Array(0), 0],
    ['what is no envelope', utf8('{}'), 0],
    ['an envelope that ends in its type', text.subarray(0, text.indexOf(0x3a, 60) + 5), 0],
    ['another type', envelope('application/x-unknown').text, 0],
    ['a time that no entry has', text, (ENTRY_TIME_MAX + 1) * 1000],
    ['a time that is no number', text, Number.NaN],
  ];
  for (const [why, bytes, time] of none) {
    it(`gives nothing of ${why}`, () => assert.equal(entryOf({ id: 'x', bytes }, time), undefined));
  }
});
