// The one log that all correct replicas have to have (I1, I3, I4): the first to commit a height says
// what stands there, and everything about it is computed once more.
import { createHash } from 'node:crypto';
import { encodeHex } from '../../verifier/encoding.ts';
import { CompactRange } from '../../verifier/merkle/compact-range.ts';
import { leafHash } from '../../verifier/merkle/hash.ts';
import { ZERO_DIGEST, bodyHash, headerDigest } from '../../verifier/replication/encode.ts';
import type { Body, Digest, Header } from '../consensus/types.ts';
import { Violation } from './violation.ts';

/** Reads who submitted an entry; undefined when nobody did. */
export type EntryReader = (entry: Uint8Array) => Digest | undefined;

/** What stands at each height. */
export class CanonicalLog {
  readonly #headers: Header[] = [];
  readonly #digests: Digest[] = [];
  readonly #heightOf = new Map<Digest, number>();
  #range: CompactRange = CompactRange.EMPTY;
  readonly #read: EntryReader;

  constructor(read: EntryReader) {
    this.#read = read;
  }

  get height(): number {
    return this.#headers.length;
  }

  headerAt(height: number): Header | undefined {
    return this.#headers[height - 1];
  }

  /** `ZERO_DIGEST` for genesis, undefined above the newest. */
  digestAt(height: number): Digest | undefined {
    return height === 0 ? ZERO_DIGEST : this.#digests[height - 1];
  }

  /** At which height a request was committed. */
  heightOf(id: Digest): number | undefined {
    return this.#heightOf.get(id);
  }

  /** Somebody correct has made this batch durable. @throws {Violation} I1, I3, I4 */
  commit(digest: Digest, header: Header, body: Body): void {
    const { height } = header;
    if (headerDigest(header) !== digest) throw new Violation('I3', 'a digest of another header');
    const known = this.#digests[height - 1];
    if (known !== undefined) {
      if (known !== digest) throw new Violation('I1', `two batches committed at height ${height}`);
      return;
    }
    if (height !== this.height + 1) throw new Violation('I3', `height ${height} out of order`);
    if (header.parent !== this.digestAt(height - 1)) throw new Violation('I3', 'another parent');
    const previous = this.headerAt(height - 1);
    if (header.timestampMs <= (previous?.timestampMs ?? 0)) {
      throw new Violation('I4', 'time does not advance');
    }
    if (header.entriesHash !== bodyHash(body, () => createHash('sha256'))) {
      throw new Violation('I3', 'a body of another header');
    }
    if (header.prevSize !== this.#range.size) throw new Violation('I3', 'entries are missing');
    for (const entry of body) this.#range = this.#range.append(leafHash(entry));
    if (header.size !== this.#range.size || header.root !== encodeHex(this.#range.root())) {
      throw new Violation('I3', `the root at height ${height} is not that of its entries`);
    }
    this.#readEntries(height, body);
    this.#headers.push(header);
    this.#digests.push(digest);
  }

  /** I4: entries but the commit entry, each submitted by somebody, each once. */
  #readEntries(height: number, body: Body): void {
    for (const entry of body.slice(0, -1)) {
      const id = this.#read(entry);
      if (id === undefined) throw new Violation('I4', `a forged entry at height ${height}`);
      const earlier = this.#heightOf.get(id);
      if (earlier !== undefined) {
        throw new Violation('I4', `a request committed at heights ${earlier} and ${height}`);
      }
      this.#heightOf.set(id, height);
    }
  }
}
