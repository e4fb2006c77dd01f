// Bytes that need not all be in memory, for whoever keeps more than fits: byte spaces that are read and
// written anywhere, of which a fixed number of pages is held and the others are in a file. What fits into
// that number never gets there. The file is a port (verifier/node/temporary-pages.ts): this room is pure.
import { assert } from '../errors.ts';

/** Bytes of a page: what systems move between disk and memory. */
export const PAGE_BYTES = 4096;

/** Pages that are made at one time: memory of its own for each would cost a twentieth more. */
const SLAB_PAGES = 256;

/** Fewer would push out a page while the next one of the same value is read. */
const PAGES_MIN = 4;

const DIRTY = 1;
const USED = 2;

/** Where pages go that are not held. */
export interface PageFile {
  /**
   * Reads the page that was written there last into `target`.
   *
   * @throws {Error} it can't be read, or is not what was written
   */
  read(slot: number, target: Uint8Array): void;
  /** Writes a page; slots are numbered from 0 without gaps. @throws {Error} no room, or no disk */
  write(slot: number, page: Uint8Array): void;
}

/** Pages of any number of spaces, of which at most so many are held in memory. */
export class PagePool {
  readonly #file: PageFile;
  readonly #pagesMax: number;
  // By frame, a place for a page in memory: the page's bytes, whose it is, and which.
  readonly #bytes: Uint8Array[] = [];
  readonly #owners: (PagedBytes | undefined)[] = [];
  readonly #pages: number[] = [];
  /** Where the page is in the file; -1 while it has never been there. */
  readonly #slots: number[] = [];
  readonly #flags: Uint8Array;
  readonly #freeFrames: number[] = [];
  readonly #freeSlots: number[] = [];
  #slotCount = 0;
  #hand = 0;

  /** @param pagesMax pages of `PAGE_BYTES` in memory, at least 4 */
  constructor(pagesMax: number, file: PageFile) {
    assert(Number.isSafeInteger(pagesMax) && pagesMax >= PAGES_MIN, 'a pool holds a few pages');
    this.#pagesMax = pagesMax;
    this.#file = file;
    this.#flags = new Uint8Array(pagesMax);
  }

  /** Pages for which there is memory now. */
  get pagesHeld(): number {
    return this.#bytes.length;
  }

  /** Pages for which there is room in the file now. */
  get pagesInFile(): number {
    return this.#slotCount;
  }

  /** A new space: all zeros. */
  space(): PagedBytes {
    return new PagedBytes(this);
  }

  /** Bytes of the page in a frame; for the space that has it there. */
  bytesOf(frame: number, isWrite: boolean): Uint8Array {
    this.#flags[frame] = (this.#flags[frame] ?? 0) | (isWrite ? DIRTY | USED : USED);
    const bytes = this.#bytes[frame];
    assert(bytes !== undefined, 'a frame has a page');
    return bytes;
  }

  /**
   * Brings a page into memory.
   *
   * @param slot where it is in the file; -1 for a page of zeros
   * @returns its frame
   */
  load(owner: PagedBytes, page: number, slot: number): number {
    const frame = this.#freeFrame();
    const bytes = this.#bytes[frame];
    assert(bytes !== undefined, 'a free frame has memory');
    try {
      if (slot < 0) bytes.fill(0);
      else this.#file.read(slot, bytes);
    } catch (error) {
      this.#freeFrames.push(frame);
      throw error;
    }
    this.#owners[frame] = owner;
    this.#pages[frame] = page;
    this.#slots[frame] = slot;
    this.#flags[frame] = USED;
    return frame;
  }

  /** Takes a page back that nobody will ask for again. */
  release(frame: number | undefined, slot: number | undefined): void {
    if (frame !== undefined) {
      this.#owners[frame] = undefined;
      this.#freeFrames.push(frame);
      const own = this.#slots[frame] ?? -1;
      if (own >= 0) this.#freeSlots.push(own);
    }
    if (slot !== undefined) this.#freeSlots.push(slot);
  }

  #freeFrame(): number {
    const free = this.#freeFrames.pop();
    if (free !== undefined) return free;
    const held = this.#bytes.length;
    if (held < this.#pagesMax) {
      this.#addFrames(Math.min(SLAB_PAGES, this.#pagesMax - held));
      return this.#freeFrame();
    }
    return this.#evict();
  }

  #addFrames(count: number): void {
    const slab = new Uint8Array(count * PAGE_BYTES);
    for (let i = 0; i < count; i++) {
      this.#freeFrames.push(this.#bytes.length);
      this.#bytes.push(slab.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES));
      this.#owners.push(undefined);
      this.#pages.push(0);
      this.#slots.push(-1);
    }
  }

  // The hand of a clock goes round and takes the first page that was not used since it last came by.
  #evict(): number {
    for (;;) {
      const frame = this.#hand;
      this.#hand = frame + 1 === this.#bytes.length ? 0 : frame + 1;
      const flags = this.#flags[frame] ?? 0;
      const owner = this.#owners[frame];
      if (owner === undefined) continue;
      if ((flags & USED) !== 0) {
        this.#flags[frame] = flags & ~USED;
        continue;
      }
      this.#writeBack(frame, flags);
      owner.moved(this.#pages[frame] ?? 0, this.#slots[frame] ?? -1);
      this.#owners[frame] = undefined;
      return frame;
    }
  }

  // A page that was never changed is in the file as it is, or all zeros.
  #writeBack(frame: number, flags: number): void {
    if ((flags & DIRTY) === 0) return;
    const known = this.#slots[frame] ?? -1;
    const slot = known >= 0 ? known : (this.#freeSlots.at(-1) ?? this.#slotCount);
    const bytes = this.#bytes[frame];
    assert(bytes !== undefined, 'a frame has memory');
    this.#file.write(slot, bytes);
    if (known >= 0) return;
    if (slot === this.#slotCount) this.#slotCount += 1;
    else this.#freeSlots.pop();
    this.#slots[frame] = slot;
  }
}

/** Bytes from 0 on, all of them zero until they are written. */
export class PagedBytes {
  readonly #pool: PagePool;
  /** By page: its frame + 1; minus its slot in the file - 1; 0 is a page of zeros. */
  #where = new Int32Array(16);

  constructor(pool: PagePool) {
    this.#pool = pool;
  }

  /** A copy of `length` bytes. */
  read(at: number, length: number): Uint8Array {
    const target = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const from = (at + done) % PAGE_BYTES;
      const part = Math.min(length - done, PAGE_BYTES - from);
      target.set(this.#page(at + done, false).subarray(from, from + part), done);
      done += part;
    }
    return target;
  }

  write(at: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const from = (at + done) % PAGE_BYTES;
      const part = Math.min(bytes.length - done, PAGE_BYTES - from);
      this.#page(at + done, true).set(bytes.subarray(done, done + part), from);
      done += part;
    }
  }

  /** The number in `length` bytes, the most significant first: at most 2^53 - 1. */
  readNumber(at: number, length: number): number {
    let value = 0;
    const from = at % PAGE_BYTES;
    if (from + length <= PAGE_BYTES) {
      const page = this.#page(at, false);
      for (let i = 0; i < length; i++) value = value * 256 + (page[from + i] ?? 0);
      return value;
    }
    for (const byte of this.read(at, length)) value = value * 256 + byte;
    return value;
  }

  /** Writes what `readNumber` reads. */
  writeNumber(at: number, length: number, value: number): void {
    this.write(at, numberBytes(length, value));
  }

  /** Gives all of it back: it is empty afterwards. */
  clear(): void {
    for (const where of this.#where) {
      if (where > 0) this.#pool.release(where - 1, undefined);
      if (where < 0) this.#pool.release(undefined, -where - 1);
    }
    this.#where = new Int32Array(16);
  }

  /** The pool put a page elsewhere. */
  moved(page: number, slot: number): void {
    this.#where[page] = -slot - 1;
  }

  #page(at: number, isWrite: boolean): Uint8Array {
    const page = Math.floor(at / PAGE_BYTES);
    if (page >= this.#where.length) this.#grow(page);
    const where = this.#where[page] ?? 0;
    if (where > 0) return this.#pool.bytesOf(where - 1, isWrite);
    const frame = this.#pool.load(this, page, where === 0 ? -1 : -where - 1);
    this.#where[page] = frame + 1;
    return this.#pool.bytesOf(frame, isWrite);
  }

  #grow(page: number): void {
    let { length } = this.#where;
    while (length <= page) length *= 2;
    const where = new Int32Array(length);
    where.set(this.#where);
    this.#where = where;
  }
}

/** A number in so many bytes, the most significant first. */
export function numberBytes(length: number, value: number): Uint8Array {
  assert(Number.isSafeInteger(value) && value >= 0, 'a number that counts something');
  const bytes = new Uint8Array(length);
  let rest = value;
  for (let i = length - 1; i >= 0; i--) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  assert(rest === 0, 'the number fits into its bytes');
  return bytes;
}
