// A batch's new nodes of the map in one blob, and the hashes of the old ones in another: one row of a table that grows at its end, instead of thousands
// of rows all over a tree of hashes.
import { assert } from '../../verifier/errors.ts';
import { HASH_LENGTH, type Hash } from '../../verifier/merkle/hash.ts';
import { keysIn } from './node-key.ts';

/** Bytes of a length in front of each node, big-endian. */
const LENGTH_BYTES = 2;

/** What fits the length; a node is much smaller (`MAP_VALUE_BYTES_MAX`). */
const NODE_BYTES_MAX = 0xff_ff;

/** Nodes as `formatMapNode` wrote them, one after the other. */
export function packNodes(nodes: readonly Uint8Array[]): Uint8Array {
  const packed = new Uint8Array(nodes.reduce((sum, { length }) => sum + LENGTH_BYTES + length, 0));
  let at = 0;
  for (const node of nodes) {
    assert(node.length <= NODE_BYTES_MAX, 'a node of the map is small');
    packed[at] = node.length >> 8;
    packed[at + 1] = node.length & 0xff;
    packed.set(node, at + LENGTH_BYTES);
    at += LENGTH_BYTES + node.length;
  }
  return packed;
}

/** The nodes of a blob, without copies. @throws {AssertionError} it does not end with a node */
export function unpackNodes(packed: Uint8Array): readonly Uint8Array[] {
  const nodes: Uint8Array[] = [];
  let at = 0;
  while (at < packed.length) {
    const start = at + LENGTH_BYTES;
    at = start + (((packed[at] ?? 0) << 8) | (packed[at + 1] ?? 0));
    nodes.push(packed.subarray(start, at));
  }
  assert(at === packed.length, 'packed nodes end with a node');
  return nodes;
}

/** Hashes, one after the other. */
export function packHashes(hashes: readonly Hash[]): Uint8Array {
  const packed = new Uint8Array(HASH_LENGTH * hashes.length);
  for (const [i, hash] of hashes.entries()) packed.set(hash, HASH_LENGTH * i);
  return packed;
}

/** What `packHashes` packed, as keys. @throws {AssertionError} it does not end with a hash */
export function hashKeysIn(packed: Uint8Array): readonly string[] {
  assert(packed.length % HASH_LENGTH === 0, 'packed hashes are whole');
  return keysIn(packed, HASH_LENGTH);
}
