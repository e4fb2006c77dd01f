// Room for values of different lengths in one space, given back and used again.
import { assert } from '../errors.ts';
import type { PagedBytes } from './pages.ts';

/** Slots begin at multiples of this, and are multiples of it long. */
export const SLOT_UNIT = 16;

/** Bytes of the place of the next free slot of the same length, in a free slot. */
const NEXT_BYTES = 7;

/** Hands out slots of a space from its beginning on; 0 is none. */
export class Slots {
  readonly #space: PagedBytes;
  /** By length in units: the first free one. The others are chained in the slots themselves. */
  readonly #free = new Map<number, number>();
  #end: number = SLOT_UNIT;

  constructor(space: PagedBytes) {
    this.#space = space;
  }

  /** Where the last slot ends; the first one begins at `SLOT_UNIT`. */
  get end(): number {
    return this.#end;
  }

  /** A slot of so many units, whose content is anything. */
  take(units: number): number {
    assert(Number.isSafeInteger(units) && units > 0, 'a slot has a length');
    const free = this.#free.get(units) ?? 0;
    if (free === 0) {
      const at = this.#end;
      this.#end += units * SLOT_UNIT;
      return at;
    }
    this.#free.set(units, this.#space.readNumber(free + SLOT_UNIT - NEXT_BYTES, NEXT_BYTES));
    return free;
  }

  /** Gives one back. Only the last 7 bytes of its first unit change. */
  give(at: number, units: number): void {
    const next = this.#free.get(units) ?? 0;
    this.#space.writeNumber(at + SLOT_UNIT - NEXT_BYTES, NEXT_BYTES, next);
    this.#free.set(units, at);
  }
}

/** Units that so many bytes take. */
export function unitsFor(bytes: number): number {
  return Math.ceil(bytes / SLOT_UNIT);
}
