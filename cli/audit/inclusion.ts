// One entry of a log with its inclusion proof, from tiles. The server may lie about all of them: what
// counts is that they lead to a root that a quorum cosigned.
import { assert } from '../../verifier/errors.ts';
import { checkConsistency } from '../../verifier/merkle/consistency.ts';
import { HASH_LENGTH, leafHash, type Hash } from '../../verifier/merkle/hash.ts';
import { checkInclusion } from '../../verifier/merkle/inclusion.ts';
import {
  consistencyRanges,
  inclusionRanges,
  rangeNodes,
  rangeRoot,
  type LeafRange,
} from '../../verifier/merkle/ranges.ts';
import {
  TILE_WIDTH,
  nodeFromTile,
  sliceOfNode,
  tileLevelCount,
  type TileSlice,
} from '../../verifier/merkle/tile.ts';
import type { LogHead } from '../../verifier/statements/observed.ts';
import type { LogView } from './log-view.ts';
import type { TileClient } from './tile-client.ts';

/** An entry that is in the log. */
export interface ProvenEntry {
  readonly view: LogView;
  readonly index: number;
  readonly data: Uint8Array;
  readonly leaf: Hash;
  /** Sibling hashes from the leaf up. */
  readonly hashes: readonly Hash[];
}

/**
 * Fetches an entry and proves that it is in the view's tree.
 *
 * @param index 0 <= index < size of the view
 * @throws {VerifyError} `INCLUSION_PROOF_INVALID`, `TILE_MALFORMED`; {TransportError}
 */
export async function fetchEntry(
  view: LogView,
  tiles: TileClient,
  index: number,
  signal: AbortSignal,
): Promise<ProvenEntry> {
  const { size, root } = view.checkpoint.checkpoint;
  assert(index < size, 'the entry is below the size');
  const bundle = Math.floor(index / TILE_WIDTH);
  const width = Math.min(TILE_WIDTH, size - bundle * TILE_WIDTH);
  const entries = await tiles.entries(bundle, width, signal);
  const data = entries[index % TILE_WIDTH];
  assert(data !== undefined, 'a bundle has as many entries as were asked for');
  const leaf = leafHash(data);
  const hashes = await rangeRoots(tiles, inclusionRanges(index, size), size, signal);
  checkInclusion(leaf, index, size, hashes, root);
  return { view, index, data, leaf, hashes };
}

/**
 * The root that the log had at an earlier size, proven by consistency with a later one.
 *
 * @param size 0 < size < head.size
 * @param head verified
 * @throws {VerifyError} `CONSISTENCY_PROOF_INVALID`, `TILE_MALFORMED`; {TransportError}
 */
export async function provenRoot(
  tiles: TileClient,
  size: number,
  head: LogHead,
  signal: AbortSignal,
): Promise<Hash> {
  const ranges = [{ start: 0, end: size }, ...consistencyRanges(size, head.size)];
  const [root, ...proof] = await rangeRoots(tiles, ranges, head.size, signal);
  assert(root !== undefined, 'a range has a root');
  checkConsistency(size, root, head.size, head.root, proof);
  return root;
}

async function rangeRoots(
  tiles: TileClient,
  ranges: readonly LeafRange[],
  size: number,
  signal: AbortSignal,
): Promise<readonly Hash[]> {
  const nodes = ranges.flatMap(({ start, end }) => rangeNodes(start, end));
  // A path of at most 53 hashes crosses at most two tiles of each of the seven levels.
  const slices = nodes.map(({ level, index: at }) => sliceOfNode(level, at));
  const needed = new Map(slices.map((slice) => [tileId(slice), slice]));
  const fetched = new Map<string, Uint8Array>();
  await Promise.all(
    [...needed].map(async ([id, { level, index: at }]) => {
      const width = Math.min(TILE_WIDTH, tileLevelCount(size, level) - at * TILE_WIDTH);
      const bytes = await tiles.hashes({ level, index: at, width }, signal);
      assert(bytes.length === width * HASH_LENGTH, 'a tile has as many hashes as were asked for');
      fetched.set(id, bytes);
    }),
  );
  return ranges.map(({ start, end }) =>
    rangeRoot(start, end, (level, at) => {
      const slice = sliceOfNode(level, at);
      const bytes = fetched.get(tileId(slice));
      assert(bytes !== undefined, 'each needed tile was fetched');
      return nodeFromTile(slice, bytes);
    }),
  );
}

function tileId({ level, index }: TileSlice): string {
  return `${level}/${index}`;
}
