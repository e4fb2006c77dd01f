// What peers have sent and the driver has not looked at yet: one bounded lane per peer, emptied in
// turn, so that a flood from one peer costs only that peer's own messages.

/** Most bytes that wait from one peer. */
export const INBOX_BYTES_MAX: number = 16 * 1024 * 1024;

/** Most messages that wait from one peer. */
export const INBOX_MESSAGES_MAX = 4096;

interface Lane {
  readonly messages: Uint8Array[];
  bytes: number;
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

  /** Up to `perPeerMax` messages of each peer, the peers in turn: one of each, then the next. */
  take(perPeerMax: number): { readonly peer: string; readonly message: Uint8Array }[] {
    const taken: { peer: string; message: Uint8Array }[] = [];
    for (let round = 0; round < perPeerMax; round++) {
      for (const peer of this.#order) {
        const lane = this.#lane(peer);
        const message = lane.messages[round];
        if (message !== undefined) taken.push({ peer, message });
      }
    }
    for (const lane of this.#lanes.values()) {
      const gone = lane.messages.splice(0, perPeerMax);
      lane.bytes -= gone.reduce((sum, message) => sum + message.length, 0);
    }
    // Whoever was first goes last, so that no peer has a standing advantage.
    const [first, ...others] = this.#order;
    if (first !== undefined) this.#order = [...others, first];
    return taken;
  }

  get isEmpty(): boolean {
    for (const lane of this.#lanes.values()) if (lane.messages.length > 0) return false;
    return true;
  }

  /** Forgets the lanes of all peers but these. */
  retain(peers: ReadonlySet<string>): void {
    for (const peer of this.#lanes.keys()) if (!peers.has(peer)) this.#lanes.delete(peer);
    this.#order = this.#order.filter((peer) => peers.has(peer));
  }

  #lane(peer: string): Lane {
    const found = this.#lanes.get(peer);
    if (found !== undefined) return found;
    const lane = { messages: [], bytes: 0 };
    this.#lanes.set(peer, lane);
    this.#order.push(peer);
    return lane;
  }
}
