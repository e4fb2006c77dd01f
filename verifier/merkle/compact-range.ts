// A tree reduced to what appending needs: the roots of its perfect subtrees, from left to right. There
// is one for each 1 in the binary form of the size, so at most 53.
import { concat } from '../bytes.ts';
import { VerifyError, assert } from '../errors.ts';
import { EMPTY_ROOT, HASH_LENGTH, type Hash, TREE_SIZE_MAX, isHash, nodeHash } from './hash.ts';
import { isTreeSize } from './inclusion.ts';

/** Told each node that an append completes, leaf first: level 0 is leaves, `index` counts from 0. */
export type NodeVisitor = (level: number, index: number, hash: Hash) => void;

/** An immutable tree state: appending gives a new one, so a scratch execution can be thrown away. */
export class CompactRange {
  /** The tree without leaves. */
  static readonly EMPTY: CompactRange = new CompactRange(0, []);

  /** Number of leaves. */
  readonly size: number;
  /** Roots of the perfect subtrees, the largest first. */
  readonly hashes: readonly Hash[];

  private constructor(size: number, hashes: readonly Hash[]) {
    this.size = size;
    this.hashes = hashes;
  }

  /**
   * Restores a state that was kept as size and bytes. Whether it is the right one shows only when its
   * root is compared.
   *
   * @param bytes the hashes, one after the other, as `toBytes` gave them
   * @throws {VerifyError} `TILE_MALFORMED` when the size needs another number of hashes
   */
  static fromBytes(size: number, bytes: Uint8Array): CompactRange {
    if (!isTreeSize(size) || bytes.length !== HASH_LENGTH * countOnes(size)) {
      throw new VerifyError('TILE_MALFORMED', `compact range: ${bytes.length} bytes, size ${size}`);
    }
    const hashes: Hash[] = [];
    for (let at = 0; at < bytes.length; at += HASH_LENGTH) {
      hashes.push(Uint8Array.from(bytes.subarray(at, at + HASH_LENGTH)));
    }
    return new CompactRange(size, hashes);
  }

  /** The hashes, one after the other. */
  toBytes(): Uint8Array {
    return concat(...this.hashes);
  }

  /** The state with one more leaf. About two hashes on average, at most 53. */
  append(leaf: Hash, visit?: NodeVisitor): CompactRange {
    assert(isHash(leaf), 'a leaf hash has 32 bytes');
    assert(this.size < TREE_SIZE_MAX, 'a tree has at most 2^53 - 1 leaves');
    const hashes = [...this.hashes];
    let hash = leaf;
    let level = 0;
    let index = this.size;
    visit?.(level, index, hash);
    // Each uneven index on the way up means that the left sibling waits at the end of the list.
    while (index % 2 === 1) {
      const left = hashes.pop();
      assert(left !== undefined, 'a perfect subtree waits for each 1 of the size');
      hash = nodeHash(left, hash);
      level += 1;
      index = (index - 1) / 2;
      visit?.(level, index, hash);
    }
    hashes.push(hash);
    return new CompactRange(this.size + 1, hashes);
  }

  /** The RFC 6962 root. */
  root(): Hash {
    return foldRight(this.hashes) ?? EMPTY_ROOT;
  }
}

/** The node above adjacent perfect subtrees, the largest first; `undefined` when there are none. */
export function foldRight(hashes: readonly Hash[]): Hash | undefined {
  const last = hashes.at(-1);
  if (last === undefined) return undefined;
  return hashes.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last);
}

function countOnes(value: number): number {
  let ones = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  return ones;
}
