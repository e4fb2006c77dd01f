// One proof for many leaves: the tree with every subtree that holds no wanted leaf replaced by its
// root. Evidence for a thousand releases shares the upper nodes instead of sending them a thousand times.
import { VerifyError, assert } from '../errors.ts';
import { EMPTY_ROOT, type Hash, isHash, nodeHash } from './hash.ts';
import { isTreeSize, splitPoint } from './inclusion.ts';
import type { LeafRange } from './ranges.ts';

/**
 * The maximal subtrees without a wanted leaf, depth first from left to right: the order in which
 * `rootFromPrunedTree` takes their roots. At most 53 per wanted leaf.
 *
 * @param size  number of leaves
 * @param wanted strictly ascending indexes below `size`
 */
export function prunedRanges(size: number, wanted: readonly number[]): readonly LeafRange[] {
  assert(isTreeSize(size) && isAscendingBelow(wanted, size), 'wanted leaves ascend in the tree');
  const ranges: LeafRange[] = [];
  if (size > 0) walk({ start: 0, end: size }, wanted, 0, wanted.length);
  return ranges;

  // `from` and `to` bound the wanted indexes inside the range.
  function walk(range: LeafRange, wanted: readonly number[], from: number, to: number): void {
    if (from === to) {
      ranges.push(range);
      return;
    }
    if (range.end - range.start === 1) return;
    const middle = range.start + splitPoint(range.end - range.start);
    const split = lowerBound(wanted, middle, from, to);
    walk({ start: range.start, end: middle }, wanted, from, split);
    walk({ start: middle, end: range.end }, wanted, split, to);
  }
}

/**
 * The root of the tree that has these leaves and, everywhere else, subtrees with these roots. The
 * caller compares it with a root that it trusts; only then is anything proven.
 *
 * @param leaves leaf hashes by index; no leaves and one hash is a (useless) proof of that root
 * @param hashes the pruned subtrees' roots in the order of `prunedRanges`, consumed exactly
 * @throws {VerifyError} `INCLUSION_PROOF_INVALID`
 */
export function rootFromPrunedTree(
  size: number,
  leaves: ReadonlyMap<number, Hash>,
  hashes: readonly Hash[],
): Hash {
  return foldPrunedTree(size, leaves, hashes, () => undefined);
}

/**
 * The inclusion path (RFC 6962 section 2.1.1) of one of the leaves, from the leaf up. Unchecked like its
 * source: `checkInclusion` says whether it leads to a root that is trusted.
 *
 * @param index of one of `leaves`
 * @throws {VerifyError} `INCLUSION_PROOF_INVALID`
 */
export function pathFromPrunedTree(
  size: number,
  leaves: ReadonlyMap<number, Hash>,
  hashes: readonly Hash[],
  index: number,
): readonly Hash[] {
  assert(leaves.has(index), 'a path is asked for a leaf that is shown');
  const path: Hash[] = [];
  foldPrunedTree(size, leaves, hashes, ({ start, middle, end, left, right }) => {
    if (index >= start && index < end) path.push(index < middle ? right : left);
  });
  return path;
}

/** An inner node whose both sides are known: of `[start, end)`, cut at `middle`. */
interface FoldedNode {
  readonly start: number;
  readonly middle: number;
  readonly end: number;
  readonly left: Hash;
  readonly right: Hash;
}

// Children before parents.
function foldPrunedTree(
  size: number,
  leaves: ReadonlyMap<number, Hash>,
  hashes: readonly Hash[],
  onNode: (node: FoldedNode) => void,
): Hash {
  const wanted = [...leaves.keys()].sort((a, b) => a - b);
  if (!isTreeSize(size) || !isAscendingBelow(wanted, size)) {
    throw invalid(`leaves outside a tree of size ${size}`);
  }
  if (![...leaves.values()].every(isHash) || !hashes.every(isHash)) {
    throw invalid('a hash that is not 32 bytes');
  }
  let used = 0;
  const root = size === 0 ? EMPTY_ROOT : walk(0, size, 0, wanted.length);
  if (used !== hashes.length) throw invalid(`${hashes.length - used} hashes too many`);
  return root;

  // Depth is at most 53 and the work is bounded by leaves times depth, whatever a stranger sends.
  function walk(start: number, end: number, from: number, to: number): Hash {
    if (from === to) return take();
    if (end - start === 1) {
      const leaf = leaves.get(start);
      assert(leaf !== undefined, 'a range with one wanted leaf is that leaf');
      return leaf;
    }
    const middle = start + splitPoint(end - start);
    const split = lowerBound(wanted, middle, from, to);
    const left = walk(start, middle, from, split);
    const right = walk(middle, end, split, to);
    onNode({ start, middle, end, left, right });
    return nodeHash(left, right);
  }

  function take(): Hash {
    const hash = hashes[used];
    if (hash === undefined) throw invalid('hashes are missing');
    used += 1;
    return hash;
  }
}

/** The first position in `sorted[from, to)` whose value is not below `value`. */
function lowerBound(sorted: readonly number[], value: number, from: number, to: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((sorted[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isAscendingBelow(indexes: readonly number[], size: number): boolean {
  return indexes.every((index, i) => {
    return isTreeSize(index) && index < size && (i === 0 || index > (indexes[i - 1] ?? 0));
  });
}

function invalid(detail: string): VerifyError {
  return new VerifyError('INCLUSION_PROOF_INVALID', `pruned tree: ${detail}`);
}
