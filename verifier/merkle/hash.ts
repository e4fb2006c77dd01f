// The hashes of RFC 6962 trees (section 2.1). The prefixes keep a leaf from ever passing as a node.
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
  const bytes = new Uint8Array(1 + data.length);
  bytes[0] = LEAF_PREFIX;
  bytes.set(data, 1);
  return sha256(bytes);
}

/** `SHA-256(0x01 || left || right)`. Both must be 32 bytes: 31 and 33 would hash to the same node. */
export function nodeHash(left: Hash, right: Hash): Hash {
  const bytes = new Uint8Array(1 + 2 * HASH_LENGTH);
  bytes[0] = NODE_PREFIX;
  bytes.set(left, 1);
  bytes.set(right, 1 + HASH_LENGTH);
  return sha256(bytes);
}

/** Whether the bytes can be a hash at all. */
export function isHash(bytes: Uint8Array): boolean {
  return bytes.length === HASH_LENGTH;
}

const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;
