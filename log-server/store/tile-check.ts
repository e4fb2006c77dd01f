// Whether a hash tile is the one that was written. Every hash in a tile of the tree ends up in the root:
// a full tile in the hash that the tile above it has for it, a growing one in the log's right edge. So no
// checksums are kept, and what passes is right, whatever happened to the disk.
import { hash as digest } from 'node:crypto';

import { equalBytes } from '../../verifier/bytes.ts';
import type { CompactRange } from '../../verifier/merkle/compact-range.ts';
import { HASH_LENGTH, type Hash } from '../../verifier/merkle/hash.ts';
import { TILE_HEIGHT } from '../../verifier/merkle/tile.ts';

/** RFC 6962, by OpenSSL: a tile is 255 hashes, and a large answer needs hundreds of tiles. */
const LEAF_PREFIX = Buffer.of(0);

/** Leaf hash of an entry. */
export function leafHashOf(entry: Uint8Array): Hash {
  return Uint8Array.from(digest('sha256', Buffer.concat([LEAF_PREFIX, entry]), 'buffer'));
}

/** Roots of the perfect subtrees over some hashes, from left to right. */
export function perfectRoots(hashes: Uint8Array): readonly Hash[] {
  const roots: Hash[] = [];
  const count = hashes.length / HASH_LENGTH;
  for (let at = 0; at < count;) {
    let width = 1;
    while (2 * width <= count - at) width *= 2;
    roots.push(subtreeRoot(hashes.subarray(at * HASH_LENGTH, (at + width) * HASH_LENGTH)));
    at += width;
  }
  return roots;
}

// Pair by pair in one buffer, which shrinks by half each time.
function subtreeRoot(hashes: Uint8Array): Hash {
  const row = Uint8Array.from(hashes);
  const node = Buffer.alloc(1 + 2 * HASH_LENGTH);
  node[0] = 1;
  for (let count = row.length / HASH_LENGTH; count > 1; count /= 2) {
    for (let at = 0; at < count; at += 2) {
      node.set(row.subarray(at * HASH_LENGTH, (at + 2) * HASH_LENGTH), 1);
      row.set(digest('sha256', node, 'buffer'), (at / 2) * HASH_LENGTH);
    }
  }
  return row.slice(0, HASH_LENGTH);
}

/**
 * Whether a growing tile is the end of a log.
 *
 * @param level the tile's level: its hashes are of subtrees of 256^level leaves
 * @param edge the log's right edge
 */
export function isEdgeTile(tile: Uint8Array, level: number, edge: CompactRange): boolean {
  const width = tile.length / HASH_LENGTH;
  // The subtrees of the edge, the largest first, are the ones of the size in binary; those of eight of
  // its digits are in this tile.
  const unit = 2 ** (TILE_HEIGHT * level);
  const subtrees = Math.floor(edge.size / unit);
  if (subtrees % 2 ** TILE_HEIGHT !== width) return false;
  const before = ones(subtrees - width);
  const roots = perfectRoots(tile);
  return roots.every((root, i) => {
    const expected = edge.hashes[before + i];
    return expected !== undefined && equalBytes(root, expected);
  });
}

function ones(value: number): number {
  let count = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}
