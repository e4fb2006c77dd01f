// The tree of a log from its hash tiles alone: the leaf hashes of level 0 have to lead to the root that a
// quorum cosigned, and the tiles of every level above have to say the same. After that each entry can be
// judged by its own hash, before anything in it is read.
import { equalBytes } from '../../verifier/bytes.ts';
import type { Checkpoint } from '../../verifier/checkpoint.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { CompactRange } from '../../verifier/merkle/compact-range.ts';
import { HASH_LENGTH, type Hash } from '../../verifier/merkle/hash.ts';
import {
  TILE_HEIGHT,
  TILE_WIDTH,
  formatTilePath,
  newTiles,
  tileLevelCount,
  type Tile,
} from '../../verifier/merkle/tile.ts';
import { Leaves } from './leaves.ts';
import { fetchedInOrder, type TileClient } from './tile-client.ts';

/** Hash tiles asked for at one time; each has 8 KiB. */
const TILES_AHEAD = 16;
/** Names of bad tiles in a message; more help nobody. */
const NAMED_MAX = 8;

/** A tree whose root is the checkpoint's. */
export interface CheckedTree {
  readonly leaves: Leaves;
  /** Hash tiles that were fetched and compared. */
  readonly tiles: number;
  /** Paths of tiles above level 0 that say something else than the leaves do. */
  readonly badTiles: readonly string[];
}

/**
 * Reads the tree of a checkpoint.
 *
 * @param known leaves of an earlier checkpoint, already verified; the log has to begin with them
 * @param leaves none yet: where they are put
 * @throws {VerifyError} `CONSISTENCY_PROOF_INVALID` when it does not, `INCLUSION_PROOF_INVALID` when
 *         the tiles lead to another root, `TILE_MALFORMED`
 * @throws {TransportError}
 */
export async function readTree(
  source: TileClient,
  { size, root }: Pick<Checkpoint, 'size' | 'root'>,
  signal: AbortSignal,
  known: Leaves = new Leaves(),
  leaves: Leaves = new Leaves(),
): Promise<CheckedTree> {
  const tree = new TreeReader(known, leaves);
  const tiles = newTiles(known.size, size).filter(({ level }) => level !== 'entries');
  const lowest = tiles.filter(({ level }) => level === 0);
  const fetched = fetchedInOrder(lowest.length, TILES_AHEAD, signal, async (position, stop) => {
    const tile = lowest[position];
    return { tile, hashes: tile === undefined ? undefined : await source.hashes(tile, stop) };
  });
  for await (const { tile, hashes } of fetched) {
    if (tile !== undefined && hashes !== undefined) tree.add(tile, hashes);
  }
  const upper = tiles.filter(({ level }) => level !== 0);
  const badTiles: string[] = [];
  const suspects: string[] = [];
  const upperFetched = fetchedInOrder(upper.length, TILES_AHEAD, signal, async (position, stop) => {
    const tile = upper[position];
    return { tile, hashes: tile === undefined ? undefined : await source.hashes(tile, stop) };
  });
  for await (const { tile, hashes } of upperFetched) {
    if (tile === undefined || hashes === undefined) continue;
    const wrong = tree.differences(tile, hashes);
    if (wrong.length === 0) continue;
    badTiles.push(formatTilePath(tile));
    suspects.push(...wrong.map((index) => childPath(tile, index, size)));
  }
  const computed = tree.root();
  if (!equalBytes(computed, root)) {
    const where = suspects.length === 0 ? lowest.map(formatTilePath) : suspects;
    throw new VerifyError(
      'INCLUSION_PROOF_INVALID',
      `the hash tiles do not lead to the root that a quorum cosigned; the fault is in ${naming(where)}`,
      { found: `root ${encodeHex(computed)}`, expected: `root ${encodeHex(root)}` },
    );
  }
  return { leaves: tree.leaves, tiles: tiles.length, badTiles };
}

/** `a, b and 3 more` */
export function naming(paths: readonly string[]): string {
  const more = paths.length - NAMED_MAX;
  const shown = paths.slice(0, NAMED_MAX).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}

// The tile one level down that a hash of a tile stands for.
function childPath(tile: Tile, position: number, size: number): string {
  const level = Number(tile.level) - 1;
  const index = tile.index * TILE_WIDTH + position;
  const width = Math.min(TILE_WIDTH, tileLevelCount(size, level) - index * TILE_WIDTH);
  return formatTilePath({ level, index, width });
}

class TreeReader {
  readonly leaves: Leaves;
  readonly #known: Leaves;
  #range = CompactRange.EMPTY;
  // Hashes of tree level 8, 16, …: what the tiles above level 0 have to hold.
  readonly #levels: Hash[][] = [];

  constructor(known: Leaves, leaves: Leaves) {
    this.#known = known;
    this.leaves = leaves;
    for (let index = 0; index < known.size; index++) this.#append(known.at(index));
    const bytes = known.toBytes();
    for (let at = 0; at < bytes.length; at += TILE_WIDTH * HASH_LENGTH) {
      this.leaves.append(bytes.subarray(at, at + TILE_WIDTH * HASH_LENGTH));
    }
  }

  add(tile: Tile, hashes: Uint8Array): void {
    const start = tile.index * TILE_WIDTH;
    const knownCount = Math.min(tile.width, Math.max(0, this.#known.size - start));
    for (let i = 0; i < knownCount; i++) {
      const hash = hashes.subarray(i * HASH_LENGTH, (i + 1) * HASH_LENGTH);
      if (equalBytes(hash, this.#known.at(start + i))) continue;
      throw new VerifyError(
        'CONSISTENCY_PROOF_INVALID',
        `leaf ${start + i} is not the one that an earlier checkpoint had there`,
        { found: encodeHex(hash), expected: encodeHex(this.#known.at(start + i)) },
      );
    }
    this.leaves.append(hashes.subarray(knownCount * HASH_LENGTH));
    for (let i = knownCount; i < tile.width; i++) this.#append(this.leaves.at(start + i));
  }

  /** Positions in a tile above level 0 whose hash is not the one that the leaves lead to. */
  differences(tile: Tile, hashes: Uint8Array): readonly number[] {
    const row = this.#levels[Number(tile.level)] ?? [];
    return Array.from({ length: tile.width }, (_, i) => i).filter((i) => {
      const expected = row[tile.index * TILE_WIDTH + i];
      const found = hashes.subarray(i * HASH_LENGTH, (i + 1) * HASH_LENGTH);
      return expected === undefined || !equalBytes(expected, found);
    });
  }

  root(): Hash {
    return this.#range.root();
  }

  #append(leaf: Hash): void {
    this.#range = this.#range.append(leaf, (level, _index, hash) => {
      if (level === 0 || level % TILE_HEIGHT !== 0) return;
      const row = this.#levels[level / TILE_HEIGHT] ?? [];
      this.#levels[level / TILE_HEIGHT] = row;
      row.push(hash);
    });
  }
}
