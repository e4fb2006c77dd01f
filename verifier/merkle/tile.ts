// Tiles: how a log is served as static files. See https://c2sp.org/tlog-tiles.
// A hash tile at level L holds the hashes of tree level 8L, up to 256 of them side by side; the seven
// levels above them are computed. An entry bundle holds up to 256 entries.
import { concat } from '../bytes.ts';
import { parseUint } from '../encoding.ts';
import { VerifyError, assert } from '../errors.ts';
import { HASH_LENGTH, type Hash, isHash, nodeHash } from './hash.ts';
import { isTreeSize } from './inclusion.ts';

/** Tree levels in a tile. */
export const TILE_HEIGHT = 8;
/** Hashes (or entries) in a full tile. */
export const TILE_WIDTH = 256;
/** Most bytes of one entry: its length is written as u16. */
export const TILE_ENTRY_BYTES_MAX = 65_535;
/** Highest tile level that a tree of safe size can have: 2^53 leaves are 256^6 times 32. */
export const TILE_LEVEL_MAX = 6;

/** A tile of hashes or, with level `entries`, a bundle of entries. */
export interface Tile {
  readonly level: number | 'entries';
  /** Position among the tiles of its level, counted from 0. */
  readonly index: number;
  /** Hashes or entries in it: 256 when full (and then immutable), 1 to 255 when partial. */
  readonly width: number;
}

// `tile/`, level, up to 6 groups of `x000/`, `.p/255`: longer is not a path of ours.
const PATH_LENGTH_MAX = 64;

/** The path below the log's address, such as `tile/0/x001/234.p/8`. No slash in front. */
export function formatTilePath(tile: Tile): string {
  assert(isTile(tile), 'a tile has level, index and width');
  const partial = tile.width === TILE_WIDTH ? '' : `.p/${tile.width}`;
  return `tile/${tile.level}/${formatTileIndex(tile.index)}${partial}`;
}

/** Groups of three digits, all but the last with an `x`, so that no folder has over 1,000 files. */
function formatTileIndex(index: number): string {
  let text = String(index % 1000).padStart(3, '0');
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    text = `x${String(rest % 1000).padStart(3, '0')}/${text}`;
  }
  return text;
}

/**
 * Reads a path as `formatTilePath` writes it. It may come from a URL: nothing but a tile's own
 * spelling gets through, so it can't name another file.
 *
 * @throws {VerifyError} `TILE_MALFORMED`
 */
export function parseTilePath(path: string): Tile {
  if (path.length > PATH_LENGTH_MAX) throw malformed('path is too long');
  const match = /^tile\/(entries|[0-9])\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(
    path,
  );
  const [, level = '', index = '', width] = match ?? [];
  if (match === null) throw malformed('not the path of a tile');
  const tile: Tile = {
    level: level === 'entries' ? level : parseNumber(level),
    index: parseNumber(index.replace(/[x/]/g, '').replace(/^0+(?=[0-9])/, '')),
    width: width === undefined ? TILE_WIDTH : parseNumber(width),
  };
  // Also refuses `.p/256`, leading groups of zeros and other second spellings.
  if (!isTile(tile) || formatTilePath(tile) !== path) throw malformed('not the path of a tile');
  return tile;
}

function parseNumber(text: string): number {
  try {
    return parseUint(text);
  } catch (cause) {
    throw malformed('not the path of a tile', cause);
  }
}

function isTile({ level, index, width }: Tile): boolean {
  const levelFits = level === 'entries' || (isTreeSize(level) && level <= TILE_LEVEL_MAX);
  const indexMax = Math.floor(Number.MAX_SAFE_INTEGER / TILE_WIDTH);
  const indexFits = isTreeSize(index) && index <= indexMax;
  return levelFits && indexFits && isTreeSize(width) && width >= 1 && width <= TILE_WIDTH;
}

/**
 * How many hashes a level of tiles has in a tree: `floor(size / 256^level)`. Of its tiles the first
 * `floor(count / 256)` are full; `count % 256` is the width of the partial one, if not 0.
 */
export function tileLevelCount(size: number, level: number): number {
  assert(isTreeSize(size) && isTreeSize(level), 'a tree and its tiles have sizes');
  return level > TILE_LEVEL_MAX ? 0 : Math.floor(size / TILE_WIDTH ** level);
}

/**
 * The tiles of a tree of `newSize` that one of `oldSize` did not have: the ones to write after growth.
 * Bundles first, then hash tiles from the lowest level up; partial tiles last within their level.
 */
export function newTiles(oldSize: number, newSize: number): readonly Tile[] {
  assert(oldSize <= newSize, 'a log only grows');
  const tiles: Tile[] = [...newTilesOfLevel('entries', oldSize, newSize)];
  for (let level = 0; tileLevelCount(newSize, level) > 0; level++) {
    const [before, after] = [tileLevelCount(oldSize, level), tileLevelCount(newSize, level)];
    tiles.push(...newTilesOfLevel(level, before, after));
  }
  return tiles;
}

function newTilesOfLevel(level: Tile['level'], before: number, after: number): readonly Tile[] {
  if (before === after) return [];
  const tiles: Tile[] = [];
  const fullAfter = Math.floor(after / TILE_WIDTH);
  for (let index = Math.floor(before / TILE_WIDTH); index < fullAfter; index++) {
    tiles.push({ level, index, width: TILE_WIDTH });
  }
  const width = after % TILE_WIDTH;
  if (width > 0) tiles.push({ level, index: fullAfter, width });
  return tiles;
}

/** Where the hash of a perfect subtree is found: the hashes `from` to `to - 1` of a tile, folded. */
export interface TileSlice {
  /** The tile's level. */
  readonly level: number;
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

/** The tile that holds or implies a node of the tree. */
export function sliceOfNode(level: number, index: number): TileSlice {
  assert(isTreeSize(level) && isTreeSize(index), 'a node has a level and an index');
  const width = 2 ** (level % TILE_HEIGHT);
  const perTile = TILE_WIDTH / width;
  const from = (index % perTile) * width;
  return {
    level: Math.floor(level / TILE_HEIGHT),
    index: Math.floor(index / perTile),
    from,
    to: from + width,
  };
}

/**
 * The hash of a node from its tile's bytes.
 *
 * @param slice from `sliceOfNode`
 * @param tile  the bytes of that tile, at least `slice.to` hashes
 * @throws {VerifyError} `TILE_MALFORMED` when the tile is too short
 */
export function nodeFromTile(slice: TileSlice, tile: Uint8Array): Hash {
  if (tile.length % HASH_LENGTH !== 0 || tile.length < slice.to * HASH_LENGTH) {
    throw malformed(`${tile.length} bytes of tile where ${slice.to} hashes are needed`);
  }
  let row: Hash[] = [];
  for (let i = slice.from; i < slice.to; i++) {
    row.push(Uint8Array.from(tile.subarray(i * HASH_LENGTH, (i + 1) * HASH_LENGTH)));
  }
  while (row.length > 1) row = pairUp(row);
  const [hash] = row;
  assert(hash !== undefined && isHash(hash), 'a slice is not empty');
  return hash;
}

function pairUp(row: readonly Hash[]): Hash[] {
  const parents: Hash[] = [];
  for (let i = 0; i < row.length; i += 2) {
    const [left, right] = [row[i], row[i + 1]];
    assert(left !== undefined && right !== undefined, 'a slice has a power of two of hashes');
    parents.push(nodeHash(left, right));
  }
  return parents;
}

/** The bytes of an entry bundle: for each entry its length as u16, most significant first, and itself. */
export function formatBundle(entries: readonly Uint8Array[]): Uint8Array {
  assert(entries.length >= 1 && entries.length <= TILE_WIDTH, 'a bundle has 1 to 256 entries');
  return concat(
    ...entries.flatMap((entry) => {
      assert(entry.length <= TILE_ENTRY_BYTES_MAX, 'an entry has at most 65,535 bytes');
      return [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry];
    }),
  );
}

/**
 * Reads an entry bundle. The entries are views into `bytes`.
 *
 * @param width how many entries it has to hold, 1 to 256
 * @throws {VerifyError} `TILE_MALFORMED`
 */
export function parseBundle(bytes: Uint8Array, width: number): readonly Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const [high, low] = [bytes[at], bytes[at + 1]];
    if (high === undefined || low === undefined) throw malformed('bundle is cut off');
    const end = at + 2 + high * 256 + low;
    if (end > bytes.length) throw malformed('bundle is cut off');
    if (entries.length === width) throw malformed(`more than ${width} entries in the bundle`);
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  if (entries.length !== width) {
    throw malformed(`${entries.length} entries in the bundle instead of ${width}`);
  }
  return entries;
}

function malformed(detail: string, cause?: unknown): VerifyError {
  return new VerifyError('TILE_MALFORMED', `malformed tile: ${detail}`, { cause });
}
