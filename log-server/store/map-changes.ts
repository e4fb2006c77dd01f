// What the last batches changed of the map and its table does not have yet: kept by batch, and brought into
// the table for many batches at a time. A node that one batch makes and the next one replaces, as all those
// near the root, never gets there.
//
// All of it stays packed, as its rows are, with one index over all batches: nodes that are asked for often are
// remembered elsewhere (node-cache.ts), and as objects they would take four times as much.
import { assert } from '../../verifier/errors.ts';
import { parseMapNode, type MapNode } from '../../verifier/map/node.ts';
import { HASH_LENGTH, type Hash } from '../../verifier/merkle/hash.ts';
import { HashIndex } from './hash-index.ts';
import { nodeStarts, packedNode } from './packed-nodes.ts';

/** A row of the table of nodes that is to come, with its node's bytes, or to go. */
export interface FoldRow {
  readonly hash: Hash;
  readonly bytes: Uint8Array | undefined;
}

/** What one batch changed. */
export class MapChange {
  readonly height: number;
  /** Hashes of the nodes that it made, one after the other. */
  readonly added: Uint8Array;
  /** Hashes of the nodes that it replaced. */
  readonly removed: Uint8Array;
  readonly #packed: Uint8Array;
  #starts: Uint32Array | undefined;

  /** @param packed what `packNodes` made of the nodes whose hashes are `added` */
  constructor(height: number, added: Uint8Array, packed: Uint8Array, removed: Uint8Array) {
    assert(added.length % HASH_LENGTH === 0, 'hashes of new nodes are whole');
    assert(removed.length % HASH_LENGTH === 0, 'hashes of old nodes are whole');
    this.height = height;
    this.added = added;
    this.removed = removed;
    this.#packed = packed;
  }

  /** Of its row in the database. */
  get bytes(): number {
    return this.#packed.length + this.removed.length;
  }

  /** Nodes that it made. */
  get count(): number {
    return this.added.length / HASH_LENGTH;
  }

  /** A node that it made, in the order of `added`, without a copy. */
  nodeBytes(i: number): Uint8Array {
    return packedNode(this.#packed, (this.#starts ??= nodeStarts(this.#packed)), i);
  }
}

/** The changes that are in memory, in the order of their batches. */
export class MapChanges {
  #changes: readonly MapChange[] = [];
  /** Part of these and the older ones may be in the table: a fold was begun and never ended. */
  readonly #begunHeight: number;
  #bytes = 0;
  /** Of all nodes that the batches made; `undefined` when it has to be made. */
  #places: Places | undefined;

  /** @param begunHeight of the last change that an earlier life has left */
  constructor(begunHeight = 0) {
    this.#begunHeight = begunHeight;
  }

  /** Bytes of all changes' rows. */
  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#changes.length;
  }

  /** Heights of the oldest and the newest change; `undefined` when there is none. */
  get span(): { readonly oldest: number; readonly newest: number } | undefined {
    const [oldest, newest] = [this.#changes[0], this.#changes.at(-1)];
    return oldest && newest && { oldest: oldest.height, newest: newest.height };
  }

  add(change: MapChange): void {
    const last = this.#changes.at(-1);
    assert(last === undefined || last.height < change.height, 'changes come in order');
    this.#changes = [...this.#changes, change];
    this.#bytes += change.bytes;
    this.#places?.add(change);
  }

  /** A node that one of the batches made. */
  node(hash: Hash): MapNode | undefined {
    this.#places ??= new Places(this.#changes);
    const bytes = this.#places.find(hash);
    // A copy: what is remembered of it must not keep its whole batch in memory.
    return bytes && parseMapNode(bytes.slice());
  }

  /** The changes up to a height. */
  upTo(heightMax: number): readonly MapChange[] {
    return this.#changes.filter(({ height }) => height <= heightMax);
  }

  /** Height of the newest change behind which the newer ones have at most so many bytes; 0 when there is none. */
  heightBehind(bytesMax: number): number {
    let bytes = 0;
    for (const change of this.#changes.toReversed()) {
      bytes += change.bytes;
      if (bytes > bytesMax) return change.height;
    }
    return 0;
  }

  /** What the batches up to a height come to, or `undefined` when there are none. */
  fold(heightMax: number): Fold | undefined {
    const changes = this.upTo(heightMax);
    return changes.length === 0 ? undefined : new Fold(changes, this.#begunHeight);
  }

  /** Forgets the changes up to a height: the table has them. */
  drop(heightMax: number): void {
    for (const { bytes } of this.upTo(heightMax)) this.#bytes -= bytes;
    this.#changes = this.#changes.filter(({ height }) => height > heightMax);
    this.#places = undefined;
  }
}

/** Where the nodes of some changes are, by their hashes. */
class Places {
  readonly #index = new HashIndex();
  /** At the positions of the index: the change, and the node's place in it. */
  readonly #owners: MapChange[] = [];
  readonly #at: number[] = [];

  constructor(changes: readonly MapChange[]) {
    for (const change of changes) this.add(change);
  }

  add(change: MapChange): void {
    for (let i = 0; i < change.count; i++) {
      const position = this.#index.add(change.added, HASH_LENGTH * i);
      // The hash says what the node is: whichever of several.
      this.#owners[position] = change;
      this.#at[position] = i;
    }
  }

  find(hash: Hash): Uint8Array | undefined {
    const position = this.#index.find(hash);
    return position === undefined
      ? undefined
      : this.#owners[position]?.nodeBytes(this.#at[position] ?? 0);
  }
}

/** What a number of batches come to: rows of the table, in the order of their hashes. */
export class Fold {
  /** The newest of the batches. */
  readonly height: number;
  readonly #changes: readonly MapChange[];
  readonly #index: HashIndex;
  /** At the positions of the index: the change that made the node last, plus one, or 0: it was replaced since. */
  readonly #owners: Uint32Array;
  readonly #at: Uint32Array;
  /** Whether the table has the node, or may have it: then it is not enough to leave it out. */
  readonly #mayBeThere: Uint8Array;
  /** Positions, without what was made and replaced again since the table was brought up to date. */
  readonly #order: Uint32Array;

  /**
   * @param changes at least one
   * @param begunHeight part of the changes up to there may be in the table
   */
  constructor(changes: readonly MapChange[], begunHeight: number) {
    this.height = changes.at(-1)?.height ?? 0;
    this.#changes = changes;
    const room = changes.reduce(
      (sum, one) => sum + one.count + one.removed.length / HASH_LENGTH,
      0,
    );
    this.#index = new HashIndex(room);
    this.#owners = new Uint32Array(room);
    this.#at = new Uint32Array(room);
    this.#mayBeThere = new Uint8Array(room);
    for (const [i, change] of changes.entries()) this.#take(change, i, begunHeight);
    this.#order = this.#index
      .inOrder()
      .filter((one) => this.#owners[one] !== 0 || this.#mayBeThere[one] === 1);
  }

  #take({ height, added, removed }: MapChange, change: number, begunHeight: number): void {
    for (let at = 0; at < removed.length; at += HASH_LENGTH) {
      const before = this.#index.count;
      const position = this.#index.add(removed, at);
      // No batch here made it: it is in the table.
      if (position === before) this.#mayBeThere[position] = 1;
      this.#owners[position] = 0;
    }
    for (let at = 0; at < added.length; at += HASH_LENGTH) {
      const position = this.#index.add(added, at);
      if (height <= begunHeight) this.#mayBeThere[position] = 1;
      this.#owners[position] = change + 1;
      this.#at[position] = at / HASH_LENGTH;
    }
  }

  /** Number of rows. */
  get count(): number {
    return this.#order.length;
  }

  /** Rows from one on, at most so many. */
  rows(from: number, count: number): readonly FoldRow[] {
    return Array.from(this.#order.subarray(from, from + count), (position) => {
      const change = this.#changes[(this.#owners[position] ?? 0) - 1];
      const bytes = change?.nodeBytes(this.#at[position] ?? 0);
      return { hash: this.#index.hash(position), bytes };
    });
  }
}
