// The leaf hashes of a whole log, 32 bytes each, as they come in tiles.
import { concat } from '../../verifier/bytes.ts';
import { assert } from '../../verifier/errors.ts';
import { HASH_LENGTH, type Hash } from '../../verifier/merkle/hash.ts';
import { TILE_WIDTH } from '../../verifier/merkle/tile.ts';

/** Leaf hashes from leaf 0 on. */
export class Leaves {
  // All but the last hold 256.
  readonly #chunks: Uint8Array[] = [];
  size = 0;

  /** Adds the next hashes, at most up to the end of a tile. */
  append(hashes: Uint8Array): void {
    const count = hashes.length / HASH_LENGTH;
    const filled = this.size % TILE_WIDTH;
    assert(Number.isInteger(count) && filled + count <= TILE_WIDTH, 'a tile at a time');
    const open = filled === 0 ? undefined : this.#chunks.pop();
    // A copy: what comes in may be a view into a much larger answer.
    this.#chunks.push(concat(open ?? new Uint8Array(0), hashes));
    this.size += count;
  }

  /** The hash of a leaf, 0 <= index < size. */
  at(index: number): Hash {
    assert(index >= 0 && index < this.size, 'the leaf is there');
    const chunk = this.#chunks[Math.floor(index / TILE_WIDTH)];
    assert(chunk !== undefined, 'a chunk for each tile');
    const from = (index % TILE_WIDTH) * HASH_LENGTH;
    return chunk.subarray(from, from + HASH_LENGTH);
  }

  /** All hashes, one after the other. */
  toBytes(): Uint8Array {
    return concat(...this.#chunks);
  }
}
