// All nodes of the log's tree, in pages: one hash after the other, in the order in which leaves complete
// them, so that the place of each follows from what it is.
import { assert } from '../errors.ts';
import { HASH_LENGTH, type Hash } from '../merkle/hash.ts';
import { rangeRoot } from '../merkle/ranges.ts';
import type { PagedBytes, PagePool } from '../paging/pages.ts';
import type { TreeNode } from './batch.ts';

/** Roots that are remembered: most statements of a time name one of the last few heads. */
const ROOTS_MAX = 1024;

/** A tree that grows. */
export class PagedTree {
  readonly #space: PagedBytes;
  readonly #roots = new Map<number, Hash>();
  #nodes = 0;

  constructor(pool: PagePool) {
    this.#space = pool.space();
  }

  /** @param nodes those that the next leaves complete, in the order of `CompactRange.append` */
  append(nodes: readonly TreeNode[]): void {
    for (const { level, index, hash } of nodes) {
      assert(placeOf(level, index) === this.#nodes, 'nodes come in the order of the leaves');
      this.#space.write(this.#nodes * HASH_LENGTH, hash);
      this.#nodes += 1;
    }
  }

  /** The root over the first leaves. @param size at most as many as there are */
  rootAt(size: number): Hash {
    const known = this.#roots.get(size);
    if (known !== undefined) return known;
    const root = rangeRoot(0, size, (level, index) => {
      const place = placeOf(level, index);
      assert(place < this.#nodes, 'a perfect subtree below the size is complete');
      return this.#space.read(place * HASH_LENGTH, HASH_LENGTH);
    });
    if (this.#roots.size >= ROOTS_MAX) this.#roots.clear();
    this.#roots.set(size, root);
    return root;
  }
}

/**
 * How many nodes are completed before this one: each leaf completes itself, and there is one more for each
 * pair of trees that became one, which are as many as the leaves before it but for the trees that wait.
 */
function placeOf(level: number, index: number): number {
  const last = (index + 1) * 2 ** level - 1;
  return 2 * last - ones(last) + level;
}

function ones(value: number): number {
  let count = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}
