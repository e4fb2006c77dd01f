import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { decodeBase64, encodeBase64 } from './encoding.ts';
import { VerifyError } from './errors.ts';

// What Node reads is anything; what it reads and writes back the same is the one spelling.
function oracle(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? new Uint8Array(bytes) : undefined;
}

function decoded(text: string): Uint8Array | undefined {
  try {
    return decodeBase64(text);
  } catch (error) {
    if (error instanceof VerifyError && error.code === 'ENCODING_MALFORMED') return undefined;
    throw error;
  }
}

describe('decodeBase64', () => {
  for (const [why, text] of [
    ['no padding', 'AA'],
    ['one digit', 'A==='],
    ['only padding', '===='],
    ['padding inside', 'AA==AAAA'],
    ['padding after a digit too few', 'A=AA'],
    ['spare bits after one byte', 'AB=='],
    ['spare bits after two bytes', 'AAB='],
    ['a digit of the URL alphabet', 'AA-_'],
    ['white space', 'AA A'],
    ['a line break at the end', 'AAA\n'],
    ['a character outside ASCII', 'AAÄA'],
    ['a character whose low byte is a digit', 'AA\u0141A'],
    ['a bad digit in the last group', 'AAAAA-=='],
    ['a bad digit in the first group', '!AAAAAAA'],
  ] as const) {
    it(`refuses ${why}`, () => {
      assert.equal(decoded(text), undefined, text);
    });
  }

  it('reads every length back', () => {
    for (let length = 0; length < 100; length++) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 89 + length) & 0xff);
      assert.deepEqual(decodeBase64(encodeBase64(bytes)), bytes, `${length} bytes`);
    }
  });

  it('accepts what Node reads and writes back the same, and nothing else', () => {
    const digit = fc.constantFrom(...Array.from('AQgwBCQZaz09+/=-_ \n'));
    const text = fc.array(digit, { maxLength: 12 }).map((digits) => digits.join(''));
    let accepted = 0;
    fc.assert(
      fc.property(text, (candidate) => {
        const expected = oracle(candidate);
        if (expected !== undefined) accepted += 1;
        assert.deepEqual(decoded(candidate), expected, JSON.stringify(candidate));
      }),
      { numRuns: 20_000, seed: 1 },
    );
    assert.ok(accepted > 100, 'some of the texts are canonical');
  });
});
