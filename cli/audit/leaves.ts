// The leaf hashes of a whole log, 32 bytes each, as they come in tiles.
import { assert } from '../../verifier/errors.ts';
import { HASH_LENGTH, type Hash } from '../../verifier/merkle/hash.ts';

/** Where they are kept: in pages (verifier/paging), or in memory. */
export interface LeafBytes {
  /** A copy. */
  read(at: number, length: number): Uint8Array;
  write(at: number, bytes: Uint8Array): void;
}

/** Leaf hashes from leaf 0 on. */
export class Leaves {
  readonly #bytes: LeafBytes;
  size = 0;

  /** @param bytes with nothing in it; in memory, if left out */
  constructor(bytes: LeafBytes = new BytesInMemory()) {
    this.#bytes = bytes;
  }

  /** Adds the next hashes. */
  append(hashes: Uint8Array): void {
    const count = hashes.length / HASH_LENGTH;
    assert(Number.isInteger(count), 'hashes are whole');
    this.#bytes.write(this.size * HASH_LENGTH, hashes);
    this.size += count;
  }

  /** The hash of a leaf, 0 <= index < size. */
  at(index: number): Hash {
    assert(index >= 0 && index < this.size, 'the leaf is there');
    return this.#bytes.read(index * HASH_LENGTH, HASH_LENGTH);
  }

  /** All hashes, one after the other. */
  toBytes(): Uint8Array {
    return this.#bytes.read(0, this.size * HASH_LENGTH);
  }
}

class BytesInMemory implements LeafBytes {
  #bytes = new Uint8Array(0);

  read(at: number, length: number): Uint8Array {
    return this.#bytes.slice(at, at + length);
  }

  write(at: number, bytes: Uint8Array): void {
    const end = at + bytes.length;
    if (end > this.#bytes.length) {
      const longer = new Uint8Array(2 * end);
      longer.set(this.#bytes);
      this.#bytes = longer;
    }
    this.#bytes.set(bytes, at);
  }
}
