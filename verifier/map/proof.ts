// Proofs about a single key, in the form of the vectors in fixtures/vectors/mpt.txt:
//
//   path      (uvarint(bit) || sibling hash) from the leaf to the root
//   presence  path
//   absence   uvarint(len key) || key || uvarint(len value) || value || path   of the other leaf
//             at which the look-up ends; nothing at all for the empty map
//
// Evidence for many subjects uses pruned-map.ts instead, where shared nodes stand once.
import { concat, equalBytes } from '../bytes.ts';
import { VerifyError } from '../errors.ts';
import { HASH_LENGTH, type Hash } from '../merkle/hash.ts';
import {
  EMPTY_MAP_ROOT,
  MAP_KEY_BITS,
  bitAt,
  mapInnerHash,
  mapLeafHash,
  readLeaf,
} from './node.ts';
import { requireNode, type MapNodes } from './trie.ts';
import { ByteCursor, encodeUvarint } from './uvarint.ts';

/** An answer with its proof. */
export interface MapAnswer {
  /** `undefined` when the map does not have the key. */
  readonly value: Uint8Array | undefined;
  readonly proof: Uint8Array;
}

/** Looks a key up and proves the answer. */
export function proveMap(nodes: MapNodes, root: Hash, key: Uint8Array): MapAnswer {
  if (equalBytes(root, EMPTY_MAP_ROOT)) return { value: undefined, proof: new Uint8Array(0) };
  const steps: Uint8Array[] = [];
  let node = requireNode(nodes, root);
  while (node.kind === 'inner') {
    const [next, sibling] =
      bitAt(key, node.bit) === 0 ? [node.left, node.right] : [node.right, node.left];
    steps.push(concat(encodeUvarint(node.bit), sibling));
    node = requireNode(nodes, next);
  }
  const path = concat(...steps.reverse());
  if (equalBytes(node.key, key)) return { value: node.value, proof: path };
  const { key: otherKey, value: otherValue } = node;
  return {
    value: undefined,
    proof: concat(
      encodeUvarint(otherKey.length),
      otherKey,
      encodeUvarint(otherValue.length),
      otherValue,
      path,
    ),
  };
}

/**
 * Checks that the map of `root` has exactly this value for `key`.
 *
 * @throws {VerifyError} `MAP_PROOF_INVALID`, `MAP_MALFORMED`
 */
export function checkMapPresence(
  root: Hash,
  key: Uint8Array,
  value: Uint8Array,
  proof: Uint8Array,
): void {
  const found = rootFromPath(key, undefined, mapLeafHash(key, value), new ByteCursor(proof));
  if (!equalBytes(found, root)) throw invalid('the path does not lead to the root');
}

/**
 * Checks that the map of `root` does not have `key`.
 *
 * @throws {VerifyError} `MAP_PROOF_INVALID`, `MAP_MALFORMED`
 */
export function checkMapAbsence(root: Hash, key: Uint8Array, proof: Uint8Array): void {
  if (proof.length === 0) {
    if (!equalBytes(root, EMPTY_MAP_ROOT)) throw invalid('no leaf shown, and the map is not empty');
    return;
  }
  const cursor = new ByteCursor(proof);
  const other = readLeaf(cursor);
  if (equalBytes(other.key, key)) throw invalid('the leaf shown as another one is the key itself');
  const found = rootFromPath(key, other.key, other.hash, cursor);
  if (!equalBytes(found, root)) throw invalid('the path does not lead to the root');
}

// Walks from a leaf to the root. `otherKey` is the key of the leaf when it is not `key` itself: it
// has to agree with `key` at every bit of the path, or the look-up of `key` would end elsewhere.
function rootFromPath(
  key: Uint8Array,
  otherKey: Uint8Array | undefined,
  leaf: Hash,
  cursor: ByteCursor,
): Hash {
  let hash = leaf;
  let above = MAP_KEY_BITS;
  while (!cursor.atEnd) {
    const bit = cursor.uvarint(MAP_KEY_BITS - 1);
    const sibling = cursor.take(HASH_LENGTH);
    if (bit >= above) throw invalid('bits do not fall on the way to the root');
    above = bit;
    const side = bitAt(key, bit);
    if (otherKey !== undefined && bitAt(otherKey, bit) !== side) {
      throw invalid('the leaf shown is not where the look-up ends');
    }
    hash = side === 0 ? mapInnerHash(bit, hash, sibling) : mapInnerHash(bit, sibling, hash);
  }
  return hash;
}

function invalid(detail: string): VerifyError {
  return new VerifyError('MAP_PROOF_INVALID', `map proof: ${detail}`);
}
