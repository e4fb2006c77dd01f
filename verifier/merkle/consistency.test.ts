import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { readMerkleVectors } from '../../fixtures/merkle-vectors.ts';
import { flipBit, naiveProof, naiveRoot, testLeaves } from '../../fixtures/naive-tree.ts';
import { decodeBase64 } from '../encoding.ts';
import { checkConsistency } from './consistency.ts';
import { EMPTY_ROOT } from './hash.ts';

const refusal = { code: 'CONSISTENCY_PROOF_INVALID' };
const SIZE_MAX = 34;
// Two equal roots, "don't care 2" in base64, which that library compares and nothing else. Here what
// can't be a root is refused before it is compared.
const ROOTS_OF_12_BYTES = 'additional/sizes-are-equal-one-and-proof-is-empty.json';

describe('checkConsistency', () => {
  it('agrees with all vectors of transparency-dev/merkle', () => {
    interface Vector {
      readonly size1: number;
      readonly size2: number;
      readonly root1: string;
      readonly root2: string;
      readonly proof: readonly string[] | null;
      readonly wantErr: boolean;
    }
    const vectors = readMerkleVectors('consistency') as readonly [string, Vector][];
    assert.equal(vectors.length, 57);
    for (const [name, vector] of vectors) {
      const check = (): void => {
        checkConsistency(
          vector.size1,
          decodeBase64(vector.root1),
          vector.size2,
          decodeBase64(vector.root2),
          (vector.proof ?? []).map(decodeBase64),
        );
      };
      if (vector.wantErr || name === ROOTS_OF_12_BYTES) assert.throws(check, refusal, name);
      else assert.doesNotThrow(check, name);
    }
    assert.ok(vectors.some(([, { wantErr }]) => !wantErr));
  });

  it('accepts each growth of each small tree, with exactly its own proof', () => {
    for (let newSize = 1; newSize <= SIZE_MAX; newSize++) {
      const leaves = testLeaves(newSize);
      const newRoot = naiveRoot(leaves, EMPTY_ROOT);
      for (let oldSize = 1; oldSize <= newSize; oldSize++) {
        const name = `${oldSize} to ${newSize}`;
        const oldRoot = naiveRoot(leaves.slice(0, oldSize), EMPTY_ROOT);
        const proof = oldSize < newSize ? naiveProof(oldSize, leaves, EMPTY_ROOT) : [];
        checkConsistency(oldSize, oldRoot, newSize, newRoot, proof);
        const refuses = (why: string, check: () => void): void =>
          assert.throws(check, refusal, `${name}: ${why}`);
        refuses('a hash more', () =>
          checkConsistency(oldSize, oldRoot, newSize, newRoot, [...proof, oldRoot]),
        );
        refuses('a hash in front', () =>
          checkConsistency(oldSize, oldRoot, newSize, newRoot, [oldRoot, ...proof]),
        );
        refuses('another old root', () =>
          checkConsistency(oldSize, flipBit(oldRoot, 3), newSize, newRoot, proof),
        );
        refuses('another new root', () =>
          checkConsistency(oldSize, oldRoot, newSize, flipBit(newRoot, 3), proof),
        );
        if (proof.length > 0) {
          refuses('a hash less', () =>
            checkConsistency(oldSize, oldRoot, newSize, newRoot, proof.slice(1)),
          );
          refuses('the last less', () =>
            checkConsistency(oldSize, oldRoot, newSize, newRoot, proof.slice(0, -1)),
          );
          refuses('backwards', () => checkConsistency(newSize, newRoot, oldSize, oldRoot, proof));
        }
        for (const [i, hash] of proof.entries()) {
          refuses(`a bit of hash ${i}`, () =>
            checkConsistency(
              oldSize,
              oldRoot,
              newSize,
              newRoot,
              proof.with(i, flipBit(hash, (11 * i) % 256)),
            ),
          );
        }
      }
    }
  });

  const [root = EMPTY_ROOT, other = EMPTY_ROOT] = testLeaves(2);
  it('takes anything to grow from the empty tree', () => {
    checkConsistency(0, EMPTY_ROOT, 5, root, []);
    checkConsistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, []);
  });

  const refused: readonly [string, () => void][] = [
    ['a proof from the empty tree', () => checkConsistency(0, EMPTY_ROOT, 1, root, [other])],
    ['another empty root', () => checkConsistency(0, other, 1, root, [])],
    ['another empty root on both sides', () => checkConsistency(0, root, 0, root, [])],
    ['two roots of one size: a fork', () => checkConsistency(5, other, 5, root, [])],
    ['a proof for one size', () => checkConsistency(5, root, 5, root, [root])],
    ['a shrunken log', () => checkConsistency(6, root, 5, root, [])],
    ['a negative size', () => checkConsistency(-1, root, 5, root, [])],
    ['a size of 2^53', () => checkConsistency(1, root, 2 ** 53, root, [other])],
    ['no proof', () => checkConsistency(3, root, 5, other, [])],
    ['a hash of 31 bytes', () => checkConsistency(1, root, 2, other, [root.subarray(1)])],
    ['a hash of 33 bytes', () => checkConsistency(1, root, 2, other, [Uint8Array.of(...root, 0)])],
    ['a root of 31 bytes', () => checkConsistency(2, root.subarray(1), 2, root.subarray(1), [])],
  ];
  for (const [why, check] of refused) {
    it(`refuses ${why}`, () => assert.throws(check, refusal));
  }
});
