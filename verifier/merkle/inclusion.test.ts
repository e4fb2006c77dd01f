import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { readMerkleVectors } from '../../fixtures/merkle-vectors.ts';
import { flipBit, naivePath, naiveRoot, testLeaves } from '../../fixtures/naive-tree.ts';
import { utf8 } from '../bytes.ts';
import { decodeBase64 } from '../encoding.ts';
import { EMPTY_ROOT, leafHash, leafHashOfText, type Hash } from './hash.ts';
import { checkInclusion, rootFromInclusionProof, splitPoint } from './inclusion.ts';

const refusal = { code: 'INCLUSION_PROOF_INVALID' };
const SIZE_MAX = 34;

/** The leaf of that index. */
function at(leaves: readonly Hash[], index: number): Hash {
  const leaf = leaves[index];
  assert.ok(leaf !== undefined);
  return leaf;
}

describe('leafHashOfText', () => {
  // Around the length of the place where leaves are put together, with one to four bytes a character.
  for (const length of [
    0, 1, 64, 65, 1023, 1024, 1025, 2047, 2048, 2049, 4094, 4095, 4096, 4097, 20_000,
  ]) {
    it(`is the hash of the text's bytes: ${length} characters`, () => {
      for (const character of ['a', 'é', '—', '😀']) {
        const text = character.repeat(length);
        assert.deepEqual(leafHashOfText(text), leafHash(utf8(text)));
        assert.deepEqual(leafHashOfText(`a${text}`), leafHash(utf8(`a${text}`)));
      }
    });
  }
});

describe('checkInclusion', () => {
  it('agrees with all vectors of transparency-dev/merkle', () => {
    interface Vector {
      readonly leafIdx: number;
      readonly treeSize: number;
      readonly root: string;
      readonly leafHash: string;
      readonly proof: readonly string[] | null;
      readonly wantErr: boolean;
    }
    const vectors = readMerkleVectors('inclusion') as readonly [string, Vector][];
    assert.equal(vectors.length, 65);
    for (const [name, vector] of vectors) {
      const check = (): void => {
        checkInclusion(
          decodeBase64(vector.leafHash),
          vector.leafIdx,
          vector.treeSize,
          (vector.proof ?? []).map(decodeBase64),
          decodeBase64(vector.root),
        );
      };
      if (vector.wantErr) assert.throws(check, refusal, name);
      else assert.doesNotThrow(check, name);
    }
    assert.ok(vectors.some(([, { wantErr }]) => !wantErr));
  });

  it('accepts each leaf of each small tree, with exactly its own path', () => {
    for (let size = 1; size <= SIZE_MAX; size++) {
      const leaves = testLeaves(size);
      const root = naiveRoot(leaves, EMPTY_ROOT);
      for (let index = 0; index < size; index++) {
        const name = `leaf ${index} of ${size}`;
        const leaf = at(leaves, index);
        const path = naivePath(index, leaves, EMPTY_ROOT);
        checkInclusion(leaf, index, size, path, root);
        const refuses = (why: string, check: () => void): void =>
          assert.throws(check, refusal, `${name}: ${why}`);
        refuses('a hash more', () => checkInclusion(leaf, index, size, [...path, root], root));
        refuses('a hash in front', () => checkInclusion(leaf, index, size, [root, ...path], root));
        refuses('another leaf', () => checkInclusion(flipBit(leaf, 9), index, size, path, root));
        refuses('another root', () => checkInclusion(leaf, index, size, path, flipBit(root, 9)));
        refuses('no root', () => checkInclusion(leaf, index, size, path, new Uint8Array(0)));
        if (path.length > 0) {
          refuses('a hash less', () => checkInclusion(leaf, index, size, path.slice(1), root));
          refuses('the last less', () =>
            checkInclusion(leaf, index, size, path.slice(0, -1), root),
          );
        }
        for (const [i, hash] of path.entries()) {
          refuses(`a bit of hash ${i}`, () =>
            checkInclusion(leaf, index, size, path.with(i, flipBit(hash, (7 * i) % 256)), root),
          );
        }
        for (let other = 0; other < size; other++) {
          if (other === index) continue;
          refuses(`index ${other}`, () => checkInclusion(leaf, other, size, path, root));
        }
      }
    }
  });

  it('works beyond 2^32 leaves, where 32-bit operators would wrap', () => {
    // 2^40 + 1 leaves: the last one has a single sibling, the root of the first 2^40.
    const [leaf, left] = testLeaves(2);
    assert.ok(leaf !== undefined && left !== undefined);
    const size = 2 ** 40 + 1;
    const root = naiveRoot([left, leaf], EMPTY_ROOT);
    checkInclusion(leaf, size - 1, size, [left], root);
    assert.throws(() => checkInclusion(leaf, size - 2, size, [left], root), refusal);
    // In a tree of 2^53 - 1 leaves the first leaf has a path of 53.
    const path = Array.from({ length: 53 }, () => left);
    rootFromInclusionProof(leaf, 0, 2 ** 53 - 1, path);
    assert.throws(() => rootFromInclusionProof(leaf, 0, 2 ** 53 - 1, path.slice(1)), refusal);
    assert.throws(() => rootFromInclusionProof(leaf, 0, 2 ** 53 - 1, [...path, left]), refusal);
  });

  const [leaf = EMPTY_ROOT, sibling = EMPTY_ROOT] = testLeaves(2);
  const refused: readonly [string, Hash, number, number, readonly Hash[]][] = [
    ['the empty tree', leaf, 0, 0, []],
    ['an index at the size', leaf, 2, 2, [sibling]],
    ['a negative index', leaf, -1, 2, [sibling]],
    ['a fraction', leaf, 0.5, 2, [sibling]],
    ['no number', leaf, Number.NaN, 2, [sibling]],
    ['a size of 2^53', leaf, 0, 2 ** 53, [sibling]],
    ['an infinite size', leaf, 0, Infinity, [sibling]],
    ['a hash of 31 bytes', leaf, 0, 2, [sibling.subarray(1)]],
    ['a hash of 33 bytes', leaf, 0, 2, [Uint8Array.of(...sibling, 0)]],
    ['a leaf of 33 bytes', Uint8Array.of(...leaf, 0), 0, 2, [sibling]],
    ['a huge proof', leaf, 0, 2, Array.from({ length: 100_000 }, () => sibling)],
  ];
  for (const [why, hash, index, size, proof] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => rootFromInclusionProof(hash, index, size, proof), refusal);
    });
  }
});

describe('splitPoint', () => {
  for (const [size, expected] of [
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 4],
    [8, 4],
    [9, 8],
    [2 ** 40, 2 ** 39],
    [2 ** 40 + 1, 2 ** 40],
    [2 ** 53 - 1, 2 ** 52],
  ] as const) {
    it(`splits ${size} at ${expected}`, () => assert.equal(splitPoint(size), expected));
  }
  it('does not split a leaf', () => {
    assert.throws(() => splitPoint(1), { name: 'AssertionError' });
  });
});
