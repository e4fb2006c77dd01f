// Consistency proofs (RFC 9162 section 2.1.4.2): the newer tree starts with the older one.
import { equalBytes } from '../bytes.ts';
import { VerifyError } from '../errors.ts';
import { EMPTY_ROOT, type Hash, isHash, nodeHash } from './hash.ts';
import { isTreeSize } from './inclusion.ts';

/**
 * Checks that the tree of `newSize` leaves begins with the tree of `oldSize` leaves.
 *
 * Every tree begins with the empty one, so from size 0 only the empty proof is right; libraries differ
 * there. Equal sizes need equal roots and an empty proof.
 *
 * @param proof hashes in the order of RFC 9162 section 2.1.4.1, at most 54
 * @throws {VerifyError} `CONSISTENCY_PROOF_INVALID`
 */
export function checkConsistency(
  oldSize: number,
  oldRoot: Hash,
  newSize: number,
  newRoot: Hash,
  proof: readonly Hash[],
): void {
  if (!isTreeSize(oldSize) || !isTreeSize(newSize) || oldSize > newSize) {
    throw invalid(`from size ${oldSize} to size ${newSize}`);
  }
  if (![oldRoot, newRoot, ...proof].every(isHash)) throw invalid('a hash that is not 32 bytes');
  if (oldSize === 0 && !equalBytes(oldRoot, EMPTY_ROOT)) throw invalid('wrong empty root');
  if (oldSize === 0 || oldSize === newSize) {
    if (proof.length > 0) throw invalid('hashes where none are needed');
    if (oldSize === newSize && !equalBytes(oldRoot, newRoot)) {
      throw invalid('two roots of one size');
    }
    return;
  }
  const roots = rootsFromProof(oldSize, oldRoot, newSize, proof);
  if (!equalBytes(roots.old, oldRoot)) throw invalid('it leads to another old root');
  if (!equalBytes(roots.new, newRoot)) throw invalid('it leads to another new root');
}

/** For 0 < oldSize < newSize. */
function rootsFromProof(
  oldSize: number,
  oldRoot: Hash,
  newSize: number,
  proof: readonly Hash[],
): { old: Hash; new: Hash } {
  let node = oldSize - 1;
  let last = newSize - 1;
  while (node % 2 === 1) {
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  // An old tree of 2^k leaves is itself a node of the new one; the proof then leaves it out.
  const [first, ...rest] = node === 0 ? [oldRoot, ...proof] : proof;
  if (first === undefined) throw invalid('too short');
  let older = first;
  let newer = first;
  for (const sibling of rest) {
    if (last === 0) throw invalid('too long');
    if (node % 2 === 1 || node === last) {
      older = nodeHash(sibling, older);
      newer = nodeHash(sibling, newer);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      newer = nodeHash(newer, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  if (last !== 0) throw invalid('too short');
  return { old: older, new: newer };
}

function invalid(detail: string): VerifyError {
  return new VerifyError('CONSISTENCY_PROOF_INVALID', `consistency proof: ${detail}`);
}
