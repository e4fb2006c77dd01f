// Inclusion proofs (RFC 9162 section 2.1.3.2; the tree is that of RFC 6962).
import { equalBytes } from '../bytes.ts';
import { VerifyError, assert } from '../errors.ts';
import { type Hash, TREE_SIZE_MAX, isHash, nodeHash } from './hash.ts';

/**
 * The root of the tree that has `leaf` at `index`, given the audit path. The caller compares it with
 * a root that it trusts.
 *
 * @param leaf  `leafHash` of the entry's data
 * @param index position of the leaf, counted from 0
 * @param size  number of leaves
 * @param proof sibling hashes from the leaf up, at most 53
 * @throws {VerifyError} `INCLUSION_PROOF_INVALID` when the path hasn't the one length that
 *         (index, size) allows, or when index and size are not integers with 0 <= index < size
 */
export function rootFromInclusionProof(
  leaf: Hash,
  index: number,
  size: number,
  proof: readonly Hash[],
): Hash {
  if (!isTreeSize(size) || !isTreeSize(index) || index >= size) {
    throw invalid(`leaf ${index} of a tree of size ${size}`);
  }
  if (!isHash(leaf) || !proof.every(isHash)) throw invalid('a hash that is not 32 bytes');
  // Division, not `>>`: the 32-bit operators would silently wrap at 2^31 leaves.
  let node = index;
  let last = size - 1;
  let root = leaf;
  for (const sibling of proof) {
    if (last === 0) throw invalid('the path is too long');
    if (node % 2 === 1 || node === last) {
      root = nodeHash(sibling, root);
      // The last node of an uneven level moves up without a sibling.
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      root = nodeHash(root, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  if (last !== 0) throw invalid('the path is too short');
  return root;
}

/**
 * Checks that `leaf` is at `index` in the tree with this size and root.
 *
 * @throws {VerifyError} `INCLUSION_PROOF_INVALID`
 */
export function checkInclusion(
  leaf: Hash,
  index: number,
  size: number,
  proof: readonly Hash[],
  root: Hash,
): void {
  const computed = rootFromInclusionProof(leaf, index, size, proof);
  if (!equalBytes(computed, root)) throw invalid('the path leads to another root');
}

/** Whether the number can be a size or an index. */
export function isTreeSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= TREE_SIZE_MAX;
}

/** The largest power of two below `size` (>= 2): where RFC 6962 splits a tree. */
export function splitPoint(size: number): number {
  assert(isTreeSize(size) && size >= 2, 'a tree of two leaves or more splits');
  let k = 1;
  while (2 * k < size) k *= 2;
  return k;
}

function invalid(detail: string): VerifyError {
  return new VerifyError('INCLUSION_PROOF_INVALID', `inclusion proof: ${detail}`);
}
