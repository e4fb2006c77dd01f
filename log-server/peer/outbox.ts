// What waits to be sent to one peer. Bounded: when a peer is slow or away, old news is dropped, never
// memory; the status exchange repairs every loss (CONSENSUS T1).

/** Most bytes that wait for one peer: two largest messages. */
export const OUTBOX_BYTES_MAX: number = 16 * 1024 * 1024;

/** Most messages that wait for one peer. */
export const OUTBOX_MESSAGES_MAX = 4096;

interface Waiting {
  readonly message: Uint8Array;
  readonly replaces: string | undefined;
}

/** A bounded queue in which a message may replace an older one of its kind. */
export class Outbox {
  #waiting: Waiting[] = [];
  #bytes = 0;
  #dropped = 0;

  /**
   * Queues a message.
   *
   * @param replaces a kind of which only the newest message matters (status); older ones are removed
   * @returns whether it was queued; `false` when it had to be dropped
   */
  push(message: Uint8Array, replaces?: string): boolean {
    if (replaces !== undefined) this.#remove(replaces);
    const isFull =
      this.#waiting.length >= OUTBOX_MESSAGES_MAX ||
      this.#bytes + message.length > OUTBOX_BYTES_MAX;
    if (isFull) {
      // The newest is dropped, not the oldest: what is queued first unblocks the peer first.
      this.#dropped++;
      return false;
    }
    this.#waiting.push({ message, replaces });
    this.#bytes += message.length;
    return true;
  }

  /** Takes messages from the front, at least one, up to `bytesMax` and `countMax`. */
  take(bytesMax: number, countMax: number): Uint8Array[] {
    let count = 0;
    let bytes = 0;
    for (const { message } of this.#waiting) {
      if (count > 0 && (count >= countMax || bytes + 4 + message.length > bytesMax)) break;
      bytes += 4 + message.length;
      count++;
    }
    const taken = this.#waiting.slice(0, count).map(({ message }) => message);
    this.#waiting = this.#waiting.slice(count);
    this.#bytes -= taken.reduce((sum, message) => sum + message.length, 0);
    return taken;
  }

  /** Forgets everything: the peer has been away too long for it to matter. */
  clear(): void {
    this.#dropped += this.#waiting.length;
    this.#waiting = [];
    this.#bytes = 0;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Messages dropped since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  #remove(kind: string): void {
    const kept = this.#waiting.filter(({ replaces }) => replaces !== kind);
    if (kept.length === this.#waiting.length) return;
    this.#waiting = kept;
    this.#bytes = kept.reduce((sum, { message }) => sum + message.length, 0);
  }
}
