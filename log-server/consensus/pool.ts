// Requests waiting to be ordered, in one lane per replica that handed them in (CONSENSUS.md 2.5). The
// leader draws from the lanes in turn, so nobody can push others out by flooding: a flood only fills
// the flooder's own lane. Every operation costs what it moves, never the size of the pool.
import type { Digest, PeerId, Request } from '../../verifier/replication/messages.ts';
import type { MutantName } from '../../verifier/replication/mutants.ts';
import type { Limits } from './types.ts';

/** First in, first out. */
interface Lane {
  readonly requests: Map<Digest, Request>;
  /** Those not yet handed to the present leader; a subset of `requests`. */
  waiting: Map<Digest, Request>;
  bytes: number;
}

const NOTHING: ReadonlySet<Digest> = new Set();

/** The next one of a lane that has not been handed to the leader, if that has room for it. */
function firstFitting(
  lane: Lane | undefined,
  fits: (request: Request) => boolean,
): Request | undefined {
  for (const request of lane?.waiting.values() ?? []) return fits(request) ? request : undefined;
  return undefined;
}

/** What one lane gives to one batch. */
class Turn {
  readonly #requests: Iterator<Request>;
  readonly #isTaken: (id: Digest) => boolean;
  #next: Request | undefined;
  #bytes = 0;

  /** @param isTaken whether a request has its place already, through whichever lane */
  constructor(requests: Iterator<Request>, isTaken: (id: Digest) => boolean) {
    this.#requests = requests;
    this.#isTaken = isTaken;
  }

  /** The lane's next request, unless the lane has had its share; at least one is within any share. */
  peek(share: number): Request | undefined {
    while (this.#next === undefined || this.#isTaken(this.#next.id)) {
      const { value, done } = this.#requests.next();
      if (done === true) return undefined;
      this.#next = value;
    }
    const isOver = this.#bytes > 0 && this.#bytes + this.#next.bytes.length > share;
    return isOver ? undefined : this.#next;
  }

  take(request: Request): void {
    this.#next = undefined;
    this.#bytes += request.bytes.length;
  }
}

/** The pool of one replica. */
export class Pool {
  readonly #self: PeerId;
  readonly #limits: Limits;
  readonly #mutants: ReadonlySet<MutantName>;
  readonly #lanes = new Map<PeerId, Lane>();
  /** In how many lanes each id is. */
  readonly #ids = new Map<Digest, number>();
  /** Whose lane the next draw begins with. */
  #turn: PeerId | undefined;
  #forwardTurn = 0;

  constructor(self: PeerId, limits: Limits, mutants: ReadonlySet<MutantName>) {
    this.#self = self;
    this.#limits = limits;
    this.#mutants = mutants;
    this.#lane(self);
  }

  /** Distinct requests. */
  get size(): number {
    return this.#ids.size;
  }

  has(id: Digest): boolean {
    return this.#ids.has(id);
  }

  /** Whether the lane of `peer` has this request. */
  holds(peer: PeerId, id: Digest): boolean {
    return this.#lanes.get(peer)?.requests.has(id) === true;
  }

  /** How many more requests the lane takes, whatever their bytes. */
  room(peer: PeerId): number {
    return this.#requestsMax(peer) - (this.#lanes.get(peer)?.requests.size ?? 0);
  }

  /** Adds at the lane's end. @returns false when it is there already or the lane is full */
  add(peer: PeerId, request: Request): boolean {
    const lane = this.#lane(peer);
    if (lane.requests.has(request.id) || lane.requests.size >= this.#requestsMax(peer))
      return false;
    if (lane.bytes + request.bytes.length > this.#bytesMax(peer)) return false;
    lane.requests.set(request.id, request);
    lane.waiting.set(request.id, request);
    lane.bytes += request.bytes.length;
    this.#ids.set(request.id, (this.#ids.get(request.id) ?? 0) + 1);
    return true;
  }

  /** Takes requests out of every lane: they are committed, or invalid (Q6). */
  remove(ids: readonly Digest[]): void {
    for (const id of ids) {
      if (!this.#ids.delete(id)) continue;
      for (const lane of this.#lanes.values()) {
        const request = lane.requests.get(id);
        if (request === undefined) continue;
        lane.requests.delete(id);
        lane.waiting.delete(id);
        lane.bytes -= request.bytes.length;
      }
    }
  }

  /**
   * The requests of the next batch (Q4): one of each lane in turn, first in first out within a lane,
   * an id once. A lane whose entries are large waits when it has had its share of the bytes, until the
   * others have had theirs: counting heads alone would let it push them out. They stay in the pool until
   * they are committed or refused. The next call begins with the lane after the last one served.
   *
   * @param first what the batch holds already, in its order
   * @param without what is in another batch
   */
  draw(first: readonly Request[] = [], without: ReadonlySet<Digest> = NOTHING): readonly Request[] {
    const order = this.#fromTurn();
    const lanes = order.filter(([, { requests }]) => requests.size > 0);
    const { batchRequestsMax, batchBytesMax } = this.#limits;
    const drawn = new Map(first.map((request) => [request.id, request]));
    const isTaken = (id: Digest): boolean => drawn.has(id) || without.has(id);
    const turns = lanes.map(([, { requests }]) => new Turn(requests.values(), isTaken));
    let bytes = first.reduce((sum, request) => sum + request.bytes.length, 0);
    let served: PeerId | undefined;
    for (const share of [Math.floor(batchBytesMax / lanes.length), batchBytesMax]) {
      for (let isOpen = true; isOpen;) {
        isOpen = false;
        for (const [i, turn] of turns.entries()) {
          const request = turn.peek(share);
          if (request === undefined) continue;
          if (drawn.size >= batchRequestsMax || bytes + request.bytes.length > batchBytesMax) {
            this.#turn = lanes[i]?.[0];
            return [...drawn.values()];
          }
          turn.take(request);
          drawn.set(request.id, request);
          bytes += request.bytes.length;
          isOpen = true;
          served = lanes[i]?.[0];
        }
      }
    }
    if (served !== undefined) {
      const next = order.findIndex(([peer]) => peer === served) + 1;
      this.#turn = order[next % order.length]?.[0];
    }
    return [...drawn.values()];
  }

  /**
   * All lanes, the one whose turn it is first: by its owner and not by its place among those that hold
   * something now, or lanes that empty and fill would give others' turns away.
   */
  #fromTurn(): readonly (readonly [PeerId, Lane])[] {
    const lanes = [...this.#lanes];
    if (this.#mutants.has('lanes-ignored')) return lanes;
    const start = Math.max(
      0,
      lanes.findIndex(([peer]) => peer === this.#turn),
    );
    return [...lanes.slice(start), ...lanes.slice(0, start)];
  }

  /** Whether a batch drawn now would be full by count. */
  get fillsBatch(): boolean {
    return this.#ids.size >= this.#limits.batchRequestsMax;
  }

  /**
   * The next request to hand to the leader: own ones and those of others by turns, so that relayed
   * requests get through under any load of own ones.
   *
   * @param fits whether the leader has room for it; one that does not fit keeps its turn, but lets an own one by
   */
  nextToForward(fits: (request: Request) => boolean): Request | undefined {
    const own = this.#lane(this.#self);
    const others = [...this.#lanes.values()].filter(
      (lane) => lane !== own && lane.waiting.size > 0,
    );
    const turn = this.#forwardTurn + 1;
    const takeOwn = others.length === 0 || (turn % 2 === 1 && own.waiting.size > 0);
    const lane = takeOwn ? own : others[(turn >>> 1) % others.length];
    const chosen = firstFitting(lane, fits);
    if (chosen !== undefined) this.#forwardTurn = turn;
    const request = chosen ?? firstFitting(own, fits);
    if (request === undefined) return undefined;
    (chosen === undefined ? own : lane)?.waiting.delete(request.id);
    return request;
  }

  /** A new leader knows nothing: everything is waiting again (Q2). */
  restartForwarding(): void {
    for (const lane of this.#lanes.values()) lane.waiting = new Map(lane.requests);
  }

  /** The oldest requests over all lanes, round robin; for re-checking. */
  oldest(count: number): readonly Request[] {
    const found = new Map<Digest, Request>();
    for (const lane of this.#lanes.values()) {
      for (const request of lane.requests.values()) {
        if (found.size >= count) return [...found.values()];
        found.set(request.id, request);
        if (found.size * this.#lanes.size >= count) break;
      }
    }
    return [...found.values()];
  }

  /** A request by id, wherever it waits. */
  find(id: Digest): Request | undefined {
    for (const lane of this.#lanes.values()) {
      const request = lane.requests.get(id);
      if (request !== undefined) return request;
    }
    return undefined;
  }

  /** Forgets the lanes of replicas that are no longer members. */
  retain(peers: ReadonlySet<PeerId>): void {
    for (const [peer, lane] of this.#lanes) {
      if (peer === this.#self || peers.has(peer)) continue;
      this.#lanes.delete(peer);
      for (const id of lane.requests.keys()) {
        const left = (this.#ids.get(id) ?? 1) - 1;
        if (left > 0) this.#ids.set(id, left);
        else this.#ids.delete(id);
      }
    }
  }

  /** All of them, one that is in several lanes as often; for checks of the bounds. */
  *requests(): Generator<Request> {
    for (const lane of this.#lanes.values()) yield* lane.requests.values();
  }

  /** Requests and bytes per lane, for checks of the bounds. */
  sizes(): readonly { readonly peer: PeerId; readonly requests: number; readonly bytes: number }[] {
    return [...this.#lanes].map(([peer, { requests, bytes }]) => ({
      peer,
      requests: requests.size,
      bytes,
    }));
  }

  #lane(peer: PeerId): Lane {
    let lane = this.#lanes.get(peer);
    if (lane === undefined) {
      lane = { requests: new Map(), waiting: new Map(), bytes: 0 };
      this.#lanes.set(peer, lane);
    }
    return lane;
  }

  /**
   * A peer may hand in the next requests when it has committed a batch that we have not committed yet.
   * Without room for one batch more they would be dropped, and we be suspected of leaving them out.
   */
  #requestsMax(peer: PeerId): number {
    const { poolRequestsMax, laneRequestsMax, batchRequestsMax } = this.#limits;
    return peer === this.#self ? poolRequestsMax : laneRequestsMax + batchRequestsMax;
  }

  #bytesMax(peer: PeerId): number {
    const { poolBytesMax, laneBytesMax, batchBytesMax } = this.#limits;
    return peer === this.#self ? poolBytesMax : laneBytesMax + batchBytesMax;
  }
}
