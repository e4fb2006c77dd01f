// What happens when: a binary heap of events. Events of one moment happen in the order in which they
// were planned, so that a run depends on nothing but its seed.

/** Something that will happen; a promise is waited for before the next event. */
export type Action = () => void | Promise<void>;

interface Planned {
  readonly time: number;
  readonly order: number;
  readonly action: Action;
}

/** The future. Times are integers in the unit of the world (a tenth of a tick). */
export class EventQueue {
  readonly #heap: Planned[] = [];
  #planned = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** When the next event is due; undefined when there is none. */
  get nextTime(): number | undefined {
    return this.#heap[0]?.time;
  }

  add(time: number, action: Action): void {
    this.#planned += 1;
    const heap = this.#heap;
    heap.push({ time, order: this.#planned, action });
    for (let at = heap.length - 1; at > 0;) {
      const parent = (at - 1) >>> 1;
      if (!this.#swapIfEarlier(at, parent)) return;
      at = parent;
    }
  }

  /** Removes the next event. */
  take(): Action | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined) return undefined;
    if (heap.length > 0) {
      heap[0] = last;
      this.#sink();
    }
    return first.action;
  }

  #sink(): void {
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      const right = left + 1;
      let child = left;
      if (right < this.#heap.length && this.#isEarlier(right, left)) child = right;
      if (child >= this.#heap.length || !this.#swapIfEarlier(child, at)) return;
      at = child;
    }
  }

  #isEarlier(i: number, j: number): boolean {
    const [a, b] = [this.#heap[i], this.#heap[j]];
    if (a === undefined || b === undefined) return false;
    return a.time < b.time || (a.time === b.time && a.order < b.order);
  }

  #swapIfEarlier(child: number, parent: number): boolean {
    if (!this.#isEarlier(child, parent)) return false;
    const [a, b] = [this.#heap[child], this.#heap[parent]];
    if (a === undefined || b === undefined) return false;
    this.#heap[child] = b;
    this.#heap[parent] = a;
    return true;
  }
}
