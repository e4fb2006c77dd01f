import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { naivePath, naiveProof, naiveRoot, testLeaves } from '../../fixtures/naive-tree.ts';
import { EMPTY_ROOT, type Hash } from './hash.ts';
import {
  type NodeReader,
  consistencyRanges,
  inclusionRanges,
  rangeNodes,
  rangeRoot,
} from './ranges.ts';

const SIZE_MAX = 40;

/** Reads perfect nodes of these leaves and nothing beyond them. */
function readerOf(leaves: readonly Hash[]): NodeReader {
  return (level, index) => {
    const [start, end] = [index * 2 ** level, (index + 1) * 2 ** level];
    assert.ok(
      end <= leaves.length,
      `node ${level} ${index} is complete in ${leaves.length} leaves`,
    );
    return naiveRoot(leaves.slice(start, end), EMPTY_ROOT);
  };
}

describe('inclusionRanges', () => {
  it('names the proof of each leaf of each small tree, in order', () => {
    for (let size = 1; size <= SIZE_MAX; size++) {
      const leaves = testLeaves(size);
      const read = readerOf(leaves);
      for (let index = 0; index < size; index++) {
        const proof = inclusionRanges(index, size).map(({ start, end }) =>
          rangeRoot(start, end, read),
        );
        assert.deepEqual(proof, naivePath(index, leaves, EMPTY_ROOT), `leaf ${index} of ${size}`);
      }
    }
  });

  it('takes few steps in huge trees', () => {
    assert.equal(inclusionRanges(0, 2 ** 53 - 1).length, 53);
    assert.deepEqual(inclusionRanges(2 ** 52, 2 ** 52 + 1), [{ start: 0, end: 2 ** 52 }]);
  });

  for (const [index, size] of [
    [0, 0],
    [3, 3],
    [-1, 3],
    [0, 2 ** 53],
  ] as const) {
    it(`takes leaf ${index} of ${size} for a bug`, () => {
      assert.throws(() => inclusionRanges(index, size), { name: 'AssertionError' });
    });
  }
});

describe('consistencyRanges', () => {
  it('names the proof of each growth of each small tree, in order', () => {
    for (let newSize = 1; newSize <= SIZE_MAX; newSize++) {
      const leaves = testLeaves(newSize);
      const read = readerOf(leaves);
      for (let oldSize = 1; oldSize < newSize; oldSize++) {
        const ranges = consistencyRanges(oldSize, newSize);
        const proof = ranges.map(({ start, end }) => rangeRoot(start, end, read));
        assert.deepEqual(
          proof,
          naiveProof(oldSize, leaves, EMPTY_ROOT),
          `${oldSize} to ${newSize}`,
        );
      }
    }
  });

  it('names nothing from the empty tree or to the same one', () => {
    assert.deepEqual(consistencyRanges(0, 0), []);
    assert.deepEqual(consistencyRanges(0, 9), []);
    assert.deepEqual(consistencyRanges(9, 9), []);
  });

  it('takes a shrunken log for a bug', () => {
    assert.throws(() => consistencyRanges(3, 2), { name: 'AssertionError' });
  });
});

describe('rangeRoot', () => {
  it('is the root of the whole tree at every size', () => {
    for (let size = 0; size <= SIZE_MAX; size++) {
      const leaves = testLeaves(size);
      assert.deepEqual(
        rangeRoot(0, size, readerOf(leaves)),
        naiveRoot(leaves, EMPTY_ROOT),
        `${size}`,
      );
    }
  });

  it('takes a range that is no subtree for a bug', () => {
    assert.throws(() => rangeNodes(1, 3), { name: 'AssertionError' });
    assert.throws(() => rangeNodes(3, 2), { name: 'AssertionError' });
  });

  it('reads at most 53 nodes', () => assert.equal(rangeNodes(0, 2 ** 53 - 1).length, 53));
});
