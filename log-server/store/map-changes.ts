// What the last batches changed of the map and its table does not have yet: kept by batch, and brought into
// the table for many batches at a time. A node that one batch makes and the next one replaces, as all those
// near the root, never gets there.
import { assert } from '../../verifier/errors.ts';
import type { MapNode } from '../../verifier/map/node.ts';
import { hashKeysIn } from './packed-nodes.ts';

/** What one batch changed. */
export interface MapChange {
  readonly height: number;
  /** By the key of their hash (node-key.ts). */
  readonly added: ReadonlyMap<string, MapNode>;
  /** Hashes of the nodes that it replaced, as `packHashes` made it. */
  readonly removed: Uint8Array;
  /** Of its row in the database. */
  readonly bytes: number;
}

/** A row of the table of nodes that is to come, with its node, or to go. */
export interface FoldRow {
  readonly key: string;
  readonly node: MapNode | undefined;
}

/** What a number of batches come to. */
export interface Fold {
  /** The newest of the batches. */
  readonly height: number;
  /** In the order of the keys: neighbours are in one page of the database. */
  readonly rows: readonly FoldRow[];
}

/** The changes that are in memory, in the order of their batches. */
export class MapChanges {
  #changes: readonly MapChange[] = [];
  /** Part of these and the older ones may be in the table: a fold was begun and never ended. */
  #begunHeight: number;
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
  node(key: string): MapNode | undefined {
    for (let i = this.#changes.length - 1; i >= 0; i--) {
      const node = this.#changes[i]?.added.get(key);
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
    // Nodes that were never in the table, and those that are, or may be: with `undefined` they go.
    const fresh = new Map<string, MapNode>();
    const known = new Map<string, MapNode | undefined>();
    for (const { height, added, removed } of changes) {
      for (const key of hashKeysIn(removed)) {
        // Made and replaced again since the table was brought up to date.
        if (!fresh.delete(key)) known.set(key, undefined);
      }
      const mayBeThere = height <= this.#begunHeight;
      for (const [key, node] of added) {
        if (mayBeThere || known.has(key)) known.set(key, node);
        else fresh.set(key, node);
      }
    }
    return { height: last.height, rows: foldRows([...fresh, ...known]) };
  }

  /** Forgets the changes up to a height: the table has them. */
  drop(heightMax: number): void {
    for (const { bytes } of this.upTo(heightMax)) this.#bytes -= bytes;
    this.#changes = this.#changes.filter(({ height }) => height > heightMax);
  }

  /** A fold is given up with part of it in the table. */
  giveUp({ height }: Fold): void {
    this.#begunHeight = Math.max(this.#begunHeight, height);
  }
}

/** Rows in the order of their keys, which is that of their bytes. */
export function foldRows(
  nodes: Iterable<readonly [string, MapNode | undefined]>,
): readonly FoldRow[] {
  return Array.from(nodes, ([key, node]): FoldRow => ({ key, node })).toSorted((a, b) =>
    a.key < b.key ? -1 : 1,
  );
}
