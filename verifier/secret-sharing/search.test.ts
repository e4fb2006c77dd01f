import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { equalBytes } from '../bytes.ts';
import { PRIME } from './field.ts';
import { choices, CHOICES_MAX, searchSecret } from './search.ts';
import { splitSecret, type Share } from './shamir.ts';

const SECRET = new Uint8Array(randomBytes(32));
const isRight = (secret: Uint8Array): boolean => equalBytes(secret, SECRET);

function split(shares: number, threshold: number): readonly Share[] {
  const parameters = { shares, threshold, faulty: 0 };
  return splitSecret(SECRET, parameters, (length) => new Uint8Array(randomBytes(length)));
}

function spoiled({ index, value }: Share): Share {
  return { index, value: (value + BigInt(`0x${randomBytes(16).toString('hex')}`) + 1n) % PRIME };
}

describe('searchSecret', () => {
  it('finds the right ones wherever they are, as long as there are t', () => {
    const all = split(6, 3);
    for (let bits = 0; bits < 64; bits++) {
      const isGood = (i: number): boolean => Math.floor(bits / 2 ** i) % 2 === 1;
      const good = all.map((_, i) => isGood(i));
      const given = all.map((share, i) => (isGood(i) ? share : spoiled(share)));
      const found = searchSecret(given, 3, isRight);
      const enough = good.filter(Boolean).length >= 3;
      assert.deepEqual(
        found,
        enough
          ? { kind: 'recovered', secret: SECRET, right: good, isSure: true }
          : { kind: 'unrecoverable' },
      );
    }
  });

  it('puts no two that claim one index together', () => {
    const all = split(3, 3);
    const given = [...all.map(spoiled), ...all];
    const right = [false, false, false, true, true, true];
    const expected = { kind: 'recovered', secret: SECRET, right, isSure: true };
    assert.deepEqual(searchSecret(given, 3, isRight), expected);
  });

  it('does not let liars frame others with values that make the right secret', () => {
    // Of 1, 2 and 3 the secret is 3 a - 3 b + c: whatever 1 and 2 add alike makes no difference to it.
    const framed = (count: number): readonly Share[] =>
      split(count, 3).map(({ index, value }) => ({
        index,
        value: index <= 2 ? (value + 1n) % PRIME : value,
      }));
    assert.deepEqual(searchSecret(framed(6), 3, isRight), {
      kind: 'recovered',
      secret: SECRET,
      right: [false, false, true, true, true, true],
      isSure: true,
    });
    // Three against three: the secret is sure, who lies is not.
    assert.deepEqual(searchSecret(framed(5), 3, isRight), {
      kind: 'recovered',
      secret: SECRET,
      right: [false, false, true, false, false],
      isSure: false,
    });
  });

  it('makes nothing of too few, and tries nothing without end', () => {
    assert.deepEqual(searchSecret(split(5, 3).slice(0, 2), 3, isRight), { kind: 'unrecoverable' });
    let tries = 0;
    const counted = (): boolean => {
      tries++;
      return false;
    };
    assert.deepEqual(searchSecret(split(20, 5), 5, counted), { kind: 'unrecoverable' });
    assert.equal(tries, 0);
    searchSecret(split(7, 3), 3, counted);
    assert.equal(tries, 35);
  });

  it('counts choices', () => {
    const table = [
      [5, 3, 10],
      [3, 3, 1],
      [2, 3, 0],
      [30, 3, 4_060],
      [20, 5, 15_504],
    ] as const;
    for (const [count, threshold, expected] of table) {
      assert.equal(choices(count, threshold), expected);
    }
    assert.equal(choices(128, 64) > CHOICES_MAX, true);
  });
});
