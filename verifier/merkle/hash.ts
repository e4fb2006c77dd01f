// The hashes of RFC 6962 trees (section 2.1). The prefixes keep a leaf from ever passing as a node.
import { utf8, writeUtf8 } from '../bytes.ts';
import { assert } from '../errors.ts';
import { sha256 } from '../sha256.ts';

/** 32 bytes of SHA-256. Whoever takes one from outside checks its length: see `isHash`. */
export type Hash = Uint8Array;

/** Bytes of a hash. */
export const HASH_LENGTH = 32;

/** Most leaves that a tree can have here: sizes and indexes are safe integers. */
export const TREE_SIZE_MAX: number = Number.MAX_SAFE_INTEGER;

/** Root of the tree without leaves: SHA-256 of nothing. */
export const EMPTY_ROOT: Hash = sha256(new Uint8Array(0));

/** `SHA-256(0x00 || data)` */
export function leafHash(data: Uint8Array): Hash {
  const bytes = scratch(1 + data.length);
  bytes[0] = LEAF_PREFIX;
  bytes.set(data, 1);
  return sha256(bytes);
}

/** The same of data that is a text, as UTF-8. It must hold no lone surrogates (our parsers refuse them). */
export function leafHashOfText(data: string): Hash {
  const length = writeUtf8(data, LEAF_DATA);
  if (length === undefined) return leafHash(utf8(data));
  LEAF_SCRATCH[0] = LEAF_PREFIX;
  return sha256(LEAF_SCRATCH.subarray(0, 1 + length));
}

/** `SHA-256(0x01 || left || right)`. Both must be 32 bytes: 31 and 33 would hash to the same node. */
export function nodeHash(left: Hash, right: Hash): Hash {
  assert(isHash(left) && isHash(right), 'a node is made of two hashes');
  NODE.set(left, 1);
  NODE.set(right, 1 + HASH_LENGTH);
  return sha256(NODE);
}

/** Whether the bytes can be a hash at all. */
export function isHash(bytes: Uint8Array): boolean {
  return bytes.length === HASH_LENGTH;
}

const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;

// What is hashed is put together in one place again and again: memory outside the heap of JavaScript,
// which arrays of over 64 bytes have, costs more than the hash of a node. Nothing else runs in between,
// and the hash keeps no view.
const NODE = Uint8Array.of(NODE_PREFIX, ...new Uint8Array(2 * HASH_LENGTH));
const LEAF_SCRATCH = new Uint8Array(1 + 4096);
const LEAF_DATA: Uint8Array = LEAF_SCRATCH.subarray(1);

function scratch(length: number): Uint8Array {
  return length <= LEAF_SCRATCH.length ? LEAF_SCRATCH.subarray(0, length) : new Uint8Array(length);
}
