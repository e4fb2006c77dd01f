// What the present leader has been given, and how many batches have passed it by since (CONSENSUS.md
// Q5). Kept within what the leader's lane for us holds: whatever does not fit there is dropped, and an
// honest leader would be suspected of leaving out what it never had.
import type { Digest, Request } from '../../verifier/replication/messages.ts';
import type { Limits } from './types.ts';

/** S2 of Q5: batches that may pass a request by although they had room for it, after it was sent again. */
export const ROOMY_BATCHES_MAX = 8;

// The batch whose requests the leader has sent ahead (prefetching.ts): nothing new gets into it.
const BEGUN_BATCHES = 1;

// The largest entry. A batch with less room than that may have had none for the next request.
const ENTRY_BYTES_MAX = 0xffff;

/**
 * Batches with room after which a request is sent again, once, and the others count from there. A leader
 * whose lane was full of what came before has dropped it, and has had room since the first of these; most
 * that are passed by once or twice are still on their way.
 */
export const REMINDED_AFTER = 4;

interface Exposure {
  /** Height of the log when the leader got it. */
  since: number;
  /** When that was. */
  readonly tick: number;
  readonly bytes: number;
  /** Whether another replica handed it in, and none of our clients. */
  readonly isRelayed: boolean;
  /** Batches since then, or since it was sent again, that had room for it. */
  roomy: number;
  wasSentAgain: boolean;
}

/** A committed batch, as far as it matters to those that were not in it. */
export interface PassingBatch {
  readonly height: number;
  /** Whether it left no room for another request. */
  readonly isFull: boolean;
}

/** The requests with the present leader, oldest first. */
export class Exposures {
  readonly #limits: Limits;
  readonly #byId = new Map<Digest, Exposure>();
  #bytes = 0;
  /** What others have handed in, of all that. */
  #relayed = { count: 0, bytes: 0 };
  /** Height from which on the leader empties its lane of what it got before; undefined: not begun yet. */
  #drainsFrom: number | undefined;
  #isDrained = false;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#byId.size;
  }

  has(id: Digest): boolean {
    return this.#byId.has(id);
  }

  /**
   * Whether the leader's lane for us has room for one more, by number and by bytes. At first it may be
   * full of what it got before; as long as that may be, no more than a batch goes there (`drain`). What
   * others hand in gets half of it: one of them that hands in what is soon invalid would have all our
   * own clients wait until that is found out.
   *
   * @param isRelayed whether another replica handed it in, and none of our clients
   */
  hasRoomFor(request: Request, isRelayed: boolean): boolean {
    // Whatever its size: one that never fitted would keep all others behind it waiting.
    if (this.size === 0) return true;
    const { laneRequestsMax, laneBytesMax, batchRequestsMax, batchBytesMax } = this.#limits;
    const countMax = this.#isDrained
      ? laneRequestsMax
      : Math.min(laneRequestsMax, batchRequestsMax);
    const bytesMax = this.#isDrained ? laneBytesMax : Math.min(laneBytesMax, batchBytesMax);
    const { count, bytes } = this.#relayed;
    const { length } = request.bytes;
    if (isRelayed && count > 0 && (2 * count >= countMax || 2 * (bytes + length) > bytesMax)) {
      return false;
    }
    return this.size < countMax && this.#bytes + length <= bytesMax;
  }

  /**
   * @param since height of the log now; batches up to there do not count
   * @param tick the time now
   */
  add({ id, bytes }: Request, since: number, tick: number, isRelayed: boolean): void {
    const { length } = bytes;
    this.#drainsFrom ??= since;
    this.#byId.set(id, { since, tick, bytes: length, isRelayed, roomy: 0, wasSentAgain: false });
    this.#count(1, length, isRelayed);
  }

  delete(id: Digest): void {
    const exposure = this.#byId.get(id);
    if (exposure === undefined) return;
    this.#byId.delete(id);
    this.#count(-1, -exposure.bytes, exposure.isRelayed);
  }

  #count(count: number, bytes: number, isRelayed: boolean): void {
    this.#bytes += bytes;
    if (!isRelayed) return;
    this.#relayed.count += count;
    this.#relayed.bytes += bytes;
  }

  /** When the leader got this one; undefined when it did not. */
  tickOf(id: Digest): number | undefined {
    return this.#byId.get(id)?.tick;
  }

  /** When it got the one that it has had for longest; undefined when it has nothing. */
  oldestTick(): number | undefined {
    for (const { tick } of this.#byId.values()) return tick;
    return undefined;
  }

  /** The one that it has had for longest, among some. */
  oldest(isMeant: (id: Digest) => boolean): Digest | undefined {
    for (const id of this.#byId.keys()) {
      if (isMeant(id)) return id;
    }
    return undefined;
  }

  /** Another leader, or the same with who knows what. */
  clear(): void {
    this.#byId.clear();
    this.#bytes = 0;
    this.#relayed = { count: 0, bytes: 0 };
    this.#drainsFrom = undefined;
    this.#isDrained = false;
  }

  /** Counts a batch for all that were not in it. */
  pass({ height, isFull }: PassingBatch): void {
    this.#drainsFrom ??= height;
    if (isFull) return;
    for (const exposure of this.#byId.values()) {
      if (height > exposure.since) exposure.roomy += 1;
    }
  }

  /** Begins to count anew at this height. */
  restart(height: number): void {
    this.#drainsFrom = Math.max(this.#drainsFrom ?? 0, height);
    this.#isDrained = false;
    for (const exposure of this.#byId.values()) {
      exposure.since = Math.max(exposure.since, height);
      exposure.roomy = 0;
      exposure.wasSentAgain = false;
    }
  }

  /** What batches with room have passed by: the leader may have dropped it. @returns each once */
  remind(): readonly Digest[] {
    const dropped: Digest[] = [];
    for (const [id, exposure] of this.#byId) {
      if (exposure.wasSentAgain || exposure.roomy < REMINDED_AFTER) continue;
      exposure.wasSentAgain = true;
      exposure.roomy = 0;
      dropped.push(id);
    }
    return dropped;
  }

  /**
   * What the leader got before, from a life of this process that a crash has ended or in a view before,
   * may fill its lane for us, and then it drops what we send. That one of these requests was committed
   * tells nothing: other lanes may have had it too. But a leader that serves all lanes in turn has taken
   * everything out that was in one within the batches of `fairBatches`. What was dropped until then
   * has to be sent again, and full batches count from there. Those with room tell sooner (`remind`): with
   * room to spare the leader has emptied its lanes.
   *
   * @returns the requests to send to the leader once more: all of them, once
   */
  drain(height: number, members: number): readonly Digest[] {
    if (this.#isDrained || this.#drainsFrom === undefined) return [];
    if (height - this.#drainsFrom < fairBatches(this.#limits, members)) return [];
    this.#isDrained = true;
    for (const exposure of this.#byId.values()) exposure.since = Math.max(exposure.since, height);
    return [...this.#byId.keys()];
  }

  /**
   * Whether the leader has been reminded of a request, or more full batches than it takes to empty a lane by
   * number have gone by without it. The others have to know of it then: what starves them is theirs to judge.
   *
   * @param members number of lanes that the leader serves in turn
   */
  isPassedBy(id: Digest, height: number, members: number): boolean {
    const exposure = this.#byId.get(id);
    if (exposure === undefined) return false;
    const { laneRequestsMax, batchRequestsMax } = this.#limits;
    const turns = Math.ceil((members * (laneRequestsMax + batchRequestsMax)) / batchRequestsMax);
    return exposure.wasSentAgain || height - exposure.since > turns + BEGUN_BATCHES;
  }

  /**
   * Requests that have been with the leader for too long, those that it got first; with one that has not, the
   * others wait less. Full batches count when the lane is drained, and not before.
   *
   * @param members number of lanes that the leader serves in turn
   * @param patience factor by which the bounds are stretched, at least 1
   * @param most of them to name
   */
  starved(height: number, members: number, patience: number, most: number): readonly Digest[] {
    const fullMax = fairBatches(this.#limits, members) * patience;
    const starved: Digest[] = [];
    for (const [id, { since, roomy, wasSentAgain }] of this.#byId) {
      const isStarved =
        (this.#isDrained && height - since >= fullMax) ||
        (wasSentAgain && roomy >= ROOMY_BATCHES_MAX * patience);
      if (!isStarved || starved.length >= most) break;
      starved.push(id);
    }
    return starved;
  }
}

/**
 * S of Q5: full batches within which a leader that serves all lanes in turn has taken everything out of
 * one. By number each lane gets a turn in n; by bytes at least half of an n-th of a batch, because the
 * next entry may be too large for the rest of its share (`Pool.draw`). What was committed with the last
 * batch may still be in the lane (`Pool`), so it holds a batch more than we may have with the leader. And
 * when something comes there, the batch after the one that is voted on may be begun already.
 */
export function fairBatches(limits: Limits, members: number): number {
  const { laneRequestsMax, laneBytesMax, batchRequestsMax, batchBytesMax } = limits;
  const byNumber = Math.ceil((members * (laneRequestsMax + batchRequestsMax)) / batchRequestsMax);
  const byBytes = Math.ceil((2 * members * laneBytesMax) / batchBytesMax);
  return byNumber + byBytes + BEGUN_BATCHES + 2;
}

/**
 * Whether a batch left no room for another request.
 *
 * @param count requests in it
 * @param bytes bytes of all its entries
 */
export function isFullBatch(limits: Limits, count: number, bytes: number): boolean {
  // The largest entry might not have fitted; nobody is suspected for that.
  return count >= limits.batchRequestsMax || bytes + ENTRY_BYTES_MAX > limits.batchBytesMax;
}
