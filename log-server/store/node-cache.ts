// Parsed nodes of the map in front of their table: a batch of some hundred releases opens thousands, and those near
// the root, and what the last batch made, again and again.
import { equalBytes } from '../../verifier/bytes.ts';
import { assert } from '../../verifier/errors.ts';
import type { MapNode } from '../../verifier/map/node.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';

/**
 * Remembers nodes by a part of their hash: one in each place, the last that came. Hashes are as good as drawn by
 * lot, so no table has to be searched, no text made of a hash, and nothing be kept in order. Who grinds names
 * until their nodes fall into others' places has those read from the table again.
 */
export class NodeCache {
  readonly #placeBits: number;
  /** Empty until the first node comes. */
  #places: (MapNode | undefined)[] = [];

  /** @param placeBits 1 to 16: two to that power nodes at most */
  constructor(placeBits: number) {
    assert(placeBits >= 1 && placeBits <= 16, 'places of 1 to 16 bits');
    this.#placeBits = placeBits;
  }

  get(hash: Hash): MapNode | undefined {
    const known = this.#places[this.#placeOf(hash)];
    if (known === undefined) return undefined;
    // A hash says what its node is: what is found here is never stale. Mostly it is the very one that its parent has.
    return known.hash === hash || equalBytes(known.hash, hash) ? known : undefined;
  }

  add(node: MapNode): void {
    if (this.#places.length === 0) {
      this.#places = Array.from({ length: 1 << this.#placeBits }, () => undefined);
    }
    this.#places[this.#placeOf(node.hash)] = node;
  }

  /** Forgets all of them. */
  forget(): void {
    this.#places = [];
  }

  #placeOf(hash: Hash): number {
    return (((hash[0] ?? 0) << 8) | (hash[1] ?? 0)) >> (16 - this.#placeBits);
  }
}
