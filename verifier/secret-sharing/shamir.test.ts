import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { VerifyError } from '../errors.ts';
import { correctable } from './decode.ts';
import { formatElement, parseElement, PRIME, secretOfElement } from './field.ts';
import { evaluate, interpolate } from './polynomial.ts';
import {
  faultyMax,
  parameterProblem,
  recoverSecret,
  splitSecret,
  type Parameters,
  type Share,
} from './shamir.ts';

const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));

function split(secret: Uint8Array, shares: number, threshold: number): readonly Share[] {
  return splitSecret(secret, { shares, threshold, faulty: 0 }, random);
}

/** The numbers whose bits are the subsets of `size` things. */
function* subsets(size: number): Generator<readonly number[]> {
  for (let bits = 0; bits < 2 ** size; bits++) {
    yield Array.from({ length: size }, (_, i) => i).filter(
      (i) => Math.floor(bits / 2 ** i) % 2 === 1,
    );
  }
}

/** One that is certainly not the right value. */
function spoiled({ index, value }: Share): Share {
  return { index, value: (value + 1n + BigInt(`0x${randomBytes(16).toString('hex')}`)) % PRIME };
}

function requireRecovered(
  given: readonly Share[],
  threshold: number,
  secret: Uint8Array,
  wrong: readonly number[],
): void {
  const recovery = recoverSecret(given, threshold);
  assert.equal(recovery.kind, 'recovered');
  assert.deepEqual(recovery.secret, secret);
  const named = recovery.right.flatMap((isRight, i) => (isRight ? [] : [i]));
  assert.deepEqual(named, wrong);
}

describe('the field', () => {
  it('is one: its order is a prime above every secret', () => {
    assert.equal(PRIME > 2n ** 256n, true);
    for (const base of [2n, 3n, 5n, 7n, 11n, 13n, 17n, 19n, 23n, 29n, 31n, 37n, 41n, 43n, 47n]) {
      assert.equal(isProbablePrime(PRIME, base), true);
      assert.equal(isProbablePrime(2n ** 256n + 299n, base), false, 'the test can tell');
    }
  });

  it('has one spelling for each element', () => {
    for (const element of [0n, 1n, 2n ** 256n - 1n, 2n ** 256n, PRIME - 1n]) {
      assert.equal(parseElement(formatElement(element)), element);
    }
    const refused = [formatElement(PRIME), 'f'.repeat(66), '0'.repeat(64), 'G'.repeat(66), ''];
    for (const text of refused) assert.throws(() => parseElement(text), VerifyError);
    assert.equal(secretOfElement(2n ** 256n), undefined);
  });
});

// Miller and Rabin, one base.
function isProbablePrime(n: bigint, base: bigint): boolean {
  let odd = n - 1n;
  let halvings = 0;
  for (; odd % 2n === 0n; halvings++) odd /= 2n;
  let x = power(base, odd, n);
  if (x === 1n || x === n - 1n) return true;
  for (let i = 1; i < halvings; i++) {
    x = (x * x) % n;
    if (x === n - 1n) return true;
  }
  return false;
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  if (exponent === 0n) return 1n;
  const half = power((base * base) % modulus, exponent / 2n, modulus);
  return exponent % 2n === 0n ? half : (half * base) % modulus;
}

describe('splitSecret', () => {
  it('takes t - 1 random elements, and puts the secret at 0', () => {
    const secret = random(32);
    const asked: number[] = [];
    const shares = splitSecret(secret, { shares: 5, threshold: 3, faulty: 1 }, (length) => {
      asked.push(length);
      return random(length);
    });
    assert.deepEqual(asked, [64, 64]);
    const points = shares.map(({ index, value }) => ({ x: BigInt(index), y: value }));
    assert.deepEqual(secretOfElement(evaluate(interpolate(points.slice(0, 3)), 0n)), secret);
    assert.deepEqual(
      shares.map(({ index }) => index),
      [1, 2, 3, 4, 5],
    );
  });

  it('gives fewer than t holders nothing: every secret fits what they have', () => {
    // The same two values belong to whatever secret one likes, each with one third value.
    const [first, second] = split(random(32), 5, 3).map(({ index, value }) => ({
      x: BigInt(index),
      y: value,
    }));
    assert.ok(first !== undefined && second !== undefined, 'five shares');
    for (const guess of [0n, 1n, 2n ** 256n - 1n]) {
      const fitting = interpolate([{ x: 0n, y: guess }, first, second]);
      assert.equal(evaluate(fitting, first.x), first.y);
      assert.equal(evaluate(fitting, second.x), second.y);
      assert.equal(evaluate(fitting, 0n), guess);
    }
  });
});

describe('recoverSecret', () => {
  it('corrects and names every pattern of wrong shares, for every number of given ones up to six', () => {
    let patterns = 0;
    for (let threshold = 2; threshold <= 6; threshold++) {
      const secret = random(32);
      const all = split(secret, 6, threshold);
      for (const held of subsets(6)) {
        if (held.length < threshold) continue;
        for (const wrong of subsets(held.length)) {
          if (wrong.length > correctable(held.length, threshold)) continue;
          const given = held.flatMap((i, at) => {
            const share = all[i];
            assert.ok(share !== undefined, 'a share of the six');
            return wrong.includes(at) ? [spoiled(share)] : [share];
          });
          requireRecovered(given, threshold, secret, wrong);
          patterns++;
        }
      }
    }
    assert.equal(patterns, 282);
  });

  it('is not led astray by wrong shares that agree with one another', () => {
    // Two liars of seven, with t = 3: their polynomial goes through two right places and their own two, ours
    // through five.
    const secret = random(32);
    const all = split(secret, 7, 3);
    const points = all.map(({ index, value }) => ({ x: BigInt(index), y: value }));
    const theirs = interpolate([...points.slice(0, 2), { x: 0n, y: 12345n }]);
    const given = all.map((share, i) =>
      i < 5 ? share : { index: share.index, value: evaluate(theirs, BigInt(share.index)) },
    );
    requireRecovered(given, 3, secret, [5, 6]);
  });

  it('corrects any number of wrong shares up to (m - t) / 2, among many', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 32 }),
        fc.integer({ min: 0, max: 16 }),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.infiniteStream(fc.nat()),
        (threshold, errors, secret, picks) => {
          const shares = Math.min(64, threshold + 2 * errors);
          const all = split(secret, shares, threshold);
          const places = all.map((_, i) => i);
          const wrong = Array.from({ length: correctable(shares, threshold) }, () => {
            const [at = 0] = places.splice((picks.next().value ?? 0) % places.length, 1);
            return at;
          }).sort((a, b) => a - b);
          const given = all.map((share, i) => (wrong.includes(i) ? spoiled(share) : share));
          requireRecovered(given, threshold, secret, wrong);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('makes nothing of more wrong shares than that, rather than something else', () => {
    // With m = t any values make some secret, so m is larger.
    let patterns = 0;
    for (let count = 3; count <= 6; count++) {
      for (let threshold = 2; threshold < count; threshold++) {
        const all = split(random(32), count, threshold);
        for (const wrong of subsets(count)) {
          if (wrong.length <= correctable(count, threshold)) continue;
          const given = all.map((share, i) => (wrong.includes(i) ? spoiled(share) : share));
          assert.deepEqual(recoverSecret(given, threshold), { kind: 'unrecoverable' });
          patterns++;
        }
      }
    }
    assert.equal(patterns, 335);
  });

  it('makes nothing of too few', () => {
    const all = split(random(32), 5, 3);
    for (const given of [[], all.slice(0, 1), all.slice(3)]) {
      assert.deepEqual(recoverSecret(given, 3), { kind: 'unrecoverable' });
    }
    const [only] = all;
    assert.ok(only !== undefined, 'a share');
    assert.deepEqual(recoverSecret([only, only, only], 3), { kind: 'unrecoverable' });
  });

  it('counts a share once, however often it is given', () => {
    const secret = random(32);
    const all = split(secret, 5, 3);
    const [first, second] = all;
    assert.ok(first !== undefined && second !== undefined, 'five shares');
    const lie = spoiled(second);
    // Five copies of a lie outvote nobody.
    requireRecovered([...all, lie, lie, lie, lie, first], 3, secret, [5, 6, 7, 8]);
  });

  it('decides between two that claim one index by the others', () => {
    const secret = random(32);
    const all = split(secret, 5, 3);
    for (const [i, share] of all.entries()) {
      requireRecovered([...all, spoiled(share)], 3, secret, [5]);
      const given = [...all.slice(0, i), spoiled(share), share, ...all.slice(i + 1)];
      requireRecovered(given, 3, secret, [i]);
    }
  });

  it('makes nothing of rivals that leave too few beyond doubt', () => {
    const all = split(random(32), 3, 2);
    // m = 6, so two may be wrong, and three are.
    assert.deepEqual(recoverSecret([...all, ...all.map(spoiled)], 2), { kind: 'unrecoverable' });
  });

  it('counts rivals that are all wrong', () => {
    const [first, second, third, fourth] = split(random(32), 4, 2);
    assert.ok(first && second && third && fourth, 'four shares');
    const lies = [spoiled(third), spoiled(third), spoiled(fourth), spoiled(fourth)];
    // Six different ones, two may be wrong, four are: what is left beyond doubt could be anything.
    assert.deepEqual(recoverSecret([first, second, ...lies], 2), { kind: 'unrecoverable' });
  });

  it('refuses an element that is no secret', () => {
    const points = [
      { x: 0n, y: 2n ** 256n + 5n },
      { x: 1n, y: 99n },
    ];
    const line = interpolate(points);
    const given = [1, 2, 3].map((index) => ({ index, value: evaluate(line, BigInt(index)) }));
    assert.deepEqual(recoverSecret(given, 2), { kind: 'unrecoverable' });
  });
});

describe('parameters', () => {
  const cases: readonly (readonly [
    why: string,
    parameters: Parameters,
    expected: RegExp | null,
  ])[] = [
    ['3 of 5, one bad', { shares: 5, threshold: 3, faulty: 1 }, null],
    ['2 of 4, one bad', { shares: 4, threshold: 2, faulty: 1 }, null],
    ['3 of 3, nobody bad', { shares: 3, threshold: 3, faulty: 0 }, null],
    ['3 of 5 with two bad: t > n - 2f', { shares: 5, threshold: 3, faulty: 2 }, /t <= n - 2f/],
    ['2 of 7 with two bad: they have the key', { shares: 7, threshold: 2, faulty: 2 }, /f < t/],
    ['1 of 3', { shares: 3, threshold: 1, faulty: 0 }, /whole key/],
    ['6 of 5', { shares: 5, threshold: 6, faulty: 0 }, /never/],
    ['65 shares', { shares: 65, threshold: 3, faulty: 0 }, /at most 64/],
    ['half a share', { shares: 4.5, threshold: 3, faulty: 0 }, /at most 64/],
    ['less than nobody bad', { shares: 5, threshold: 3, faulty: -1 }, /negative/],
  ];
  for (const [why, parameters, expected] of cases) {
    it(`${expected === null ? 'takes' : 'refuses'} ${why}`, () => {
      if (expected === null) assert.equal(parameterProblem(parameters), undefined);
      else assert.match(parameterProblem(parameters) ?? '', expected);
    });
  }

  it('allows exactly as many bad holders as it says', () => {
    for (let shares = 2; shares <= 12; shares++) {
      for (let threshold = 2; threshold <= shares; threshold++) {
        const faulty = faultyMax(shares, threshold);
        assert.equal(parameterProblem({ shares, threshold, faulty }), undefined);
        const more = parameterProblem({ shares, threshold, faulty: faulty + 1 });
        assert.notEqual(more, undefined);
      }
    }
  });
});
