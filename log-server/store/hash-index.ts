// Positions of hashes of 32 bytes, as a `Map` of texts would give them, but without making a text of each: a batch
// of hundreds of releases makes and replaces thousands of the map's nodes.
import { randomInt } from 'node:crypto';

import { equalBytes } from '../../verifier/bytes.ts';
import { assert } from '../../verifier/errors.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';

/** Slots for each hash at least, so that one is found after a step or two. */
const SLOTS_PER_HASH = 2;

const SLOTS_MIN = 16;

/** What a number holds beside the 32 bits that rows are ordered by. */
const ORDERED_COUNT_MAX: number = 2 ** 21;

/**
 * Multiplies what is known of a hash to everybody, differently in each process: whoever grinds releases until
 * their nodes have 16 bits in common does not put them into one place of this index. Odd: no bits get lost.
 */
const SALT: number = 2 * randomInt(2 ** 31) + 1;

/** Hashes, each at a position: 0, 1, 2 in the order in which they came. */
export class HashIndex {
  readonly #hashes: Hash[] = [];
  /** Positions plus one; 0 is free. */
  #slots: Int32Array;
  #shift: number;

  /** @param count hashes for which there is room without growing */
  constructor(count = 0) {
    this.#shift = shiftFor(count);
    this.#slots = new Int32Array(2 ** (32 - this.#shift));
  }

  get count(): number {
    return this.#hashes.length;
  }

  /** The position of a hash, or `undefined`. */
  find(hash: Hash): number | undefined {
    const position = (this.#slots[this.#slotOf(hash)] ?? 0) - 1;
    return position < 0 ? undefined : position;
  }

  /** The position of a hash; `count` before the call when it is new. */
  add(hash: Hash): number {
    const slot = this.#slotOf(hash);
    const found = (this.#slots[slot] ?? 0) - 1;
    if (found >= 0) return found;
    const position = this.#hashes.push(hash) - 1;
    this.#slots[slot] = position + 1;
    if (this.#hashes.length * SLOTS_PER_HASH > this.#slots.length) this.#grow();
    return position;
  }

  // Where the hash is, or the free slot where it would be. One is always free.
  #slotOf(hash: Hash): number {
    const slots = this.#slots;
    let slot = Math.imul(wordOf(hash), SALT) >>> this.#shift;
    for (;;) {
      const position = (slots[slot] ?? 0) - 1;
      if (position < 0) return slot;
      const there = this.#hashes[position];
      if (there === hash || (there !== undefined && equalBytes(there, hash))) return slot;
      slot = slot + 1 === slots.length ? 0 : slot + 1;
    }
  }

  #grow(): void {
    this.#shift -= 1;
    this.#slots = new Int32Array(2 ** (32 - this.#shift));
    for (const [position, hash] of this.#hashes.entries()) {
      this.#slots[this.#slotOf(hash)] = position + 1;
    }
  }
}

/**
 * What belongs to hashes, in the order of their first 32 bits: neighbours are in one page of the database. A number
 * for each, because an engine sorts those by itself.
 *
 * @throws {AssertionError} more than 2^21
 */
export function inHashOrder<T extends { readonly hash: Hash }>(items: readonly T[]): readonly T[] {
  assert(items.length <= ORDERED_COUNT_MAX, 'a number holds a word and a position');
  const order = new Float64Array(items.length);
  for (const [i, { hash }] of items.entries()) {
    order[i] = (wordOf(hash) >>> 0) * ORDERED_COUNT_MAX + i;
  }
  const sorted: T[] = [];
  for (const one of order.sort()) {
    const item = items[one % ORDERED_COUNT_MAX];
    if (item !== undefined) sorted.push(item);
  }
  return sorted;
}

function wordOf(hash: Hash): number {
  return ((hash[0] ?? 0) << 24) | ((hash[1] ?? 0) << 16) | ((hash[2] ?? 0) << 8) | (hash[3] ?? 0);
}

function shiftFor(count: number): number {
  const slots = Math.max(SLOTS_MIN, SLOTS_PER_HASH * count);
  return 32 - Math.ceil(Math.log2(slots + 1));
}
