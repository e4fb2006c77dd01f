// One proof for many keys: the map itself with every subtree that no wanted key needs cut off and
// replaced by its hash (DESIGN section 4.7). Preorder, one byte of kind first:
//
//   00 leaf   uvarint(len key) key uvarint(len value) value
//   01 inner  uvarint(bit) left right
//   02 stub   hash of the subtree that was cut off
//   03 empty  the map without pairs; stands alone
import { equalBytes } from '../bytes.ts';
import { VerifyError, assert } from '../errors.ts';
import { HASH_LENGTH, type Hash } from '../merkle/hash.ts';
import {
  EMPTY_MAP_ROOT,
  MAP_KEY_BITS,
  MAP_KEY_BYTES,
  bitAt,
  formatMapNode,
  mapInnerHash,
  readLeaf,
  type MapLeaf,
} from './node.ts';
import { requireNode, type MapNodes } from './trie.ts';
import { ByteCursor, encodeUvarint } from './uvarint.ts';

/**
 * 20,000 keys (10,000 subjects, a release and a package each) in a map of 2^30 pairs take about
 * 17 MB: twice that, rounded.
 */
export const PRUNED_MAP_BYTES_MAX: number = 32 * 1024 * 1024;

const LEAF = 0x00;
const INNER = 0x01;
const STUB = 0x02;
const EMPTY = 0x03;

/** What a map says about a key, proven. */
export type MapFinding =
  | { readonly kind: 'present'; readonly value: Uint8Array }
  | { readonly kind: 'absent' };

/** A pruned map that has been checked against a root. */
export interface PrunedMap {
  /**
   * The proven answer for a key of 32 bytes.
   *
   * @throws {VerifyError} `MAP_PROOF_INVALID` when the look-up meets a subtree that was cut off: the
   *         map says nothing about that key, which is never the same as absence
   */
  get(key: Uint8Array): MapFinding;
}

/** The packed map that answers for all of `keys` (32 bytes each, any order). */
export function prunedMap(nodes: MapNodes, root: Hash, keys: readonly Uint8Array[]): Uint8Array {
  for (const key of keys) assert(key.length === MAP_KEY_BYTES, 'a map key has 32 bytes');
  if (equalBytes(root, EMPTY_MAP_ROOT)) return Uint8Array.of(EMPTY);
  const parts: Uint8Array[] = [];
  pack(nodes, root, keys, parts);
  return joined(parts);
}

// Not as the arguments of one call, which engines bound: ten thousand subjects in a large map have a million parts.
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

// Recursion is as deep as the trie: at most 257.
function pack(nodes: MapNodes, hash: Hash, keys: readonly Uint8Array[], parts: Uint8Array[]): void {
  if (keys.length === 0) {
    parts.push(Uint8Array.of(STUB), hash);
    return;
  }
  const node = requireNode(nodes, hash);
  if (node.kind === 'leaf') {
    // The bytes that a leaf's hash covers begin with its tag, which is also the kind here.
    parts.push(formatMapNode(node));
    return;
  }
  parts.push(Uint8Array.of(INNER), encodeUvarint(node.bit));
  const { bit } = node;
  const sides: readonly [Uint8Array[], Uint8Array[]] = [[], []];
  for (const key of keys) sides[bitAt(key, bit)].push(key);
  pack(nodes, node.left, sides[0], parts);
  pack(nodes, node.right, sides[1], parts);
}

type Pruned =
  | { readonly kind: 'leaf'; readonly hash: Hash; readonly leaf: MapLeaf }
  | {
      readonly kind: 'inner';
      readonly hash: Hash;
      readonly bit: number;
      readonly left: Pruned;
      readonly right: Pruned;
    }
  | { readonly kind: 'stub'; readonly hash: Hash }
  | { readonly kind: 'empty'; readonly hash: Hash };

/**
 * Reads a packed map and checks that it is a part of the map of `root`.
 *
 * @throws {VerifyError} `MAP_MALFORMED` for bytes that no pruned map has, `MAP_PROOF_INVALID` when
 *         they lead to another root
 */
export function openPrunedMap(bytes: Uint8Array, root: Hash): PrunedMap {
  if (bytes.length > PRUNED_MAP_BYTES_MAX) {
    throw malformed(`longer than ${PRUNED_MAP_BYTES_MAX} bytes`);
  }
  const cursor = new ByteCursor(bytes);
  const top = readNode(cursor, new Branches());
  if (!cursor.atEnd) throw malformed('bytes after the last node');
  if (!equalBytes(top.hash, root)) {
    throw new VerifyError('MAP_PROOF_INVALID', 'the map shown does not have the root in the log');
  }
  return { get: (key) => find(top, key) };
}

/**
 * Two packed maps of one root as one that answers for the keys of both: of two nodes in one place, the one
 * that was not cut off.
 *
 * @throws {VerifyError} `MAP_MALFORMED`; `MAP_PROOF_INVALID` when one of them has another root
 */
export function mergePrunedMaps(a: Uint8Array, b: Uint8Array, root: Hash): Uint8Array {
  const [left, right] = [a, b].map((bytes) => {
    openPrunedMap(bytes, root);
    return readNode(new ByteCursor(bytes), new Branches());
  });
  assert(left !== undefined && right !== undefined, 'there are two maps');
  const parts: Uint8Array[] = [];
  packMerged(left, right, parts);
  return joined(parts);
}

// Both have one hash, so where neither is a stub they are the same node.
function packMerged(a: Pruned, b: Pruned, parts: Uint8Array[]): void {
  const node = a.kind === 'stub' ? b : a;
  switch (node.kind) {
    case 'stub':
      parts.push(Uint8Array.of(STUB), node.hash);
      return;
    case 'empty':
      parts.push(Uint8Array.of(EMPTY));
      return;
    case 'leaf':
      parts.push(formatMapNode(node.leaf));
      return;
    case 'inner': {
      const other = b.kind === 'inner' ? b : node;
      parts.push(Uint8Array.of(INNER), encodeUvarint(node.bit));
      packMerged(node.left, other.left, parts);
      packMerged(node.right, other.right, parts);
    }
  }
}

// The branches above the node being read: which bits a key below has to have. Two arrays of bits
// instead of a list, so that a leaf costs 32 steps however deep a stranger puts it.
class Branches {
  readonly #decided = new Uint8Array(MAP_KEY_BYTES);
  readonly #sides = new Uint8Array(MAP_KEY_BYTES);
  /** The bit of the nearest inner node above; -1 at the top. */
  lowest = -1;

  get atTop(): boolean {
    return this.lowest < 0;
  }

  // Runs `read` below one side of the inner node that parts keys at `bit`.
  below<T>(bit: number, side: 0 | 1, read: () => T): T {
    const { lowest } = this;
    const at = bit >> 3;
    const mask = 0x80 >> (bit & 7);
    this.lowest = bit;
    this.#decided[at] = (this.#decided[at] ?? 0) | mask;
    this.#sides[at] = ((this.#sides[at] ?? 0) & ~mask) | (side === 1 ? mask : 0);
    const result = read();
    this.#decided[at] = (this.#decided[at] ?? 0) & ~mask;
    this.lowest = lowest;
    return result;
  }

  // Whether a look-up of `key` would come here.
  leadHere(key: Uint8Array): boolean {
    return key.every((byte, i) => ((byte ^ (this.#sides[i] ?? 0)) & (this.#decided[i] ?? 0)) === 0);
  }
}

// Bits grow on the way down, so the recursion is at most 257 deep whatever the bytes say.
function readNode(cursor: ByteCursor, branches: Branches): Pruned {
  const kind = cursor.byte();
  switch (kind) {
    case LEAF: {
      const leaf = readLeaf(cursor);
      // A leaf on the wrong side of a branch would make other look-ups "prove" an absence.
      if (!branches.leadHere(leaf.key)) throw malformed('a leaf is where its key does not lead');
      return { kind: 'leaf', hash: leaf.hash, leaf };
    }
    case INNER:
      return readInner(cursor, branches);
    case STUB:
      return { kind: 'stub', hash: cursor.take(HASH_LENGTH) };
    case EMPTY:
      if (!branches.atTop) throw malformed('an empty subtree');
      return { kind: 'empty', hash: EMPTY_MAP_ROOT };
    default:
      throw malformed(`unknown node kind ${kind}`);
  }
}

function readInner(cursor: ByteCursor, branches: Branches): Pruned {
  const bit = cursor.uvarint(MAP_KEY_BITS - 1);
  if (bit <= branches.lowest) throw malformed('bits do not grow downwards');
  const left = branches.below(bit, 0, () => readNode(cursor, branches));
  const right = branches.below(bit, 1, () => readNode(cursor, branches));
  // Then the whole subtree should have been one stub: a second spelling, and a way to make work.
  if (left.kind === 'stub' && right.kind === 'stub')
    throw malformed('an inner node without leaves');
  return { kind: 'inner', hash: mapInnerHash(bit, left.hash, right.hash), bit, left, right };
}

function find(top: Pruned, key: Uint8Array): MapFinding {
  assert(key.length === MAP_KEY_BYTES, 'a map key has 32 bytes');
  let node = top;
  while (node.kind === 'inner') node = bitAt(key, node.bit) === 0 ? node.left : node.right;
  if (node.kind === 'stub') {
    throw new VerifyError(
      'MAP_PROOF_INVALID',
      'the map shown says nothing about this name: its part of the map was left out',
    );
  }
  return node.kind === 'leaf' && equalBytes(node.leaf.key, key)
    ? { kind: 'present', value: node.leaf.value }
    : { kind: 'absent' };
}

function malformed(detail: string): VerifyError {
  return new VerifyError('MAP_MALFORMED', `malformed pruned map: ${detail}`);
}
