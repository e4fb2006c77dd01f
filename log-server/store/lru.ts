// A bounded memory of what was used last.

/** Keeps the `countMax` entries that were used last. */
export class LruMap<Key, Value> {
  readonly #countMax: number;
  // A Map iterates in the order of insertion: the first key is the one not used for longest.
  readonly #entries = new Map<Key, Value>();

  /** @param countMax at least 1 */
  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  set(key: Key, value: Value): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#countMax) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      return;
    }
  }

  delete(key: Key): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }
}
