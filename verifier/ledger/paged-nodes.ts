// The nodes of the present map, in pages. There is no index of them by hash: each inner node keeps, beside
// the hashes of its children, where they are, and the map is read from its root down. So a node is found
// as soon as the one above it has been read, which is the only way to come to know its hash. What was read
// is hashed again: a file that does not give back what was written makes no wrong root.
import { concat, equalBytes } from '../bytes.ts';
import { encodeHex } from '../encoding.ts';
import { AssertionError, assert } from '../errors.ts';
import { EMPTY_MAP_ROOT, mapInner, mapLeaf, type MapNode } from '../map/node.ts';
import type { MapNodes, MapUpdate } from '../map/trie.ts';
import { HASH_LENGTH, type Hash } from '../merkle/hash.ts';
import { numberBytes, type PagedBytes, type PagePool } from '../paging/pages.ts';
import { SLOT_UNIT, Slots, unitsFor } from '../paging/slots.ts';

/**
 * Nodes that are remembered with their places between two batches, some 500 bytes each: the upper levels of
 * the map, and what the last batches changed. Beyond, all are forgotten and read again.
 */
const KNOWN_MAX = 32_768;

/** What a leaf has before its value, and an inner node before the places of its children. */
const LEAF_HEAD_BYTES: number = 2 + HASH_LENGTH;
const INNER_HEAD_BYTES: number = 2 + 2 * HASH_LENGTH;
const PLACE_BYTES = 7;

/** A place is that of its slot in units, times this, plus the slot's length in units, which is below. */
const UNITS_LIMIT = 128;

/** An inner node begins with its bit in two bytes, a leaf with the length of its value plus this. */
const IS_LEAF = 0x80_00;

interface Known {
  readonly place: number;
  /** `undefined` until it is asked for. */
  node: MapNode | undefined;
}

/** A store of map nodes that follows one map from update to update. */
export class PagedNodes implements MapNodes {
  readonly #space: PagedBytes;
  readonly #slots: Slots;
  readonly #known = new Map<string, Known>();
  readonly #knownMax: number;
  #count = 0;

  /** @param knownMax nodes that are remembered between two updates */
  constructor(pool: PagePool, knownMax: number = KNOWN_MAX) {
    this.#knownMax = knownMax;
    this.#space = pool.space();
    this.#slots = new Slots(this.#space);
  }

  /** How many nodes the present map has. */
  get count(): number {
    return this.#count;
  }

  /** How many are remembered, or known by where they are. */
  get remembered(): number {
    return this.#known.size;
  }

  get(hash: Hash): MapNode | undefined {
    const known = this.#known.get(encodeHex(hash));
    if (known === undefined) return undefined;
    return (known.node ??= this.#read(known.place, hash));
  }

  /** Moves on to an update of the present map. */
  apply({ root, added, removed }: MapUpdate): void {
    // First what goes: its room is taken again at once.
    for (const hash of removed) this.#remove(encodeHex(hash));
    for (const node of added) this.#add(node);
    if (equalBytes(root, EMPTY_MAP_ROOT)) return;
    if (this.#known.size <= this.#knownMax) return;
    const place = this.#placeOf(root);
    this.#known.clear();
    this.#known.set(encodeHex(root), { place, node: undefined });
  }

  #remove(key: string): void {
    const known = this.#known.get(key);
    assert(known !== undefined, 'a node that is replaced has been read');
    const units = known.place % UNITS_LIMIT;
    this.#slots.give(((known.place - units) / UNITS_LIMIT) * SLOT_UNIT, units);
    this.#known.delete(key);
    this.#count -= 1;
  }

  #add(node: MapNode): void {
    const bytes = this.#format(node);
    const units = unitsFor(bytes.length);
    assert(units < UNITS_LIMIT, 'a node is small');
    const at = this.#slots.take(units);
    this.#space.write(at, bytes);
    this.#known.set(encodeHex(node.hash), { place: (at / SLOT_UNIT) * UNITS_LIMIT + units, node });
    this.#count += 1;
  }

  #format(node: MapNode): Uint8Array {
    if (node.kind === 'leaf') {
      assert(node.key.length === HASH_LENGTH, 'a key of a map is a hash');
      return concat(numberBytes(2, IS_LEAF + node.value.length), node.key, node.value);
    }
    const { bit, left, right } = node;
    return concat(
      numberBytes(2, bit),
      left,
      right,
      numberBytes(PLACE_BYTES, this.#placeOf(left)),
      numberBytes(PLACE_BYTES, this.#placeOf(right)),
    );
  }

  #placeOf(hash: Hash): number {
    const known = this.#known.get(encodeHex(hash));
    assert(known !== undefined, 'children come before their parents, and siblings have been seen');
    return known.place;
  }

  #read(place: number, hash: Hash): MapNode {
    const units = place % UNITS_LIMIT;
    const at = ((place - units) / UNITS_LIMIT) * SLOT_UNIT;
    const bytes = this.#space.read(at, units * SLOT_UNIT);
    const head = (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0);
    const node = head >= IS_LEAF ? readLeaf(bytes, head - IS_LEAF) : readInner(bytes, head);
    if (!equalBytes(node.hash, hash)) throw new AssertionError('pages give back what was written');
    if (node.kind === 'inner') {
      this.#see(node.left, bytes, INNER_HEAD_BYTES);
      this.#see(node.right, bytes, INNER_HEAD_BYTES + PLACE_BYTES);
    }
    return node;
  }

  #see(child: Hash, bytes: Uint8Array, start: number): void {
    const key = encodeHex(child);
    if (this.#known.has(key)) return;
    let place = 0;
    for (let i = 0; i < PLACE_BYTES; i++) place = place * 256 + (bytes[start + i] ?? 0);
    this.#known.set(key, { place, node: undefined });
  }
}

function readLeaf(bytes: Uint8Array, valueLength: number): MapNode {
  const key = bytes.slice(2, LEAF_HEAD_BYTES);
  return mapLeaf(key, bytes.slice(LEAF_HEAD_BYTES, LEAF_HEAD_BYTES + valueLength));
}

function readInner(bytes: Uint8Array, bit: number): MapNode {
  const left = bytes.slice(2, 2 + HASH_LENGTH);
  return mapInner(bit, left, bytes.slice(2 + HASH_LENGTH, 2 + 2 * HASH_LENGTH));
}
