// A batch's new nodes of the map in one blob, and the hashes of the old ones in another: one row of a table that
// grows at its end, instead of thousands of rows all over a tree of hashes.
import { assert } from '../../verifier/errors.ts';
import { mapNodeLength, writeMapNode, type MapNode } from '../../verifier/map/node.ts';
import { HASH_LENGTH, type Hash } from '../../verifier/merkle/hash.ts';

/** Bytes of a length in front of each node, big-endian. */
const LENGTH_BYTES = 2;

/** What fits the length; a node is much smaller (`MAP_VALUE_BYTES_MAX`). */
const NODE_BYTES_MAX = 0xff_ff;

/** Nodes in the form that their hash covers, one after the other. */
export function packNodes(nodes: readonly MapNode[]): Uint8Array {
  let length = 0;
  for (const node of nodes) length += LENGTH_BYTES + mapNodeLength(node);
  const packed = new Uint8Array(length);
  let at = 0;
  for (const node of nodes) {
    const end = writeMapNode(node, packed, at + LENGTH_BYTES);
    const size = end - at - LENGTH_BYTES;
    assert(size <= NODE_BYTES_MAX, 'a node of the map is small');
    packed[at] = size >> 8;
    packed[at + 1] = size & 0xff;
    at = end;
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

/** What `packHashes` packed, without copies. @throws {AssertionError} it does not end with a hash */
export function unpackHashes(packed: Uint8Array): readonly Hash[] {
  assert(packed.length % HASH_LENGTH === 0, 'packed hashes are whole');
  return Array.from({ length: packed.length / HASH_LENGTH }, (_, i) =>
    packed.subarray(i * HASH_LENGTH, (i + 1) * HASH_LENGTH),
  );
}
