// Two bundles as one. Possible only where both were made under one checkpoint: the proofs of another one
// lead to another root, and no server is asked here.
import { encodeHex } from '../../verifier/encoding.ts';
import { assert, VerifyError } from '../../verifier/errors.ts';
import type { Evidence, ShownEntry } from '../../verifier/evidence/format.ts';
import { mergePrunedMaps } from '../../verifier/map/pruned-map.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { prunedRanges } from '../../verifier/merkle/pruned-tree.ts';

/** What the verification of both documents showed to be the same. */
export interface MergePoint {
  /** Leaves under the checkpoint. */
  readonly size: number;
  /** Root of the map in the commit entry. */
  readonly mapRoot: Hash;
}

/**
 * Merges two documents that were verified under one checkpoint. The first one's note and rosters are
 * kept; what both show is shown once.
 *
 * @throws {VerifyError} `EVIDENCE_MALFORMED` when they show different entries in one place, or trees that
 *         can't be of the size; what `mergePrunedMaps` throws. The result has to be verified like any
 *         other document
 */
export function mergeEvidence(a: Evidence, b: Evidence, point: MergePoint): Evidence {
  const entries = mergeEntries(a.entries, b.entries);
  return {
    rosters: a.rosters,
    checkpoint: a.checkpoint,
    // Connects to what one client had accepted; a bundle is for any.
    consistency: null,
    entries,
    log: mergeTrees(a, b, entries, point.size),
    map: mergePrunedMaps(a.map, b.map, point.mapRoot),
  };
}

function mergeEntries(a: readonly ShownEntry[], b: readonly ShownEntry[]): readonly ShownEntry[] {
  const merged = new Map(a.map((entry) => [entry.index, entry]));
  for (const entry of b) {
    const known = merged.get(entry.index);
    if (known !== undefined && known.data !== entry.data) {
      throw malformed(`entry ${entry.index} differs`);
    }
    merged.set(entry.index, entry);
  }
  return [...merged.values()].toSorted((x, y) => x.index - y.index);
}

// A subtree without a wanted leaf of either document, whose parent has one of document X, is one that X
// pruned: so each root that is needed is in one of the two.
function mergeTrees(
  a: Evidence,
  b: Evidence,
  entries: readonly ShownEntry[],
  size: number,
): readonly Hash[] {
  const known = new Map<string, Hash>();
  for (const { entries: shown, log } of [a, b]) {
    const ranges = prunedRanges(
      size,
      shown.map(({ index }) => index),
    );
    if (ranges.length !== log.length) throw malformed('its tree is of another size');
    for (const [i, { start, end }] of ranges.entries()) {
      const hash = log[i];
      assert(hash !== undefined, 'there is a hash for each range');
      const place = `${start}-${end}`;
      const other = known.get(place);
      if (other !== undefined && encodeHex(other) !== encodeHex(hash)) {
        throw malformed(`the tree differs between the leaves ${place}`);
      }
      known.set(place, hash);
    }
  }
  const wanted = prunedRanges(
    size,
    entries.map(({ index }) => index),
  );
  return wanted.map(({ start, end }) => {
    const hash = known.get(`${start}-${end}`);
    assert(hash !== undefined, 'each pruned subtree of the union is pruned in one of the two');
    return hash;
  });
}

function malformed(detail: string): VerifyError {
  return new VerifyError('EVIDENCE_MALFORMED', `the bundles can't be merged: ${detail}`);
}
