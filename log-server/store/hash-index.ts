// Positions of hashes of 32 bytes, as a `Map` of texts would give them, but without making a text of each: a batch
// of hundreds of releases makes and replaces thousands of the map's nodes. All lie in one piece of memory: an object
// for each takes four times as much.
import { randomInt } from 'node:crypto';

import { assert } from '../../verifier/errors.ts';
import { HASH_LENGTH, type Hash } from '../../verifier/merkle/hash.ts';

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
  #count = 0;
  /** One after the other. */
  #hashes: Uint8Array;
  /** Positions plus one; 0 is free. */
  #slots: Int32Array;
  /** In the same places the first 32 bits of the hash: what is somewhere else need not be looked at. */
  #words: Int32Array;
  #shift: number;

  /** @param count hashes for which there is room without growing */
  constructor(count = 0) {
    this.#shift = shiftFor(count);
    this.#slots = new Int32Array(2 ** (32 - this.#shift));
    this.#words = new Int32Array(this.#slots.length);
    this.#hashes = new Uint8Array(HASH_LENGTH * Math.max(SLOTS_MIN, count));
  }

  get count(): number {
    return this.#count;
  }

  /** The position of a hash, or `undefined`. */
  find(hash: Hash): number | undefined {
    const position = (this.#slots[this.#slotOf(hash, 0, wordAt(hash, 0))] ?? 0) - 1;
    return position < 0 ? undefined : position;
  }

  /**
   * The position of a hash; `count` before the call when it is new.
   *
   * @param at where it begins in `bytes`
   */
  add(bytes: Uint8Array, at = 0): number {
    assert(at + HASH_LENGTH <= bytes.length, 'a hash has 32 bytes');
    const word = wordAt(bytes, at);
    const slot = this.#slotOf(bytes, at, word);
    const found = (this.#slots[slot] ?? 0) - 1;
    if (found >= 0) return found;
    const position = this.#count++;
    const start = HASH_LENGTH * position;
    if (start === this.#hashes.length) {
      const hashes = new Uint8Array(2 * start);
      hashes.set(this.#hashes);
      this.#hashes = hashes;
    }
    for (let i = 0; i < HASH_LENGTH; i++) this.#hashes[start + i] = bytes[at + i] ?? 0;
    this.#slots[slot] = position + 1;
    this.#words[slot] = word;
    if (this.#count * SLOTS_PER_HASH > this.#slots.length) this.#grow();
    return position;
  }

  /** The hash at a position below `count`. */
  hash(position: number): Hash {
    assert(position < this.#count, 'a position is that of a hash');
    return this.#hashes.subarray(HASH_LENGTH * position, HASH_LENGTH * (position + 1));
  }

  /**
   * Positions in the order of the first 32 bits of their hashes: neighbours are in one page of the database. A number
   * for each, because an engine sorts those by itself.
   *
   * @throws {AssertionError} more than 2^21
   */
  inOrder(): Uint32Array {
    assert(this.#count <= ORDERED_COUNT_MAX, 'a number holds a word and a position');
    const order = new Float64Array(this.#count);
    for (let i = 0; i < this.#count; i++) {
      order[i] = (wordAt(this.#hashes, HASH_LENGTH * i) >>> 0) * ORDERED_COUNT_MAX + i;
    }
    return Uint32Array.from(order.sort(), (one) => one % ORDERED_COUNT_MAX);
  }

  // Where the hash is, or the free slot where it would be. One is always free.
  #slotOf(bytes: Uint8Array, at: number, word: number): number {
    const slots = this.#slots;
    const words = this.#words;
    let slot = Math.imul(word, SALT) >>> this.#shift;
    for (;;) {
      const position = (slots[slot] ?? 0) - 1;
      if (position < 0 || (words[slot] === word && this.#isAt(position, bytes, at))) return slot;
      slot = slot + 1 === slots.length ? 0 : slot + 1;
    }
  }

  #isAt(position: number, bytes: Uint8Array, at: number): boolean {
    const hashes = this.#hashes;
    const start = HASH_LENGTH * position;
    for (let i = 0; i < HASH_LENGTH; i++) if (hashes[start + i] !== bytes[at + i]) return false;
    return true;
  }

  #grow(): void {
    this.#shift -= 1;
    const slots = new Int32Array(2 ** (32 - this.#shift));
    const words = new Int32Array(slots.length);
    for (const [i, position] of this.#slots.entries()) {
      if (position === 0) continue;
      const word = this.#words[i] ?? 0;
      let slot = Math.imul(word, SALT) >>> this.#shift;
      // All are different: the first free slot is theirs.
      while (slots[slot] !== 0) slot = slot + 1 === slots.length ? 0 : slot + 1;
      slots[slot] = position;
      words[slot] = word;
    }
    this.#slots = slots;
    this.#words = words;
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) << 24) |
    ((bytes[at + 1] ?? 0) << 16) |
    ((bytes[at + 2] ?? 0) << 8) |
    (bytes[at + 3] ?? 0)
  );
}

function shiftFor(count: number): number {
  const slots = Math.max(SLOTS_MIN, SLOTS_PER_HASH * count);
  return 32 - Math.ceil(Math.log2(slots + 1));
}
