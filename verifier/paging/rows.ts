// Rows by key, in pages: what a table of a database is, as far as a replay needs one. Rows are set and
// replaced, never removed.
import { concat, equalBytes } from '../bytes.ts';
import { assert } from '../errors.ts';
import { sha256 } from '../sha256.ts';
import { numberBytes, type PagedBytes, type PagePool } from './pages.ts';
import { SLOT_UNIT, Slots, unitsFor } from './slots.ts';

/** The head of a row: units of its slot, lengths of key and value. */
const HEAD_BYTES = 8;
const [UNITS_BYTES, KEY_BYTES, VALUE_BYTES] = [3, 2, 3] as const;

/** A slot that has no row says this as the length of the key. */
const NO_ROW: number = 2 ** (8 * KEY_BYTES) - 1;

/** A place of the index: 32 bits of the key's hash, and the row's place in units; 0 is free. */
const WORD_BYTES = 4;
const PLACE_BYTES = 6;
const ENTRY_BYTES: number = WORD_BYTES + PLACE_BYTES;

/** Places for each row at least, so that one is found after a step or two. */
const PLACES_PER_ROW = 2;
const PLACE_BITS_MIN = 8;
const WORD_BITS = 32;

/** One row. */
export interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** A table. */
export class PagedRows {
  readonly #pool: PagePool;
  readonly #salt: Uint8Array;
  readonly #rows: PagedBytes;
  readonly #slots: Slots;
  #index: PagedBytes;
  #placeBits: number = PLACE_BITS_MIN;
  #count = 0;

  /**
   * @param salt of this table alone, not known to whoever chooses the keys: they could put all of theirs
   *        into one place of the index
   */
  constructor(pool: PagePool, salt: Uint8Array) {
    this.#pool = pool;
    this.#salt = salt;
    this.#rows = pool.space();
    this.#slots = new Slots(this.#rows);
    this.#index = pool.space();
  }

  get count(): number {
    return this.#count;
  }

  /** The value of a key. */
  get(key: Uint8Array): Uint8Array | undefined {
    const at = this.#rowAt(this.#find(key, this.#wordOf(key)));
    if (at === 0) return undefined;
    const valueLength = this.#rows.readNumber(at + HEAD_BYTES - VALUE_BYTES, VALUE_BYTES);
    return this.#rows.read(at + HEAD_BYTES + key.length, valueLength);
  }

  set(key: Uint8Array, value: Uint8Array): void {
    assert(key.length < NO_ROW, 'a key is short');
    const units = unitsFor(HEAD_BYTES + key.length + value.length);
    const word = this.#wordOf(key);
    const place = this.#find(key, word);
    const before = this.#rowAt(place);
    if (before !== 0) {
      const unitsBefore = this.#rows.readNumber(before, UNITS_BYTES);
      if (unitsBefore === units) return this.#write(before, units, key, value);
      this.#rows.writeNumber(before + UNITS_BYTES, KEY_BYTES, NO_ROW);
      this.#slots.give(before, unitsBefore);
    }
    const at = this.#slots.take(units);
    this.#write(at, units, key, value);
    this.#putPlace(place, word, at / SLOT_UNIT);
    if (before !== 0) return;
    this.#count += 1;
    if (this.#count * PLACES_PER_ROW > 2 ** this.#placeBits) this.#grow();
  }

  /** All rows, in no order that means anything. None may be set meanwhile. */
  *all(): Generator<Row> {
    for (let at = SLOT_UNIT; at < this.#slots.end;) {
      const units = this.#rows.readNumber(at, UNITS_BYTES);
      const keyLength = this.#rows.readNumber(at + UNITS_BYTES, KEY_BYTES);
      if (keyLength !== NO_ROW) {
        const valueLength = this.#rows.readNumber(at + HEAD_BYTES - VALUE_BYTES, VALUE_BYTES);
        const both = this.#rows.read(at + HEAD_BYTES, keyLength + valueLength);
        yield { key: both.subarray(0, keyLength), value: both.subarray(keyLength) };
      }
      at += units * SLOT_UNIT;
    }
  }

  #write(at: number, units: number, key: Uint8Array, value: Uint8Array): void {
    this.#rows.write(
      at,
      concat(
        numberBytes(UNITS_BYTES, units),
        numberBytes(KEY_BYTES, key.length),
        numberBytes(VALUE_BYTES, value.length),
        key,
        value,
      ),
    );
  }

  #wordOf(key: Uint8Array): number {
    const [a = 0, b = 0, c = 0, d = 0] = sha256(concat(this.#salt, key));
    return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  }

  /** The place of a key in the index, or the free one where it would be. One is always free. */
  #find(key: Uint8Array, word: number): number {
    let place = word >>> (WORD_BITS - this.#placeBits);
    for (let steps = 0; ; steps++) {
      const at = this.#rowAt(place);
      if (at === 0) return place;
      assert(steps <= this.#count, 'one place is free');
      const found = this.#index.readNumber(place * ENTRY_BYTES, WORD_BYTES);
      if (found === word && this.#isKey(at, key)) return place;
      place = this.#after(place);
    }
  }

  #after(place: number): number {
    return place + 1 === 2 ** this.#placeBits ? 0 : place + 1;
  }

  #rowAt(place: number): number {
    return SLOT_UNIT * this.#index.readNumber(place * ENTRY_BYTES + WORD_BYTES, PLACE_BYTES);
  }

  #isKey(at: number, key: Uint8Array): boolean {
    const keyLength = this.#rows.readNumber(at + UNITS_BYTES, KEY_BYTES);
    return keyLength === key.length && equalBytes(this.#rows.read(at + HEAD_BYTES, keyLength), key);
  }

  #putPlace(place: number, word: number, row: number): void {
    this.#index.write(
      place * ENTRY_BYTES,
      concat(numberBytes(WORD_BYTES, word), numberBytes(PLACE_BYTES, row)),
    );
  }

  // From the first place to the last: what is behind another in the old one is behind it in the new one, so
  // that both are gone through from front to back, however large they are.
  #grow(): void {
    const [old, places] = [this.#index, 2 ** this.#placeBits];
    this.#placeBits += 1;
    assert(this.#placeBits < WORD_BITS, 'an index has fewer places than words');
    this.#index = this.#pool.space();
    for (let i = 0; i < places; i++) {
      const row = old.readNumber(i * ENTRY_BYTES + WORD_BYTES, PLACE_BYTES);
      if (row === 0) continue;
      const word = old.readNumber(i * ENTRY_BYTES, WORD_BYTES);
      let place = word >>> (WORD_BITS - this.#placeBits);
      // All are different: the first free place is theirs.
      while (this.#rowAt(place) !== 0) place = this.#after(place);
      this.#putPlace(place, word, row);
    }
    old.clear();
  }
}
