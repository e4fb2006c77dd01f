// Parsed nodes of the map in front of their table, for executing batches: a batch of some hundred releases
// opens thousands, and those near the root, and what the last batch made, again and again.
import { equalBytes } from '../../verifier/bytes.ts';
import { assert } from '../../verifier/errors.ts';
import type { MapNode } from '../../verifier/map/node.ts';
import type { MapNodes } from '../../verifier/map/trie.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';

/** Bits of a hash that say its place. 32,768 places: nodes of about 300 bytes each, the last batches'. */
const PLACE_BITS = 15;

/**
 * Remembers nodes by a part of their hash: one in each place, the last that came. Hashes are as good as drawn by
 * lot, so no table has to be searched, no text made of a hash, and nothing be kept in order. Who grinds names
 * until their nodes fall into others' places has those read from the table again.
 */
export class NodeCache implements MapNodes {
  readonly #source: MapNodes;
  readonly #placeBits: number;
  #places: (MapNode | undefined)[] = [];

  /**
   * @param source where nodes are that aren't here
   * @param placeBits 1 to 16: two to that power nodes at most
   */
  constructor(source: MapNodes, placeBits: number = PLACE_BITS) {
    assert(placeBits >= 1 && placeBits <= 16, 'places of 1 to 16 bits');
    this.#source = source;
    this.#placeBits = placeBits;
    this.forget();
  }

  get(hash: Hash): MapNode | undefined {
    const place = this.#placeOf(hash);
    const known = this.#places[place];
    // A hash says what its node is: what is found here is never stale.
    if (known !== undefined && equalBytes(known.hash, hash)) return known;
    const node = this.#source.get(hash);
    if (node !== undefined) this.#places[place] = node;
    return node;
  }

  /** A batch's new nodes are what the next one reads. */
  add(nodes: readonly MapNode[]): void {
    for (const node of nodes) this.#places[this.#placeOf(node.hash)] = node;
  }

  /** Forgets all of them: nothing has come in for a while. */
  forget(): void {
    this.#places = Array.from({ length: 1 << this.#placeBits }, () => undefined);
  }

  #placeOf(hash: Hash): number {
    return (((hash[0] ?? 0) << 8) | (hash[1] ?? 0)) >> (16 - this.#placeBits);
  }
}
