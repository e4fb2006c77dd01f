// The nodes of the authenticated map, a Merkle Patricia trie (DESIGN section 4.6):
//
//   empty  H("")
//   leaf   H(00 || uvarint(len key) || key || uvarint(len value) || value)
//   inner  H(01 || uvarint(bit) || left || right)
//
// An inner node exists only where two keys part, and `bit` is the first bit in which they do (bit 0
// is the most significant one of the first byte). So the shape, and with it the root, depends on
// the set of pairs alone, never on the order in which they came.
import { VerifyError, assert } from '../errors.ts';
import { HASH_LENGTH, type Hash } from '../merkle/hash.ts';
import { sha256 } from '../sha256.ts';
import { ByteCursor, uvarintLength, writeUvarint } from './uvarint.ts';

/** Keys are SHA-256 hashes (keys.ts): all of one length, so that none is a prefix of another. */
export const MAP_KEY_BYTES = 32;

/** Number of bits in a key: no inner node is deeper, so walks and recursions end. */
export const MAP_KEY_BITS: number = 8 * MAP_KEY_BYTES;

/** Records (records.ts) stay below 500 bytes; more than twice that is no record of ours. */
export const MAP_VALUE_BYTES_MAX = 1024;

const LEAF_TAG = 0x00;
const INNER_TAG = 0x01;

/** One pair of the map. */
export interface MapLeaf {
  readonly kind: 'leaf';
  readonly hash: Hash;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Where the keys below part: those with a 0 at `bit` are left, those with a 1 right. */
export interface MapInner {
  readonly kind: 'inner';
  readonly hash: Hash;
  /** 0 to 255, greater than the `bit` of every node above. */
  readonly bit: number;
  readonly left: Hash;
  readonly right: Hash;
}

export type MapNode = MapLeaf | MapInner;

/** The root of a map without pairs: SHA-256 of nothing. */
export const EMPTY_MAP_ROOT: Hash = sha256(new Uint8Array(0));

/** Hash of a leaf. Both parts carry their length, so no two pairs share a preimage. */
export function mapLeafHash(key: Uint8Array, value: Uint8Array): Hash {
  const length = leafLength(key, value);
  const bytes = length <= LEAF_SCRATCH.length ? LEAF_SCRATCH : new Uint8Array(length);
  writeLeaf(key, value, bytes, 0);
  return sha256(bytes.subarray(0, length));
}

/** Hash of an inner node. */
export function mapInnerHash(bit: number, left: Hash, right: Hash): Hash {
  const bytes = innerLength(bit) === INNER_LONG.length ? INNER_LONG : INNER_SHORT;
  writeInner(bit, left, right, bytes, 0);
  return sha256(bytes);
}

/** A leaf with its hash. */
export function mapLeaf(key: Uint8Array, value: Uint8Array): MapLeaf {
  return { kind: 'leaf', hash: mapLeafHash(key, value), key, value };
}

/** An inner node with its hash. */
export function mapInner(bit: number, left: Hash, right: Hash): MapInner {
  return { kind: 'inner', hash: mapInnerHash(bit, left, right), bit, left, right };
}

/** Bit `bit` of `key`, most significant first; bits beyond the end count as 0. */
export function bitAt(key: Uint8Array, bit: number): 0 | 1 {
  return (((key[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) === 1 ? 1 : 0;
}

/** The first bit in which two keys of one length differ, or `undefined` when they are the same. */
export function firstDifferentBit(a: Uint8Array, b: Uint8Array): number | undefined {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) ^ (b[i] ?? 0);
    if (difference !== 0) return 8 * i + Math.clz32(difference) - 24;
  }
  return undefined;
}

/**
 * A node as a node store keeps it: exactly the bytes that its hash covers. What a store returns can
 * therefore be checked against the name under which it was asked for.
 */
export function formatMapNode(node: MapNode): Uint8Array {
  const bytes = new Uint8Array(mapNodeLength(node));
  writeMapNode(node, bytes, 0);
  return bytes;
}

/** Bytes of what `formatMapNode` makes. */
export function mapNodeLength(node: MapNode): number {
  return node.kind === 'leaf' ? leafLength(node.key, node.value) : innerLength(node.bit);
}

/**
 * Writes what `formatMapNode` makes into `target`, which has room for it.
 *
 * @returns where it ends
 */
export function writeMapNode(node: MapNode, target: Uint8Array, start: number): number {
  return node.kind === 'leaf'
    ? writeLeaf(node.key, node.value, target, start)
    : writeInner(node.bit, node.left, node.right, target, start);
}

/**
 * Reads what `formatMapNode` wrote.
 *
 * @throws {VerifyError} `MAP_MALFORMED`
 */
export function parseMapNode(bytes: Uint8Array): MapNode {
  const cursor = new ByteCursor(bytes);
  const tag = cursor.byte();
  if (tag !== LEAF_TAG && tag !== INNER_TAG) {
    throw new VerifyError('MAP_MALFORMED', `malformed map bytes: unknown node kind ${tag}`);
  }
  const node = tag === LEAF_TAG ? readLeaf(cursor) : readInner(cursor);
  if (!cursor.atEnd) {
    throw new VerifyError('MAP_MALFORMED', 'malformed map bytes: bytes after the node');
  }
  return node;
}

/** The body of a leaf, after its tag. @throws {VerifyError} `MAP_MALFORMED` */
export function readLeaf(cursor: ByteCursor): MapLeaf {
  if (cursor.uvarint(MAP_KEY_BYTES) !== MAP_KEY_BYTES) {
    throw new VerifyError(
      'MAP_MALFORMED',
      `malformed map bytes: key not of ${MAP_KEY_BYTES} bytes`,
    );
  }
  const key = cursor.take(MAP_KEY_BYTES);
  return mapLeaf(key, cursor.take(cursor.uvarint(MAP_VALUE_BYTES_MAX)));
}

function readInner(cursor: ByteCursor): MapInner {
  const bit = cursor.uvarint(MAP_KEY_BITS - 1);
  return mapInner(bit, cursor.take(HASH_LENGTH), cursor.take(HASH_LENGTH));
}

// What is hashed is put together in one place again and again, as in merkle/hash.ts: a batch hashes thousands
// of nodes. Nothing else runs in between, and the hash keeps no view.
const LEAF_SCRATCH = new Uint8Array(1 + 1 + MAP_KEY_BYTES + 2 + MAP_VALUE_BYTES_MAX);
const INNER_LONG = new Uint8Array(1 + 2 + 2 * HASH_LENGTH);
const INNER_SHORT = new Uint8Array(1 + 1 + 2 * HASH_LENGTH);

function leafLength(key: Uint8Array, value: Uint8Array): number {
  return 1 + uvarintLength(key.length) + key.length + uvarintLength(value.length) + value.length;
}

function writeLeaf(key: Uint8Array, value: Uint8Array, target: Uint8Array, start: number): number {
  target[start] = LEAF_TAG;
  let at = writeUvarint(key.length, target, start + 1);
  target.set(key, at);
  at = writeUvarint(value.length, target, at + key.length);
  target.set(value, at);
  return at + value.length;
}

function innerLength(bit: number): number {
  assert(bit < MAP_KEY_BITS, 'a key has 256 bits');
  return 1 + uvarintLength(bit) + 2 * HASH_LENGTH;
}

function writeInner(
  bit: number,
  left: Hash,
  right: Hash,
  target: Uint8Array,
  start: number,
): number {
  // Another length would leave bytes of the node before in its place.
  assert(left.length === HASH_LENGTH && right.length === HASH_LENGTH, 'a node is made of hashes');
  target[start] = INNER_TAG;
  const at = writeUvarint(bit, target, start + 1);
  target.set(left, at);
  target.set(right, at + HASH_LENGTH);
  return at + 2 * HASH_LENGTH;
}
