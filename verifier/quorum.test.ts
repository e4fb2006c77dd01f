import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { refusalOf } from '../fixtures/documents.ts';
import { AssertionError } from './errors.ts';
import { WEIGHT_TOTAL_MAX, hasQuorum, hasWeakQuorum, thresholds, weightOf } from './quorum.ts';

const ones = (n: number): number[] => Array.from({ length: n }, () => 1);

// A small seeded generator (mulberry32), so that a failure is the same failure tomorrow.
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** All subsets of n authorities, as sorted lists of indexes. */
function subsets(n: number): number[][] {
  const indexes = Array.from({ length: n }, (_, i) => i);
  return Array.from({ length: 2 ** n }, (_, mask) => indexes.filter((i) => (mask >> i) & 1));
}

// The oracle: nothing but adding up.
const sum = (members: readonly number[], weights: readonly number[]): number =>
  members.reduce((total, i) => total + (weights[i] ?? Number.NaN), 0);

describe('thresholds', () => {
  const rows: readonly [string, number[], number, number, number][] = [
    // why, weights, B, Q, weak
    ['one replica for experiments', [1], 0, 1, 1],
    ['two, none faulty: both', [1, 1], 0, 2, 1],
    ['three, none faulty: a majority', ones(3), 0, 2, 1],
    ['n = 4, f = 1: 2f + 1', ones(4), 1, 3, 2],
    ['n = 5, f = 1: more than 2f + 1', ones(5), 1, 4, 2],
    ['n = 6, f = 1', ones(6), 1, 4, 2],
    ['n = 7, f = 2', ones(7), 2, 5, 3],
    ['n = 10, f = 3', ones(10), 3, 7, 4],
    ['n = 64, f = 21', ones(64), 21, 43, 22],
    ['weights of one big and three small', [4, 1, 1, 1], 2, 5, 3],
    ['weights in the thousands', [1000, 1000, 1000, 1001], 1000, 2501, 1001],
    ['one authority with all the weight', [7], 2, 5, 3],
    ['the largest total', [WEIGHT_TOTAL_MAX], 333_333_333, 666_666_667, 333_333_334],
  ];
  for (const [why, weights, faulty, quorum, weak] of rows) {
    it(`computes ${why}`, () => {
      assert.deepEqual(thresholds(weights, faulty), {
        total: sum([...weights.keys()], weights),
        faulty,
        quorum,
        weak,
      });
    });
  }

  const refused: readonly [string, number[], number][] = [
    ['no authorities at all', [], 0],
    ['n = 3f', ones(3), 1],
    ['n = 6, f = 2', ones(6), 2],
    ['weight below 3B + 1', [3, 1, 1, 1], 2],
    ['a weight of zero', [1, 0, 1, 1], 0],
    ['a negative weight', [5, -1, 1], 0],
    ['a fraction', [1, 1.5, 1], 0],
    ['NaN', [1, Number.NaN], 0],
    ['infinity', [Number.POSITIVE_INFINITY], 0],
    ['an unsafe integer', [2 ** 53], 0],
    ['a weight above the largest total', [WEIGHT_TOTAL_MAX + 1], 0],
    ['a sum above the largest total', [WEIGHT_TOTAL_MAX, 1], 0],
    ['a negative faulty weight: a quorum of less than half', ones(4), -1],
    ['a fraction of faulty weight', ones(4), 0.5],
    ['NaN faulty weight', ones(4), Number.NaN],
    ['infinite faulty weight', ones(4), Number.POSITIVE_INFINITY],
    ['faulty weight whose triple is not exact', ones(4), 2 ** 53 - 1],
    ['a list with a hole', Object.assign<number[], object>([], { 1: 1, length: 2 }), 0],
  ];
  for (const [why, weights, faulty] of refused) {
    it(`refuses ${why}`, () => {
      assert.equal(
        refusalOf(() => thresholds(weights, faulty)),
        'ROSTER_MALFORMED',
      );
    });
  }

  it('is the smallest safe and a reachable one for 1 to 20 equal authorities and every f', () => {
    let checked = 0;
    for (let n = 1; n <= 20; n++) {
      for (let f = 0; f <= n; f++) {
        if (n < 3 * f + 1) {
          assert.equal(
            refusalOf(() => thresholds(ones(n), f)),
            'ROSTER_MALFORMED',
            `n ${n} f ${f}`,
          );
          continue;
        }
        const { quorum, weak } = thresholds(ones(n), f);
        // Two sets of size q share at least 2q - n members; count up to the first q that is safe.
        let q = 0;
        while (2 * q - n <= f) q++;
        assert.equal(quorum, q, `n ${n} f ${f}`);
        assert.ok(quorum <= n - f, `n ${n} f ${f}: the correct ones suffice`);
        assert.equal(weak, f + 1);
        if (n === 3 * f + 1) assert.equal(quorum, 2 * f + 1, `n ${n} = 3f + 1`);
        checked++;
      }
    }
    assert.equal(checked, 77);
  });
});

describe('hasQuorum and hasWeakQuorum', () => {
  // Every subset of every group below, against the definition itself.
  const random = generator(20_260);
  const groups: number[][] = [
    [1],
    [1, 1, 1, 1],
    [4, 1, 1, 1],
    [2, 2, 2, 1],
    [1, 2, 4, 8, 16],
    [5, 5, 5, 1, 1, 1],
    ones(10),
  ];
  for (let n = 1; n <= 10; n++) {
    for (let i = 0; i < 3; i++) groups.push(Array.from({ length: n }, () => 1 + random(9)));
  }

  for (const weights of groups) {
    it(`keeps its promises for every subset of weights ${weights.join(' ')}`, () => {
      const all = subsets(weights.length);
      const total = sum([...weights.keys()], weights);
      for (let faulty = 0; 3 * faulty + 1 <= total; faulty++) {
        const t = thresholds(weights, faulty);
        const quorums = all.filter((s) => hasQuorum(s, weights, t));
        assert.ok(quorums.length > 0, 'there is a quorum');
        assert.ok(
          !hasQuorum([], weights, t) && !hasWeakQuorum([], weights, t),
          'nobody is no quorum',
        );

        for (const subset of all) {
          const weight = sum(subset, weights);
          // Live: whoever the faulty ones are, the others are a quorum.
          const others = [...weights.keys()].filter((i) => !subset.includes(i));
          if (weight <= faulty) {
            assert.ok(hasQuorum(others, weights, t), `without ${subset.join()} B ${faulty}`);
          }
          // Weak: exactly the sets that can't be all faulty.
          assert.equal(hasWeakQuorum(subset, weights, t), weight > faulty, `weak ${subset.join()}`);
          // A quorum is also a weak quorum.
          if (hasQuorum(subset, weights, t)) assert.ok(hasWeakQuorum(subset, weights, t));
        }

        // Safe: any two quorums share more than B. It is enough to look at the minimal ones.
        const minimal = quorums.filter((q) =>
          q.every(
            (out) =>
              !hasQuorum(
                q.filter((i) => i !== out),
                weights,
                t,
              ),
          ),
        );
        for (const a of minimal) {
          for (const b of minimal) {
            const shared = sum(
              a.filter((i) => b.includes(i)),
              weights,
            );
            assert.ok(shared > faulty, `${a.join()} and ${b.join()} share ${shared}, B ${faulty}`);
          }
        }
      }
    });
  }

  it('would not be safe with one less, for equal weights', () => {
    for (const [n, f] of [
      [4, 1],
      [7, 2],
      [10, 3],
    ] as const) {
      const { quorum } = thresholds(ones(n), f);
      const left = Array.from({ length: quorum - 1 }, (_, i) => i);
      const right = left.map((i) => n - 1 - i);
      const shared = left.filter((i) => right.includes(i)).length;
      assert.ok(shared <= f, `n ${n}`);
    }
  });

  const weights = [1, 1, 1, 1];
  const t = thresholds(weights, 1);
  const rows: readonly [string, number[], boolean, boolean][] = [
    // why, members, quorum, weak quorum
    ['nobody', [], false, false],
    ['one', [0], false, false],
    ['one that comes three times', [0, 0, 0], false, false],
    ['one that comes a hundred times', Array.from({ length: 100 }, () => 2), false, false],
    ['one that comes as 0 and as -0', [0, -0, 0], false, false],
    ['two', [0, 3], false, true],
    ['two, each twice', [0, 3, 3, 0], false, true],
    ['three', [3, 1, 2], true, true],
    ['three, one of them twice', [3, 1, 2, 1], true, true],
    ['all', [0, 1, 2, 3], true, true],
  ];
  for (const [why, members, quorum, weak] of rows) {
    it(`counts ${why}`, () => {
      assert.equal(hasQuorum(members, weights, t), quorum);
      assert.equal(hasWeakQuorum(members, weights, t), weak);
      assert.equal(hasQuorum(new Set(members), weights, t), quorum, 'as a set');
    });
  }

  it('stops when thresholds and weights are not of one group', () => {
    const small = thresholds([1], 0);
    assert.throws(() => hasQuorum([0], weights, small), AssertionError);
    assert.throws(() => hasWeakQuorum([0], weights, small), AssertionError);
  });

  it('stops at thresholds that nobody computed', () => {
    for (const quorum of [0, -1, 5, Number.NaN]) {
      assert.throws(() => hasQuorum([], weights, { ...t, quorum }), AssertionError, `Q ${quorum}`);
      assert.throws(
        () => hasWeakQuorum([], weights, { ...t, weak: quorum }),
        AssertionError,
        `weak ${quorum}`,
      );
    }
  });
});

describe('weightOf', () => {
  it('is the same for a list with repetitions, in any order, as for the set', () => {
    const random = generator(7);
    for (let round = 0; round < 500; round++) {
      const weights = Array.from({ length: 1 + random(20) }, () => 1 + random(1000));
      const list = Array.from({ length: random(60) }, () => random(weights.length));
      const distinct = [...weights.keys()].filter((i) => list.includes(i));
      assert.equal(weightOf(list, weights), sum(distinct, weights), `round ${round}`);
    }
  });

  for (const index of [-1, 4, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32]) {
    it(`stops at the index ${index}`, () => {
      assert.throws(() => weightOf([0, index], [1, 1, 1, 1]), AssertionError);
    });
  }
});
