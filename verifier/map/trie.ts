// Reading and updating the map over a store of nodes. The trie is persistent: an update makes new
// nodes and changes none, so that a batch can be executed on the side and thrown away, and readers
// of an older root are never disturbed.
import { equalBytes } from '../bytes.ts';
import { encodeHex } from '../encoding.ts';
import { AssertionError, assert } from '../errors.ts';
import type { Hash } from '../merkle/hash.ts';
import {
  EMPTY_MAP_ROOT,
  MAP_KEY_BYTES,
  MAP_VALUE_BYTES_MAX,
  bitAt,
  firstDifferentBit,
  mapInner,
  mapLeaf,
  type MapInner,
  type MapLeaf,
  type MapNode,
} from './node.ts';

/** Where nodes are kept, by their hash. */
export interface MapNodes {
  /** The node of that hash, or `undefined` when the store does not have it. */
  get(hash: Hash): MapNode | undefined;
}

/** A new value for a key. Deletion does not exist: nothing ever leaves the log. */
export interface MapChange {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** What an update did. */
export interface MapUpdate {
  readonly root: Hash;
  /** New nodes, children before parents: a store that writes in order never dangles. */
  readonly added: readonly MapNode[];
  /**
   * Nodes of the old root that the new one does not use. They may be dropped once nobody reads the
   * old root, but not before: a later update can bring the same node back.
   */
  readonly removed: readonly Hash[];
}

/** The node of that hash. @throws {AssertionError} when our own store lost it: nothing can go on */
export function requireNode(nodes: MapNodes, hash: Hash): MapNode {
  const node = nodes.get(hash);
  // The text is made when it is read: of a dozen nodes for each key none is missing.
  if (node === undefined) throw new AssertionError(`the map store holds node ${encodeHex(hash)}`);
  return node;
}

/** The value of `key`, or `undefined` when the map of that root does not have the key. */
export function lookupMap(nodes: MapNodes, root: Hash, key: Uint8Array): Uint8Array | undefined {
  assert(key.length === MAP_KEY_BYTES, 'a map key has 32 bytes');
  if (equalBytes(root, EMPTY_MAP_ROOT)) return undefined;
  // At most 257 rounds: the bits of inner nodes grow on the way down.
  let node = requireNode(nodes, root);
  while (node.kind === 'inner') {
    node = requireNode(nodes, bitAt(key, node.bit) === 0 ? node.left : node.right);
  }
  return equalBytes(node.key, key) ? node.value : undefined;
}

/**
 * Sets values. When a key comes several times the last one wins, as if the changes had been made
 * one after the other.
 *
 * Each stored node on the way to a changed key is read once and each new node hashed once: O(log N)
 * per key, less for many keys at once.
 *
 * @param root a root whose nodes are all in `nodes`, or `EMPTY_MAP_ROOT`
 */
export function updateMap(nodes: MapNodes, root: Hash, changes: readonly MapChange[]): MapUpdate {
  const draft = new Draft(nodes, root);
  for (const change of changes) draft.set(change);
  return draft.finish();
}

// A part of the trie that has been opened for change. `stored` is the node it was read from.
type DraftNode = DraftLeaf | DraftInner;
interface DraftLeaf {
  readonly kind: 'leaf';
  readonly key: Uint8Array;
  value: Uint8Array;
  readonly stored: MapLeaf | undefined;
}
interface DraftInner {
  readonly kind: 'inner';
  readonly bit: number;
  /** `undefined` for a subtree of `stored` that nobody has looked into. */
  left: DraftNode | undefined;
  right: DraftNode | undefined;
  readonly stored: MapInner | undefined;
}

class Draft {
  readonly #nodes: MapNodes;
  readonly #oldRoot: Hash;
  #root: DraftNode | undefined;
  readonly #added: MapNode[] = [];
  readonly #removed: Hash[] = [];
  /** The inner nodes on the way to the last key, from the root; what is behind its depth is of others. */
  readonly #path: DraftInner[] = [];

  constructor(nodes: MapNodes, root: Hash) {
    this.#nodes = nodes;
    this.#oldRoot = root;
  }

  set({ key, value }: MapChange): void {
    assert(key.length === MAP_KEY_BYTES, 'a map key has 32 bytes');
    assert(
      value.length <= MAP_VALUE_BYTES_MAX,
      `a map value has at most ${MAP_VALUE_BYTES_MAX} bytes`,
    );
    if (this.#root === undefined && !equalBytes(this.#oldRoot, EMPTY_MAP_ROOT)) {
      this.#root = this.#open(this.#oldRoot);
    }
    if (this.#root === undefined) {
      this.#root = newLeaf(key, value);
      return;
    }
    // The leaf at which the look-up of `key` ends. It shares the longest prefix with `key` of all leaves,
    // because every branch on the way was taken as `key` says.
    const path = this.#path;
    let depth = 0;
    let node = this.#root;
    while (node.kind === 'inner') {
      path[depth++] = node;
      node = bitAt(key, node.bit) === 0 ? this.#leftOf(node) : this.#rightOf(node);
    }
    const bit = firstDifferentBit(node.key, key);
    if (bit === undefined) node.value = value;
    else this.#insert(newLeaf(key, value), bit, depth, node);
  }

  // Puts a new leaf above the first node on its way that parts keys at a later bit than `bit`, and below
  // the others. None parts at that very bit: there the leaf's key and the nearest one's went one way.
  #insert(leaf: DraftLeaf, bit: number, depth: number, nearest: DraftLeaf): void {
    const path = this.#path;
    let above = depth;
    while (above > 0 && (path[above - 1]?.bit ?? 0) > bit) above--;
    const below = above < depth ? (path[above] ?? nearest) : nearest;
    const [left, right] = bitAt(leaf.key, bit) === 0 ? [leaf, below] : [below, leaf];
    const inner: DraftInner = { kind: 'inner', bit, left, right, stored: undefined };
    const parent = path[above - 1];
    if (parent === undefined) this.#root = inner;
    else if (bitAt(leaf.key, parent.bit) === 0) parent.left = inner;
    else parent.right = inner;
  }

  #leftOf(parent: DraftInner): DraftNode {
    return (parent.left ??= this.#open(parent.stored?.left));
  }

  #rightOf(parent: DraftInner): DraftNode {
    return (parent.right ??= this.#open(parent.stored?.right));
  }

  #open(hash: Hash | undefined): DraftNode {
    assert(hash !== undefined, 'a new node has both children');
    const stored = requireNode(this.#nodes, hash);
    return stored.kind === 'leaf'
      ? { kind: 'leaf', key: stored.key, value: stored.value, stored }
      : { kind: 'inner', bit: stored.bit, left: undefined, right: undefined, stored };
  }

  finish(): MapUpdate {
    const root = this.#settle(this.#root, this.#oldRoot);
    return { root, added: this.#added, removed: this.#removed };
  }

  // Recursion is as deep as the trie: at most 257. `unopened` is the hash of what has no draft.
  #settle(draft: DraftNode | undefined, unopened: Hash | undefined): Hash {
    if (draft === undefined) {
      assert(unopened !== undefined, 'a new node has both children');
      return unopened;
    }
    if (draft.kind === 'leaf') {
      const { key, value, stored } = draft;
      if (stored !== undefined && equalBytes(stored.value, value)) return stored.hash;
      return this.#replace(stored, mapLeaf(key, value));
    }
    const { bit, stored } = draft;
    const left = this.#settle(draft.left, stored?.left);
    const right = this.#settle(draft.right, stored?.right);
    if (stored !== undefined && isSame(stored.left, left) && isSame(stored.right, right)) {
      return stored.hash;
    }
    return this.#replace(stored, mapInner(bit, left, right));
  }

  #replace(stored: MapNode | undefined, node: MapNode): Hash {
    if (stored !== undefined) this.#removed.push(stored.hash);
    this.#added.push(node);
    return node.hash;
  }
}

// Nearly always a child that nobody has looked into is the very one.
function isSame(a: Hash, b: Hash): boolean {
  return a === b || equalBytes(a, b);
}

function newLeaf(key: Uint8Array, value: Uint8Array): DraftLeaf {
  return { kind: 'leaf', key, value, stored: undefined };
}
