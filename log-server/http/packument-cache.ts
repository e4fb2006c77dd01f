// Packuments that were made lately. Making one reads and parses an entry of the log for each version, up
// to ten thousand, for a question of a few bytes: without bounds, a handful of strangers who ask for the
// largest package at one time would keep the replica from voting.
import { BusyError } from './face.ts';

/** Documents made at one time. Others wait: npm asks for dozens at once, and is lost after a 503 or two. */
const BUILDS_MAX = 4;

/** Documents that wait to be made: those of several large installations. */
const WAITING_MAX = 512;

/** Characters or bytes of documents kept: dozens of the largest packages, or all of a usual installation. */
const KEPT_LENGTH_MAX: number = 32 * 1024 * 1024;

/** Bounds, for tests. */
export interface PackumentBounds {
  readonly builds?: number;
  readonly waiting?: number;
  readonly keptLength?: number;
}

/** Documents by what they are made from: a key stands for one content for ever. */
export class PackumentCache<T extends string | Uint8Array = string> {
  readonly #buildsMax: number;
  readonly #waitingMax: number;
  readonly #keptLengthMax: number;
  readonly #kept = new Map<string, T>();
  readonly #underWay = new Map<string, Promise<T | undefined>>();
  readonly #waiting: (() => void)[] = [];
  #keptLength = 0;
  #builds = 0;

  constructor(bounds: PackumentBounds = {}) {
    this.#buildsMax = bounds.builds ?? BUILDS_MAX;
    this.#waitingMax = bounds.waiting ?? WAITING_MAX;
    this.#keptLengthMax = bounds.keptLength ?? KEPT_LENGTH_MAX;
  }

  /**
   * The document of a key, made once however many ask.
   *
   * @param build makes it; `undefined` when there is none
   * @throws {BusyError} too many wait
   */
  async get(key: string, build: () => Promise<T | undefined>): Promise<T | undefined> {
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      // Put at the end again: the first is the least recently asked for.
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return kept;
    }
    const underWay = this.#underWay.get(key);
    if (underWay !== undefined) return underWay;
    if (this.#builds >= this.#buildsMax && this.#waiting.length >= this.#waitingMax) {
      throw new BusyError('too many packages are asked for at one time');
    }
    const made = this.#inTurn(build).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, made);
    const document = await made;
    if (document !== undefined) this.#keep(key, document);
    return document;
  }

  async #inTurn<R>(build: () => Promise<R>): Promise<R> {
    // Who waits is handed the place of one that ends: nobody gets in between.
    if (this.#builds < this.#buildsMax) this.#builds++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await build();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#builds--;
      else next();
    }
  }

  #keep(key: string, document: T): void {
    if (document.length > this.#keptLengthMax) return;
    this.#kept.set(key, document);
    this.#keptLength += document.length;
    for (const [oldest, { length }] of this.#kept) {
      if (this.#keptLength <= this.#keptLengthMax) return;
      this.#kept.delete(oldest);
      this.#keptLength -= length;
    }
  }
}
