// What the last batches changed of the map and its table does not have yet: kept by batch, and brought into
// the table for many batches at a time. A node that one batch makes and the next one replaces, as all those
// near the root, never gets there.
import { assert } from '../../verifier/errors.ts';
import type { MapNode } from '../../verifier/map/node.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { HashIndex, inHashOrder } from './hash-index.ts';
import { unpackNodes } from './packed-nodes.ts';

/** A row of the table of nodes that is to come, with its node's bytes, or to go. */
export interface FoldRow {
  readonly hash: Hash;
  readonly bytes: Uint8Array | undefined;
}

/** What a number of batches come to. */
export interface Fold {
  /** The newest of the batches. */
  readonly height: number;
  /** In the order of the hashes: neighbours are in one page of the database. */
  readonly rows: readonly FoldRow[];
}

/** What one batch changed. */
export class MapChange {
  readonly height: number;
  readonly added: readonly MapNode[];
  /** Hashes of the nodes that it replaced. */
  readonly removed: readonly Hash[];
  /** Of its row in the database. */
  readonly bytes: number;
  readonly #packed: Uint8Array;
  #index: HashIndex | undefined;
  /** At the positions of the index. */
  #nodes: readonly MapNode[] = [];

  /**
   * @param packed what `packNodes` made of `added`
   * @param bytes of its row in the database
   */
  constructor(
    height: number,
    added: readonly MapNode[],
    packed: Uint8Array,
    removed: readonly Hash[],
    bytes: number,
  ) {
    this.height = height;
    this.added = added;
    this.removed = removed;
    this.bytes = bytes;
    this.#packed = packed;
  }

  node(hash: Hash): MapNode | undefined {
    // Not before the first question: many batches' nodes are remembered elsewhere for as long as they are here.
    const position = (this.#index ??= this.#indexed()).find(hash);
    return position === undefined ? undefined : this.#nodes[position];
  }

  // A batch makes no node twice, but a row that was damaged may say so.
  #indexed(): HashIndex {
    const index = new HashIndex(this.added.length);
    const nodes: MapNode[] = [];
    for (const node of this.added) if (index.add(node.hash) === nodes.length) nodes.push(node);
    this.#nodes = nodes;
    return index;
  }

  /** A row for each node that it made. */
  rows(): readonly FoldRow[] {
    const bytes = unpackNodes(this.#packed);
    return this.added.map(({ hash }, i) => ({ hash, bytes: bytes[i] }));
  }
}

/** The changes that are in memory, in the order of their batches. */
export class MapChanges {
  #changes: readonly MapChange[] = [];
  /** Part of these and the older ones may be in the table: a fold was begun and never ended. */
  readonly #begunHeight: number;
  #bytes = 0;

  /** @param begunHeight of the last change that an earlier life has left */
  constructor(begunHeight = 0) {
    this.#begunHeight = begunHeight;
  }

  /** Bytes of all changes. */
  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#changes.length;
  }

  get oldest(): MapChange | undefined {
    return this.#changes[0];
  }

  add(change: MapChange): void {
    const last = this.#changes.at(-1);
    assert(last === undefined || last.height < change.height, 'changes come in order');
    this.#changes = [...this.#changes, change];
    this.#bytes += change.bytes;
  }

  /** A node that one of the batches made: the newest ones are asked for most. */
  node(hash: Hash): MapNode | undefined {
    for (let i = this.#changes.length - 1; i >= 0; i--) {
      const node = this.#changes[i]?.node(hash);
      if (node !== undefined) return node;
    }
    return undefined;
  }

  /** The changes up to a height. */
  upTo(heightMax: number): readonly MapChange[] {
    return this.#changes.filter(({ height }) => height <= heightMax);
  }

  /** What the batches up to a height come to, or `undefined` when there are none. */
  fold(heightMax: number): Fold | undefined {
    const changes = this.upTo(heightMax);
    const last = changes.at(-1);
    if (last === undefined) return undefined;
    const draft = new FoldDraft(changes.reduce((sum, { added }) => sum + added.length, 0));
    for (const change of changes) {
      for (const hash of change.removed) draft.remove(hash);
      const mayBeThere = change.height <= this.#begunHeight;
      for (const row of change.rows()) draft.put(row, mayBeThere);
    }
    return { height: last.height, rows: inHashOrder(draft.rows()) };
  }

  /** Forgets the changes up to a height: the table has them. */
  drop(heightMax: number): void {
    for (const { bytes } of this.upTo(heightMax)) this.#bytes -= bytes;
    this.#changes = this.#changes.filter(({ height }) => height > heightMax);
  }
}

/** What becomes of each node, batch after batch. */
class FoldDraft {
  readonly #index: HashIndex;
  readonly #rows: FoldRow[] = [];
  /** Whether the table has the node, or may have it: then it is not enough to leave it out. */
  readonly #mayBeThere: boolean[] = [];

  constructor(count: number) {
    this.#index = new HashIndex(count);
  }

  remove(hash: Hash): void {
    const i = this.#index.add(hash);
    // No batch here made it: it is in the table.
    if (i === this.#rows.length) this.#mayBeThere[i] = true;
    this.#rows[i] = { hash, bytes: undefined };
  }

  put(row: FoldRow, mayBeThere: boolean): void {
    const i = this.#index.add(row.hash);
    this.#mayBeThere[i] = mayBeThere || (this.#mayBeThere[i] ?? false);
    this.#rows[i] = row;
  }

  /** Without what was made and replaced again since the table was brought up to date. */
  rows(): readonly FoldRow[] {
    return this.#rows.filter(({ bytes }, i) => bytes !== undefined || this.#mayBeThere[i]);
  }
}
