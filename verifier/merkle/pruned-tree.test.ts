import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { flipBit, naiveRoot, testLeaves } from '../../fixtures/naive-tree.ts';
import { equalBytes } from '../bytes.ts';
import { VerifyError } from '../errors.ts';
import { EMPTY_ROOT, type Hash } from './hash.ts';
import { checkInclusion } from './inclusion.ts';
import { pathFromPrunedTree, prunedRanges, rootFromPrunedTree } from './pruned-tree.ts';
import { inclusionRanges } from './ranges.ts';

const refusal = { code: 'INCLUSION_PROOF_INVALID' };

/** A tree, some of its leaves, and the roots of everything else. */
function prune(
  leaves: readonly Hash[],
  wanted: readonly number[],
): { kept: Map<number, Hash>; hashes: readonly Hash[] } {
  const kept = new Map(
    wanted.map((index) => {
      const leaf = leaves[index];
      assert.ok(leaf !== undefined);
      return [index, leaf];
    }),
  );
  const hashes = prunedRanges(leaves.length, wanted).map(({ start, end }) =>
    naiveRoot(leaves.slice(start, end), EMPTY_ROOT),
  );
  return { kept, hashes };
}

/** Whether the proof leads to `root`; a refusal by the function itself is a no as well. */
function leadsTo(
  root: Hash,
  size: number,
  leaves: ReadonlyMap<number, Hash>,
  hashes: readonly Hash[],
): boolean {
  try {
    return equalBytes(rootFromPrunedTree(size, leaves, hashes), root);
  } catch (error) {
    assert.ok(error instanceof VerifyError && error.code === 'INCLUSION_PROOF_INVALID');
    return false;
  }
}

/** The indexes whose bit is set. */
const subset = (mask: number, size: number): number[] =>
  Array.from({ length: size }, (_, i) => i).filter((i) => (mask >> i) % 2 === 1);

describe('rootFromPrunedTree', () => {
  it('gives the root for every subset of every tree of up to 9 leaves', () => {
    let count = 0;
    for (let size = 0; size <= 9; size++) {
      const leaves = testLeaves(size);
      const root = naiveRoot(leaves, EMPTY_ROOT);
      for (let mask = 0; mask < 2 ** size; mask++) {
        const { kept, hashes } = prune(leaves, subset(mask, size));
        assert.deepEqual(rootFromPrunedTree(size, kept, hashes), root, `${mask} of ${size}`);
        count += 1;
      }
    }
    assert.equal(count, 1023);
  });

  it('refuses it with anything dropped, added, swapped, flipped or moved', () => {
    const trees = fc.integer({ min: 1, max: 200 }).chain((size) =>
      fc.record({
        size: fc.constant(size),
        wanted: fc.uniqueArray(fc.nat(size - 1), { minLength: 1, maxLength: 12 }),
        bit: fc.nat(255),
        pick: fc.nat(),
      }),
    );
    fc.assert(
      fc.property(trees, ({ size, wanted, bit, pick }) => {
        const leaves = testLeaves(size);
        const root = naiveRoot(leaves, EMPTY_ROOT);
        const { kept, hashes } = prune(
          leaves,
          wanted.toSorted((a, b) => a - b),
        );
        assert.ok(leadsTo(root, size, kept, hashes), 'the proof itself');
        const no = (why: string, k: ReadonlyMap<number, Hash>, h: readonly Hash[]): void =>
          assert.equal(leadsTo(root, size, k, h), false, why);
        no('a hash added', kept, [...hashes, root]);
        no('a hash put in front', kept, [root, ...hashes]);
        const [index, leaf] = [...kept][pick % kept.size] ?? [0, root];
        no('a leaf flipped', new Map(kept).set(index, flipBit(leaf, bit)), hashes);
        no('a byte more in a leaf', new Map(kept).set(index, Uint8Array.of(...leaf, 0)), hashes);
        const without = new Map(kept);
        without.delete(index);
        // With no leaf left a proof is nothing but a root.
        if (hashes.length !== 1 || without.size > 0) no('a leaf dropped', without, hashes);
        no('a leaf outside', new Map(kept).set(size, leaf), hashes);
        if (hashes.length > 0) {
          const at = pick % hashes.length;
          const hash = hashes[at] ?? root;
          no('a hash dropped', kept, hashes.toSpliced(at, 1));
          no('a hash flipped', kept, hashes.with(at, flipBit(hash, bit)));
          no('a hash cut', kept, hashes.with(at, hash.subarray(1)));
          no('a byte more in a hash', kept, hashes.with(at, Uint8Array.of(...hash, 0)));
          no('a hash doubled', kept, hashes.toSpliced(at, 0, hash));
        }
        const moved = (index + 1 + (pick % size)) % size;
        if (!kept.has(moved)) no('a leaf moved', new Map(without).set(moved, leaf), hashes);
      }),
      { numRuns: 300 },
    );
  });

  const [leaf = EMPTY_ROOT] = testLeaves(1);
  const refused: readonly [string, number, ReadonlyMap<number, Hash>, readonly Hash[]][] = [
    ['a leaf of the empty tree', 0, new Map([[0, leaf]]), []],
    ['hashes of the empty tree', 0, new Map(), [leaf]],
    ['no hashes at all', 5, new Map(), []],
    ['a negative index', 5, new Map([[-1, leaf]]), [leaf]],
    ['a fraction for an index', 5, new Map([[0.5, leaf]]), [leaf]],
    ['a fraction for a size', 1.5, new Map([[0, leaf]]), [leaf]],
    ['a size of 2^53', 2 ** 53, new Map([[0, leaf]]), [leaf]],
    ['a leaf of 31 bytes', 1, new Map([[0, leaf.subarray(1)]]), []],
    ['a flood of hashes', 1, new Map([[0, leaf]]), Array.from({ length: 100_000 }, () => leaf)],
  ];
  for (const [why, size, leaves, hashes] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => rootFromPrunedTree(size, leaves, hashes), refusal);
    });
  }
});

describe('prunedRanges', () => {
  it('is the inclusion proof from left to right when one leaf is wanted', () => {
    for (let index = 0; index < 37; index++) {
      const path = inclusionRanges(index, 37).toSorted((a, b) => a.start - b.start);
      assert.deepEqual(prunedRanges(37, [index]), path, `leaf ${index}`);
    }
  });

  it('parts the tree into wanted leaves and pruned ranges', () => {
    fc.assert(
      fc.property(fc.nat(300), fc.uniqueArray(fc.nat(300), { maxLength: 20 }), (size, indexes) => {
        const wanted = indexes.filter((index) => index < size).sort((a, b) => a - b);
        const covered = wanted.map((index) => ({ start: index, end: index + 1 }));
        const parts = [...covered, ...prunedRanges(size, wanted)].sort((a, b) => a.start - b.start);
        let at = 0;
        for (const { start, end } of parts) {
          assert.equal(start, at);
          at = end;
        }
        assert.equal(at, size);
      }),
    );
  });

  it('stays small in a huge tree', () => {
    const size = 2 ** 53 - 1;
    assert.equal(prunedRanges(size, [0]).length, 53);
    assert.ok(prunedRanges(size, [0, 2 ** 40, size - 1]).length <= 3 * 53);
  });

  for (const [why, wanted] of [
    ['out of order', [2, 1]],
    ['twice the same', [1, 1]],
    ['outside', [5]],
  ] as const) {
    it(`takes indexes ${why} for a bug`, () => {
      assert.throws(() => prunedRanges(5, wanted), { name: 'AssertionError' });
    });
  }
});

describe('pathFromPrunedTree', () => {
  it('gives the inclusion path of every leaf that is shown, in every tree of up to nine leaves', () => {
    for (let size = 1; size <= 9; size++) {
      const leaves = testLeaves(size);
      const root = naiveRoot(leaves, EMPTY_ROOT);
      for (let mask = 1; mask < 2 ** size; mask++) {
        const wanted = subset(mask, size);
        const { kept, hashes } = prune(leaves, wanted);
        for (const index of wanted) {
          const leaf = leaves[index];
          assert.ok(leaf !== undefined, 'there is a leaf');
          const path = pathFromPrunedTree(size, kept, hashes, index);
          // Also refuses a path that is too long or too short.
          checkInclusion(leaf, index, size, path, root);
        }
      }
    }
  });
});
