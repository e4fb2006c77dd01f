import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import {
  decodeBase64,
  decodeHex,
  decodeUint64,
  encodeBase64,
  encodeHex,
  encodeUint64,
} from './encoding.ts';
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

describe('hexadecimal', () => {
  const every = Uint8Array.from({ length: 256 }, (_, i) => i);

  it('is what Node makes of the same bytes, of any length', () => {
    for (const length of [0, 1, 2, 31, 32, 64, 255, 1023, 1024, 1025, 5000]) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 7 + length) % 256);
      assert.equal(encodeHex(bytes), Buffer.from(bytes).toString('hex'));
      assert.deepEqual(decodeHex(encodeHex(bytes)), bytes);
      assert.deepEqual(decodeHex(encodeHex(bytes), length), bytes);
    }
    assert.equal(encodeHex(every), Buffer.from(every).toString('hex'));
  });

  it('has one digit of 16 at each place, and no other character', () => {
    for (let code = 0; code < 0x300; code++) {
      const digit = String.fromCharCode(code);
      const isDigit = '0123456789abcdef'.includes(digit);
      for (const text of [`${digit}0`, `0${digit}`, `00${digit}f`, `ff${digit}${digit}`]) {
        if (isDigit) assert.equal(encodeHex(decodeHex(text)), text);
        else assert.throws(() => decodeHex(text), { code: 'ENCODING_MALFORMED' }, text);
      }
    }
  });

  const refused: readonly (readonly [why: string, text: string, length?: number])[] = [
    ['half a byte', 'a'],
    ['half a byte more than it has to be', 'aaaaa', 2],
    ['a byte more than it has to be', 'aaaaaa', 2],
    ['a byte less than it has to be', 'aa', 2],
    ['nothing where there has to be something', '', 1],
    ['something where there has to be nothing', 'aa', 0],
    ['half a byte where there has to be nothing', 'a', 0],
    ['capitals', 'AB'],
    ['a prefix', '0xab'],
    ['a line break', 'ab\n'],
    ['a character outside of the plane', '\u{1f600}'],
  ];
  for (const [why, text, length] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => decodeHex(text, length), { code: 'ENCODING_MALFORMED' });
    });
  }
});

// Texts of some length are read in another way than short ones and very long ones.
describe('decodeBase64 of payloads', () => {
  it('reads what Node reads and writes back the same, however it was damaged', () => {
    const lengths = [93, 94, 95, 96, 97, 98, 99, 1_000, 6_141, 6_142, 6_143, 6_144, 6_145, 6_147];
    const odd = [
      '=',
      '-',
      '_',
      ' ',
      '\n',
      '\u0000',
      '\u007f',
      '\u0080',
      '\u00ff',
      'Ā',
      '\u0141',
      '\ud800',
      '😀',
      'A',
      '',
      'AAAA',
    ];
    let good = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...lengths),
        fc.nat(255),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(1),
        fc.constantFrom(...odd),
        (length, seed, place, count, snippet) => {
          const bytes = Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);
          const whole = encodeBase64(bytes);
          assert.deepEqual(decodeBase64(whole), bytes);
          const at = Math.floor(place * whole.length);
          const text = whole.slice(0, at) + snippet + whole.slice(at + count);
          const expected = oracle(text);
          if (expected !== undefined) good += 1;
          let found: Uint8Array | undefined;
          try {
            found = decodeBase64(text);
          } catch (error) {
            assert.ok(error instanceof VerifyError, String(error));
          }
          assert.deepEqual(found, expected, JSON.stringify(text));
        },
      ),
      { numRuns: 1_000 },
    );
    assert.ok(good >= 30, `only ${good} were still good`);
  });
});

describe('encodeUint64', () => {
  for (const value of [0, 1, 255, 256, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 7, 2 ** 53 - 1]) {
    it(`writes ${value} as Node does, and reads it again`, () => {
      const expected = Buffer.alloc(8);
      expected.writeBigUInt64BE(BigInt(value));
      assert.deepEqual(encodeUint64(value), new Uint8Array(expected));
      assert.equal(decodeUint64(encodeUint64(value)), value);
    });
  }

  for (const value of [-1, 0.5, 2 ** 53, Number.NaN]) {
    it(`has no bytes for ${value}`, () => {
      assert.throws(() => encodeUint64(value), /safe integer/);
    });
  }
});
