// Which parts of a tree a proof consists of, and their roots from stored perfect nodes. Written for
// whoever *makes* proofs; checking them is in inclusion.ts and consistency.ts.
import { assert } from '../errors.ts';
import { foldRight } from './compact-range.ts';
import { EMPTY_ROOT, type Hash } from './hash.ts';
import { isTreeSize, splitPoint } from './inclusion.ts';

/** The leaves `start` to `end - 1`. */
export interface LeafRange {
  readonly start: number;
  readonly end: number;
}

/** A perfect subtree: the leaves from `index * 2^level`, `2^level` of them. */
export interface NodeId {
  readonly level: number;
  readonly index: number;
}

/** Reads the hash of a perfect subtree. */
export type NodeReader = (level: number, index: number) => Hash;

/**
 * The subtrees whose roots are the inclusion proof, in proof order: from the leaf up.
 *
 * @param index position of the leaf, 0 <= index < size
 */
export function inclusionRanges(index: number, size: number): readonly LeafRange[] {
  assert(isTreeSize(size) && isTreeSize(index) && index < size, 'the leaf is in the tree');
  const ranges: LeafRange[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + splitPoint(end - start);
    if (index < middle) {
      ranges.push({ start: middle, end });
      end = middle;
    } else {
      ranges.push({ start, end: middle });
      start = middle;
    }
  }
  return ranges.reverse();
}

/**
 * The subtrees whose roots are the consistency proof, in proof order (RFC 9162 section 2.1.4.1).
 * None when one of the trees is empty or both are the same.
 *
 * @param oldSize 0 <= oldSize <= newSize
 */
export function consistencyRanges(oldSize: number, newSize: number): readonly LeafRange[] {
  assert(isTreeSize(oldSize) && isTreeSize(newSize) && oldSize <= newSize, 'the log has grown');
  if (oldSize === 0 || oldSize === newSize) return [];
  const ranges: LeafRange[] = [];
  let start = 0;
  let end = newSize;
  // Down to the node that ends with the old tree.
  while (end !== oldSize) {
    const middle = start + splitPoint(end - start);
    if (oldSize <= middle) {
      ranges.push({ start: middle, end });
      end = middle;
    } else {
      ranges.push({ start, end: middle });
      start = middle;
    }
  }
  // It is the old tree itself when nothing was split off on the left; the verifier has that root.
  if (start !== 0) ranges.push({ start, end });
  return ranges.reverse();
}

/**
 * The perfect subtrees that make up a range, from left to right, the largest first.
 *
 * @param start a multiple of the smallest power of two that is not below `end - start`, as for every
 *              subtree of an RFC 6962 tree
 */
export function rangeNodes(start: number, end: number): readonly NodeId[] {
  assert(isTreeSize(start) && isTreeSize(end) && start <= end, 'a range has an order');
  const nodes: NodeId[] = [];
  for (let at = start; at < end;) {
    let level = 0;
    let width = 1;
    while (2 * width <= end - at) {
      width *= 2;
      level += 1;
    }
    assert(at % width === 0, 'the range is a subtree of an RFC 6962 tree');
    nodes.push({ level, index: at / width });
    at += width;
  }
  return nodes;
}

/**
 * The root over a range of leaves; of the whole tree with `start` 0. At most 53 reads.
 *
 * @param start see `rangeNodes`
 */
export function rangeRoot(start: number, end: number, read: NodeReader): Hash {
  const hashes = rangeNodes(start, end).map(({ level, index }) => read(level, index));
  return foldRight(hashes) ?? EMPTY_ROOT;
}
