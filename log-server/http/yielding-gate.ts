// Places for those who send something, of which whoever has most gives way. With shares alone, four networks that
// opened sockets and sent nothing (a home's IPv6 prefix has 256) had every place for small artifacts, for a few
// requests a second, and nobody else published anything.
import { HttpError } from './errors.ts';

/** Bounds of a gate. */
export interface YieldingLimits {
  /** Of all together. */
  readonly max: number;
  /** Of one holder. */
  readonly perHolder: number;
  /**
   * Whether somebody's only place may be taken, for somebody who has none. For what takes a moment: the oldest one
   * is stuck then. What takes minutes would never come to its end beside strangers who come and come again.
   */
  readonly takesOnly: boolean;
}

interface Place {
  readonly holder: string;
  readonly taken: AbortController;
  /** Who waits for it. */
  heir: (() => void) | undefined;
}

/** A gate that those who hold it up are sent away from. */
export class YieldingGate {
  readonly #limits: YieldingLimits;
  /** The oldest first. */
  readonly #places = new Set<Place>();
  /** Places of each: not those that are being given up, but those that are waited for. */
  readonly #inside = new Map<string, number>();

  constructor(limits: YieldingLimits) {
    this.#limits = limits;
  }

  /**
   * Runs `work` unless this holder has its share, or all places are taken by others that have as few.
   *
   * @param work has to end soon when the signal is aborted: somebody waits for its place
   * @returns its result, or `undefined` when there was no room and nothing was started
   */
  async run<T>(
    holder: string,
    work: (taken: AbortSignal) => Promise<T>,
  ): Promise<{ readonly value: T } | undefined> {
    const { max, perHolder } = this.#limits;
    if (this.#has(holder) >= perHolder) return undefined;
    const victim = this.#places.size < max ? undefined : this.#victim(holder);
    if (victim === undefined && this.#places.size >= max) return undefined;
    const place: Place = { holder, taken: new AbortController(), heir: undefined };
    this.#inside.set(holder, this.#has(holder) + 1);
    if (victim !== undefined) await this.#inherit(victim, place);
    else this.#places.add(place);
    try {
      return { value: await work(place.taken.signal) };
    } finally {
      this.#places.delete(place);
      if (place.heir === undefined) this.#leave(holder);
      else place.heir();
    }
  }

  /** Holders that are inside, or wait for a place that is being given up. */
  get holders(): number {
    return this.#inside.size;
  }

  /** Places that are taken. */
  get taken(): number {
    return this.#places.size;
  }

  #has(holder: string): number {
    return this.#inside.get(holder) ?? 0;
  }

  #leave(holder: string): void {
    const left = this.#has(holder) - 1;
    if (left > 0) this.#inside.set(holder, left);
    else this.#inside.delete(holder);
  }

  #inherit(victim: Place, place: Place): Promise<void> {
    return new Promise((resolve) => {
      victim.heir = () => {
        this.#places.add(place);
        resolve();
      };
      // Counted no more from now on, or the next one would be taken from them as well.
      this.#leave(victim.holder);
      victim.taken.abort();
    });
  }

  /** The oldest place of whoever has most, if that is more than this one would have. */
  #victim(holder: string): Place | undefined {
    const own = this.#has(holder) + 1;
    let victim: Place | undefined;
    let most = this.#limits.takesOnly && own === 1 ? 0 : own;
    for (const place of this.#places) {
      const has = this.#has(place.holder);
      if (place.heir === undefined && has > most) [victim, most] = [place, has];
    }
    return victim;
  }
}

/** What is said to whoever has to give way. */
export function gaveWay(): HttpError {
  return new HttpError(503, 'BUSY', 'others wait for this place: it took too long', 1);
}
