// What peers have sent and the driver has not looked at yet: one bounded lane per peer, emptied in
// turn, so that a flood from one peer costs only that peer's own messages.
//
// Turns are of bytes as well as of messages. Reading a message takes a thread time in the order of its bytes (a
// proof of a megabyte eight milliseconds), and with turns of messages alone a peer that sent nothing but the largest
// had a hundred times the share of those who vote.

/** Most bytes that wait from one peer. */
export const INBOX_BYTES_MAX: number = 16 * 1024 * 1024;

/** Most messages that wait from one peer. */
export const INBOX_MESSAGES_MAX = 4096;

/**
 * Bytes of each peer in one turn. Whoever takes more in one piece, as a leader with a proposal, has it at once, and
 * then no turn until that is paid for: nothing waits here for being large, and nobody has more than this on average.
 * The largest batch is four turns; of ordinary messages it is more than a turn's count.
 */
const TURN_BYTES: number = 512 * 1024;

/**
 * Bytes, and messages, that wait from one peer when it is told nothing more until they are fewer: half of a largest
 * message. Whoever sends faster than is read here waits, instead of having read, authenticated and copied what is
 * then dropped.
 */
const CROWDED_BYTES: number = 4 * 1024 * 1024;
const CROWDED_MESSAGES = 1024;

interface Lane {
  readonly messages: Uint8Array[];
  bytes: number;
  /** Of its turns so far, bytes that it has not used; below zero what it has to wait for. */
  credit: number;
  /** Told when the lane is not crowded any more. */
  readonly waiting: (() => void)[];
}

/** Lanes of waiting messages, by the sender's vote key. */
export class Inbox {
  readonly #lanes = new Map<string, Lane>();
  #order: string[] = [];

  /** @returns how many of the messages had to be dropped because the lane is full */
  push(peer: string, messages: readonly Uint8Array[]): number {
    const lane = this.#lane(peer);
    let dropped = 0;
    for (const message of messages) {
      const isFull =
        lane.messages.length >= INBOX_MESSAGES_MAX || lane.bytes + message.length > INBOX_BYTES_MAX;
      if (isFull) {
        dropped++;
        continue;
      }
      lane.messages.push(message);
      lane.bytes += message.length;
    }
    return dropped;
  }

  /**
   * One turn: up to `perPeerMax` messages of each peer, the peers in turn: one of each, then the next.
   *
   * @param isResting whose messages stay where they are
   */
  take(
    perPeerMax: number,
    isResting: (peer: string) => boolean = () => false,
  ): { readonly peer: string; readonly message: Uint8Array }[] {
    const taken: { peer: string; message: Uint8Array }[] = [];
    const counts = this.#order.map((peer) => (isResting(peer) ? 0 : this.#turn(peer, perPeerMax)));
    for (let round = 0; round < perPeerMax; round++) {
      for (const [i, peer] of this.#order.entries()) {
        const message = this.#lane(peer).messages[round];
        if (message !== undefined && round < (counts[i] ?? 0)) taken.push({ peer, message });
      }
    }
    for (const [i, peer] of this.#order.entries()) this.#remove(this.#lane(peer), counts[i] ?? 0);
    // Whoever was first goes last, so that no peer has a standing advantage.
    const [first, ...others] = this.#order;
    if (first !== undefined) this.#order = [...others, first];
    return taken;
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }

  /** Peers of whom something waits. */
  get waiting(): readonly string[] {
    return this.#order.filter((peer) => this.#lane(peer).messages.length > 0);
  }

  /** When a peer may send more: `undefined` at once, otherwise when it has been told. */
  room(peer: string): Promise<void> | undefined {
    const lane = this.#lanes.get(peer);
    if (lane === undefined || !isCrowded(lane)) return undefined;
    return new Promise((resolve) => lane.waiting.push(resolve));
  }

  /** Forgets the lanes of all peers but these. */
  retain(peers: ReadonlySet<string>): void {
    for (const [peer, lane] of this.#lanes) {
      if (peers.has(peer)) continue;
      this.#lanes.delete(peer);
      for (const tell of lane.waiting.splice(0)) tell();
    }
    this.#order = this.#order.filter((peer) => peers.has(peer));
  }

  /** Begins a peer's turn. @returns how many of its messages are in it */
  #turn(peer: string, countMax: number): number {
    const lane = this.#lane(peer);
    lane.credit = Math.min(TURN_BYTES, lane.credit + TURN_BYTES);
    let count = 0;
    for (const message of lane.messages) {
      if (count === countMax || lane.credit <= 0) break;
      lane.credit -= message.length;
      count += 1;
    }
    return count;
  }

  #remove(lane: Lane, count: number): void {
    for (const message of lane.messages.splice(0, count)) lane.bytes -= message.length;
    if (!isCrowded(lane)) for (const tell of lane.waiting.splice(0)) tell();
  }

  #lane(peer: string): Lane {
    const found = this.#lanes.get(peer);
    if (found !== undefined) return found;
    const lane: Lane = { messages: [], bytes: 0, credit: 0, waiting: [] };
    this.#lanes.set(peer, lane);
    this.#order.push(peer);
    return lane;
  }
}

function isCrowded({ messages, bytes }: Lane): boolean {
  return messages.length > CROWDED_MESSAGES || bytes > CROWDED_BYTES;
}
