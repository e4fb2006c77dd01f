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
  /** Of the nodes that the batches behind the last fold made; `undefined` when it has to be made. */
  #places: Places | undefined;
  /** Of those before them, until they are in the table. */
  #placesOfFold: Places | undefined;
  /** What will be folded next. */
  #draft: Fold | undefined;
  /** Height of the last change that was taken into a fold. */
  #takenHeight = 0;
  /** Height of the fold that was given out last. */
  #foldHeight = 0;

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
    this.#places ??= new Places(
      this.#placesOfFold === undefined ? this.#changes : this.#from(this.#foldHeight),
    );
    const bytes = this.#places.find(hash) ?? this.#placesOfFold?.find(hash);
    // A copy: what is remembered of it must not keep its whole batch in memory.
    return bytes && parseMapNode(bytes.slice());
  }

  /** The changes behind a height. */
  #from(heightBefore: number): readonly MapChange[] {
    return this.#changes.filter(({ height }) => height > heightBefore);
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

  /**
   * Works out a little of what will be folded: all at once, whole megabytes of batches would hold up every vote for as
   * long as dozens of batches take, in all replicas at the same height.
   *
   * @param heightMax changes up to there are taken in
   * @param countMax and no more than so many of them
   * @returns what is ready to be folded; `undefined` as long as something up to there is left, or when there is more in
   *   it: a map that somebody reads now would go with it
   */
  prepare(
    heightMax: number,
    countMax: number,
  ): { readonly bytes: number; readonly count: number } | undefined {
    const due = this.#from(this.#takenHeight).filter(({ height }) => height <= heightMax);
    for (const change of due.slice(0, countMax)) {
      this.#draft ??= new Fold(this.#begunHeight);
      this.#draft.take(change);
      this.#takenHeight = change.height;
    }
    if (due.length > countMax || this.#takenHeight > heightMax) return undefined;
    return { bytes: this.#draft?.bytes ?? 0, count: this.#draft?.count ?? 0 };
  }

  /**
   * What is prepared, to be brought into the table and then dropped, before there is another one; `undefined` when
   * there is nothing.
   */
  fold(): Fold | undefined {
    const fold = this.#draft;
    this.#draft = undefined;
    if (fold === undefined) return undefined;
    this.#foldHeight = fold.height;
    // What is made from now on is found without those, and they are found until they are in the table.
    this.#placesOfFold = this.#places;
    this.#places = undefined;
    return fold;
  }

  /** What the batches up to a height come to, whatever is prepared; `undefined` when there are none. */
  foldUpTo(heightMax: number): Fold | undefined {
    // More is prepared than may be folded now: it is worked out anew.
    if (this.#takenHeight > heightMax) {
      this.#draft = undefined;
      this.#takenHeight = this.#foldHeight;
    }
    this.prepare(heightMax, Number.MAX_SAFE_INTEGER);
    return this.fold();
  }

  /** Forgets the changes of the fold that was given out last: the table has them. */
  dropFold(): void {
    const before = this.#changes;
    this.#changes = this.#from(this.#foldHeight);
    for (const { bytes } of before.slice(0, before.length - this.#changes.length)) {
      this.#bytes -= bytes;
    }
    this.#placesOfFold = undefined;
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

/** Nodes for which a fold has room at first. */
const FOLD_ROOM_MIN = 1024;

/** What a number of batches come to: rows of the table, in the order of their hashes. */
export class Fold {
  readonly #begunHeight: number;
  #changes: readonly MapChange[] = [];
  #bytes = 0;
  readonly #index = new HashIndex();
  /** At the positions of the index: the change that made the node last, plus one, or 0: it was replaced since. */
  #owners = new Uint32Array(FOLD_ROOM_MIN);
  #at = new Uint32Array(FOLD_ROOM_MIN);
  /** Whether the table has the node, or may have it: then it is not enough to leave it out. */
  #mayBeThere = new Uint8Array(FOLD_ROOM_MIN);
  /** Positions, without what was made and replaced again since the table was brought up to date. */
  #order: Uint32Array | undefined;

  /** @param begunHeight part of the changes up to there may be in the table */
  constructor(begunHeight: number) {
    this.#begunHeight = begunHeight;
  }

  /** The newest of the batches. */
  get height(): number {
    return this.#changes.at(-1)?.height ?? 0;
  }

  /** Bytes of the changes' rows. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Number of batches. */
  get count(): number {
    return this.#changes.length;
  }

  /** Takes in the next batch's change. */
  take(change: MapChange): void {
    assert(this.#order === undefined && change.height > this.height, 'changes come in order');
    const { height, added, removed } = change;
    this.#changes = [...this.#changes, change];
    this.#bytes += change.bytes;
    this.#makeRoom(this.#index.count + (added.length + removed.length) / HASH_LENGTH);
    for (let at = 0; at < removed.length; at += HASH_LENGTH) {
      const before = this.#index.count;
      const position = this.#index.add(removed, at);
      // No batch here made it: it is in the table.
      if (position === before) this.#mayBeThere[position] = 1;
      this.#owners[position] = 0;
    }
    for (let at = 0; at < added.length; at += HASH_LENGTH) {
      const position = this.#index.add(added, at);
      if (height <= this.#begunHeight) this.#mayBeThere[position] = 1;
      this.#owners[position] = this.#changes.length;
      this.#at[position] = at / HASH_LENGTH;
    }
  }

  #makeRoom(count: number): void {
    if (count <= this.#owners.length) return;
    const room = Math.max(count, 2 * this.#owners.length);
    const [owners, at, mayBeThere] = [this.#owners, this.#at, this.#mayBeThere];
    this.#owners = new Uint32Array(room);
    this.#owners.set(owners);
    this.#at = new Uint32Array(room);
    this.#at.set(at);
    this.#mayBeThere = new Uint8Array(room);
    this.#mayBeThere.set(mayBeThere);
  }

  get #rows(): Uint32Array {
    this.#order ??= this.#index
      .inOrder()
      .filter((one) => this.#owners[one] !== 0 || this.#mayBeThere[one] === 1);
    return this.#order;
  }

  /** Number of rows. No change is taken in any more. */
  get rowCount(): number {
    return this.#rows.length;
  }

  /** Rows from one on, at most so many. */
  rows(from: number, count: number): readonly FoldRow[] {
    return Array.from(this.#rows.subarray(from, from + count), (position) => {
      const change = this.#changes[(this.#owners[position] ?? 0) - 1];
      const bytes = change?.nodeBytes(this.#at[position] ?? 0);
      return { hash: this.#index.hash(position), bytes };
    });
  }
}
