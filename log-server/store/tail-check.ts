// What is looked at each time a replica starts: the end of the log, where the last write before a crash
// went and where the next one goes. It takes the same time however long the log is; everything else is
// checked when it is read, and all at once by `bftpkg-log fsck`.
import { equalBytes } from '../../verifier/bytes.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { parseEntry } from '../../verifier/entry.ts';
import { EMPTY_MAP_ROOT } from '../../verifier/map/node.ts';
import { leafHash } from '../../verifier/merkle/hash.ts';
import { genesisHeader, headerDigest } from '../../verifier/replication/encode.ts';
import type { BatchRow } from './batch-tables.ts';
import { DamagedStoreError, intact } from './damage.ts';
import type { Tables } from './tables.ts';

/** Batches whose headers are compared with the log, and whose entries are read again. */
export const TAIL_BATCHES_MAX = 32;

/** Of their entries the last of so many: four of the largest batches, some hundredths of a second. */
export const TAIL_ENTRIES_MAX = 2048;

/**
 * Checks the end of a log whose right edge is known to be right.
 *
 * @throws {DamagedStoreError} when tables contradict each other there
 */
export function checkTail({ batches, log, map }: Tables, origin: string): void {
  let later: BatchRow | undefined;
  const last = batches.lastBatch();
  if (last === undefined) return;
  const first = Math.max(1, last.height - TAIL_BATCHES_MAX + 1);
  for (let height = last.height; height >= first; height--) {
    const row = intact(`batch ${height}`, () => batches.batch(height));
    if (row === undefined) throw damaged(`batch ${height} is missing`);
    checkBatch(row, later);
    if (row.header.origin !== origin) throw damaged(`batch ${height} is of another log`);
    if (!equalBytes(log.rootAt(row.size), decodeHex(row.header.root))) {
      throw damaged(`the tree of size ${row.size} does not have the root of its header`);
    }
    checkCommitEntry(row, log.entry(row.size - 1));
    later = row;
  }
  // Read, and so compared with their hashes in the tree.
  const start = later?.firstLeaf ?? 0;
  log.entries(Math.max(start, last.size - TAIL_ENTRIES_MAX), last.size);
  if (!equalBytes(last.mapRoot, EMPTY_MAP_ROOT)) map.get(last.mapRoot);
}

/** Whether a batch's row is one in itself, and the one after it follows. */
export function checkBatch(row: BatchRow, later: BatchRow | undefined): void {
  const { height, header, firstLeaf, size } = row;
  const isWhole =
    header.height === height &&
    header.size === size &&
    header.prevSize === firstLeaf &&
    size > firstLeaf;
  if (!isWhole) throw damaged(`the row of batch ${height} is not that of its header`);
  if (later === undefined) return;
  const follows =
    later.height === height + 1 &&
    later.firstLeaf === size &&
    later.header.parent === headerDigest(header);
  if (!follows) throw damaged(`batch ${later.height} does not follow batch ${height}`);
}

/** Whether the commit entry of a batch says what its row does. */
export function checkCommitEntry(row: BatchRow, data: Uint8Array | undefined): void {
  const { height, size, mapRoot, commitLeaf } = row;
  if (data === undefined || !equalBytes(leafHash(data), commitLeaf)) {
    throw damaged(`entry ${size - 1} is not the commit entry of batch ${height}`);
  }
  const entry = intact(`entry ${size - 1}`, () => parseEntry(data));
  if (entry.kind !== 'commit' || entry.height !== height || !equalBytes(entry.map, mapRoot)) {
    throw damaged(`the commit entry of batch ${height} does not say the root of its map`);
  }
}

/** Whether the first batch follows the beginning. */
export function checkFirst(row: BatchRow, origin: string): void {
  const begins =
    row.height === 1 &&
    row.firstLeaf === 0 &&
    row.header.parent === headerDigest(genesisHeader(origin));
  if (!begins) throw damaged('batch 1 does not follow the beginning of the log');
}

function damaged(detail: string): DamagedStoreError {
  return new DamagedStoreError(detail);
}
