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

/** Where the nodes of a blob begin, lengths left out, and behind the last one. @throws {AssertionError} it does not end with a node */
export function nodeStarts(packed: Uint8Array): Uint32Array {
  const starts: number[] = [LENGTH_BYTES];
  let at = 0;
  while (at < packed.length) {
    at += LENGTH_BYTES + (((packed[at] ?? 0) << 8) | (packed[at + 1] ?? 0));
    starts.push(at + LENGTH_BYTES);
  }
  assert(at === packed.length, 'packed nodes end with a node');
  return Uint32Array.from(starts);
}

/** The node at a place of `nodeStarts`, without a copy. */
export function packedNode(packed: Uint8Array, starts: Uint32Array, i: number): Uint8Array {
  const [start, next] = [starts[i], starts[i + 1]];
  assert(start !== undefined && next !== undefined, 'the node is in the blob');
  return packed.subarray(start, next - LENGTH_BYTES);
}

/** Hashes, one after the other. */
export function packHashes(hashes: readonly Hash[]): Uint8Array {
  const packed = new Uint8Array(HASH_LENGTH * hashes.length);
  for (const [i, hash] of hashes.entries()) packed.set(hash, HASH_LENGTH * i);
  return packed;
}
