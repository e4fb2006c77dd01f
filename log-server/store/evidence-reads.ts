// Evidence out of the tables. Most of what makes a document is the same for everybody who asks for the same
// packages, at whatever checkpoint: entries never change, and what was read, compared with the tree and put
// into the document's spelling once is kept, as far as there is room.
import {
  evidenceInPieces,
  releasedPackages,
  type EvidenceQuery,
  type EvidenceSource,
} from '../../verifier/evidence/build.ts';
import { assert } from '../../verifier/errors.ts';
import { formatShownEntry } from '../../verifier/evidence/format.ts';
import { decodeUtf8 } from '../../verifier/text.ts';
import type { StoredCheckpoint } from './store.ts';
import type { Tables } from './tables.ts';

/** Characters of entries kept in memory, a byte each: those of 2,000 packages and their releases. */
const KEPT_LENGTH_MAX: number = 8 * 1024 * 1024;

/** An entry as evidence needs it. */
interface KnownEntry {
  /** What `formatShownEntry` makes of it. */
  readonly text: string;
  /** See `releasedPackages`; absent for what is no release. */
  readonly packages?: readonly string[];
}

/** Makes evidence of what a store has. */
export class EvidenceReads {
  readonly #tables: Tables;
  readonly #known: KnownEntries;

  /** @param keptLengthMax characters of entries kept, for tests */
  constructor(tables: Tables, keptLengthMax: number = KEPT_LENGTH_MAX) {
    this.#tables = tables;
    this.#known = new KnownEntries(keptLengthMax);
  }

  /** Characters of entries that are kept. */
  get keptLength(): number {
    return this.#known.length;
  }

  /**
   * The document under a checkpoint of this log, step by step.
   *
   * @throws {VerifyError} as `buildEvidence`
   * @throws {DamagedStoreError}
   */
  inPieces(
    checkpoint: StoredCheckpoint,
    query: EvidenceQuery,
  ): Generator<undefined, readonly string[], undefined> {
    return evidenceInPieces(this.#source(checkpoint), query);
  }

  /** Drops what can be read again. */
  forget(): void {
    this.#known.clear();
  }

  #source({ size, note, height }: StoredCheckpoint): EvidenceSource {
    const { batches, log, map, state } = this.#tables;
    const row = batches.batch(height);
    assert(row !== undefined, 'a checkpoint is of a batch');
    const entry = (index: number): Uint8Array => {
      const data = log.entry(index);
      assert(data !== undefined, 'an entry below the checkpoint is in the log');
      return data;
    };
    const known = this.#known;
    return {
      size,
      checkpointNote: note,
      rosters: batches.rosters(),
      mapRoot: row.mapRoot,
      mapNodes: map,
      entry,
      shownEntry: (index) =>
        (known.get(index) ?? known.keep(index, { text: textOf(index, entry(index)) })).text,
      packagesOf: (index) => {
        const packages = known.get(index)?.packages;
        if (packages !== undefined) return packages;
        const data = entry(index);
        const released = releasedPackages(data);
        known.keep(index, { text: textOf(index, data), packages: released });
        return released;
      },
      hash: (level, index) => log.hash(level, index),
      maintainerChain: (name) => state.setIndexes(name, size),
    };
  }
}

function textOf(index: number, data: Uint8Array): string {
  return formatShownEntry({ index, data: decodeUtf8(data) });
}

/** Two generations, as in lru.ts, and bounded by length: an entry has a few hundred characters or 65,000. */
export class KnownEntries {
  readonly #generationMax: number;
  #young = new Map<number, KnownEntry>();
  #youngLength = 0;
  #old = new Map<number, KnownEntry>();
  #oldLength = 0;

  constructor(lengthMax: number) {
    this.#generationMax = Math.floor(lengthMax / 2);
  }

  get length(): number {
    return this.#youngLength + this.#oldLength;
  }

  get(index: number): KnownEntry | undefined {
    const young = this.#young.get(index);
    if (young !== undefined) return young;
    const old = this.#old.get(index);
    if (old !== undefined) this.keep(index, old);
    return old;
  }

  keep(index: number, entry: KnownEntry): KnownEntry {
    const { length } = entry.text;
    if (length > this.#generationMax) return entry;
    if (this.#youngLength + length > this.#generationMax) {
      this.#old = this.#young;
      this.#oldLength = this.#youngLength;
      this.#young = new Map();
      this.#youngLength = 0;
    }
    this.#youngLength += length - (this.#young.get(index)?.text.length ?? 0);
    this.#young.set(index, entry);
    return entry;
  }

  clear(): void {
    this.#young = new Map();
    this.#old = new Map();
    this.#youngLength = 0;
    this.#oldLength = 0;
  }
}
