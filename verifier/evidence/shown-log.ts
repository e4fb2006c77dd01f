// Step 5 and the inclusion half of step 6 (DESIGN section 7): the entries shown are leaves of the
// checkpoint's tree, the last one is its commit entry, and that says the root of the map.
import { equalBytes } from '../bytes.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { parseEntry, type CommitEntry, type Entry, type StatementEntry } from '../entry.ts';
import { VerifyError, assert } from '../errors.ts';
import { openPrunedMap, type PrunedMap } from '../map/pruned-map.ts';
import { leafHashOfText, type Hash } from '../merkle/hash.ts';
import { rootFromPrunedTree } from '../merkle/pruned-tree.ts';
import { openMaintainerSet, type MaintainerSet } from '../statements/maintainers.ts';
import type { OpenedStatement } from '../statements/payload.ts';
import type { Evidence, ShownEntry } from './format.ts';

/** A maintainer set shown with its place in the log. Its signatures are not checked yet. */
export interface ShownSet {
  readonly index: number;
  readonly opened: OpenedStatement<MaintainerSet>;
}

/**
 * The part of a log that evidence shows. Everything in it is in the tree of the checkpoint that it
 * was opened with; it is worth as much as that checkpoint's signatures.
 */
export class ShownLog {
  readonly commit: CommitEntry;
  readonly map: PrunedMap;
  /** Leaves in the tree of the checkpoint. */
  readonly size: number;
  readonly #leaves: ReadonlyMap<number, Hash>;
  // Unread: most are asked for once, and what a reader makes of them is twice as large.
  readonly #entries: ReadonlyMap<number, string>;
  readonly #sets: ReadonlyMap<string, readonly ShownSet[]>;

  /**
   * Checks the entries against the checkpoint.
   *
   * @param hidden hashes of leaves that the evidence may leave out, by index: whoever asked has read them
   * @throws {VerifyError} `INCLUSION_PROOF_INVALID` when an entry is not in the tree,
   *         `COMMIT_LEAF_MISSING`, `MAP_MALFORMED`, `MAP_PROOF_INVALID`
   */
  constructor(
    evidence: Evidence,
    checkpoint: Checkpoint,
    hidden: ReadonlyMap<number, Hash> = new Map(),
  ) {
    this.size = checkpoint.size;
    this.#leaves = provenLeaves(evidence, checkpoint, hidden);
    this.#entries = new Map(evidence.entries.map(({ index, data }) => [index, data]));
    this.#sets = groupSets(evidence.entries);
    this.commit = this.#commitOf(checkpoint);
    this.map = openPrunedMap(evidence.map, this.commit.map);
  }

  /**
   * The statement entry at a leaf index.
   *
   * @throws {VerifyError} `INCLUSION_PROOF_INVALID` when it is not shown, `ENTRY_MISMATCH` for a
   *         commit entry; what `parseEntry` throws
   */
  statementAt(index: number): StatementEntry {
    const entry = this.#entryAt(index);
    if (entry === undefined) {
      throw new VerifyError('INCLUSION_PROOF_INVALID', `entry ${index} is needed and not shown`);
    }
    if (entry.kind === 'commit') {
      throw new VerifyError('ENTRY_MISMATCH', `entry ${index} is a commit entry`);
    }
    return entry;
  }

  /** Whether the entry at that index is shown. */
  shows(index: number): boolean {
    return this.#entries.has(index);
  }

  /** Whether the leaf at that index was proven, shown or not. */
  hasLeaf(index: number): boolean {
    return this.#leaves.has(index);
  }

  /** The hash of such a leaf. */
  leafAt(index: number): Hash {
    const leaf = this.#leaves.get(index);
    assert(leaf !== undefined, 'the leaf was proven');
    return leaf;
  }

  /** The shown maintainer sets of a package, by leaf index. */
  setsOf(packagePurl: string): readonly ShownSet[] {
    return this.#sets.get(packagePurl) ?? [];
  }

  #entryAt(index: number): Entry | undefined {
    const data = this.#entries.get(index);
    return data === undefined ? undefined : parseEntry(data);
  }

  #commitOf({ size }: Checkpoint): CommitEntry {
    const last = size === 0 ? undefined : this.#entryAt(size - 1);
    // Each batch ends with its commit entry: another last leaf is a tree cut inside a batch, whose
    // map root nobody has agreed on.
    if (last?.kind !== 'commit') {
      throw new VerifyError(
        'COMMIT_LEAF_MISSING',
        `the last entry of the log of size ${size} is not shown or not a commit entry`,
      );
    }
    return last;
  }
}

function provenLeaves(
  evidence: Evidence,
  { size, root }: Checkpoint,
  hidden: ReadonlyMap<number, Hash>,
): ReadonlyMap<number, Hash> {
  const leaves = new Map(hidden);
  for (const { index, data } of evidence.entries) leaves.set(index, leafHashOfText(data));
  if (!equalBytes(rootFromPrunedTree(size, leaves, evidence.log), root)) {
    throw new VerifyError(
      'INCLUSION_PROOF_INVALID',
      'the entries shown do not lead to the root in the checkpoint',
    );
  }
  return leaves;
}

// How an entry of a maintainer set ends, but for its time: in canonical JSON there is no other spelling. Its envelope is
// base64 and names, where no quote can stand.
const SET_MARK = '"kind":"maintainers","time":';

function groupSets(entries: readonly ShownEntry[]): Map<string, ShownSet[]> {
  const groups = new Map<string, ShownSet[]>();
  for (const { index, data } of entries) {
    const opened = data.includes(SET_MARK) ? readSet(data) : undefined;
    if (opened === undefined) continue;
    const { statement } = opened;
    const group = groups.get(statement.package);
    if (group === undefined) groups.set(statement.package, [{ index, opened }]);
    else group.push({ index, opened });
  }
  return groups;
}

// An entry that can't be read concerns only the subjects that need it: the log may hold kinds of entries that this
// version does not know. A set that can't be read belongs to no package here; the chain that needs it will have a gap.
function readSet(data: string): OpenedStatement<MaintainerSet> | undefined {
  try {
    const entry = parseEntry(data);
    return entry.kind === 'maintainers' ? openMaintainerSet(entry.envelope) : undefined;
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    return undefined;
  }
}
