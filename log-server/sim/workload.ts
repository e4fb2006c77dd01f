// Clients: they submit requests through gateways, and try again elsewhere until they are answered (Q7).
// Now and then the operators of the log change its roster.
import { publicKeyHex } from '../../verifier/ed25519.ts';
import { thresholds } from '../../verifier/quorum.ts';
import type { Roster } from '../../verifier/roster.ts';
import { type Member, simRoster } from './nodes.ts';
import { TICK_UNITS, type Process } from './process.ts';
import { Random } from './random.ts';
import type { SimRequest } from './requests.ts';
import type { World } from './world.ts';

/**
 * Requests per tick after the faults: below what views of traitors in between leave room for, and so
 * many that in a `chaos` world the view timer alone never replaces a leader that serves only some (Q5).
 */
const LATE_LOAD = { chaos: 0.4, other: 0.15 };

/** The clients of a world. */
export class Workload {
  readonly #world: World;
  readonly #random: Random;
  readonly #expected: SimRequest[] = [];
  /** Where each request was taken, since the last call of `finish`. */
  readonly #taken = new Map<SimRequest, Process>();
  #awaited: readonly SimRequest[] = [];
  #rostersLeft: number;
  #active = true;
  #isLate = false;

  constructor(world: World) {
    this.#world = world;
    this.#random = new Random(`workload ${world.options.seed}`);
    this.#rostersLeft = world.options.rosterChanges;
    this.#plan();
  }

  /** Requests from before the end of the faults that are not in the log yet. */
  get open(): readonly SimRequest[] {
    const { log, roster } = this.#world.monitor;
    return this.#awaited.filter(
      ({ id, roster: next }) =>
        log.heightOf(id) === undefined && (next === undefined || next.previous === roster.hash),
    );
  }

  get submitted(): number {
    return this.#expected.length;
  }

  #plan(): void {
    this.#world.after(TICK_UNITS, async () => {
      if (!this.#active) return;
      await this.#tick();
      this.#plan();
    });
  }

  async #tick(): Promise<void> {
    const { options } = this.#world;
    const wanted = this.#isLate
      ? LATE_LOAD[options.family === 'chaos' ? 'chaos' : 'other']
      : options.load;
    for (let load = wanted; load > 0; load--) {
      if (this.#random.chance(Math.min(load, 1))) await this.#submitNew();
    }
    if (this.#rostersLeft > 0 && this.#random.chance(0.01)) {
      this.#rostersLeft -= 1;
      await this.#changeRoster();
    }
  }

  async #submitNew(): Promise<void> {
    const gateways = this.#world.processes.filter(({ isUp }) => isUp);
    const gateway = this.#random.pick(gateways);
    if (gateway === undefined) return;
    await this.#submit(this.#new(), gateway);
  }

  #new(): SimRequest {
    const { artifacts } = this.#world.options;
    const request = this.#world.register.issue({
      artifact: artifacts > 0 && this.#random.chance(artifacts),
      bytesMin: this.#random.chance(0.1) ? this.#random.below(600) : 0,
    });
    this.#expected.push(request);
    return request;
  }

  async #submit(request: SimRequest, gateway: Process): Promise<void> {
    const taken = await gateway.submit(request);
    if (taken && !this.#world.adversary.isTraitor(gateway.node.peer))
      this.#taken.set(request, gateway);
    this.#world.trace.note(
      this.#world.now,
      gateway.node.name,
      () => `${taken ? 'takes' : 'turns away'} request ${request.serial}`,
    );
  }

  /** Another roster: other weights, a member more or less. Traitors keep within the next B. */
  async #changeRoster(): Promise<void> {
    const { roster, processes } = this.#world;
    const members = this.#nextMembers(roster);
    if (members === undefined) return;
    const total = members.reduce((sum, { weight }) => sum + weight, 0);
    const next = simRoster(members, Math.floor((total - 1) / 3), roster);
    const request = this.#world.register.issue({ roster: next });
    this.#expected.push(request);
    for (const gateway of this.#random.shuffled(processes).slice(0, 3)) {
      if (gateway.isUp) await this.#submit(request, gateway);
    }
  }

  #nextMembers(roster: Roster): readonly Member[] | undefined {
    const { processes, options } = this.#world;
    const members: Member[] = roster.replicas.map(({ voteKey, weight }) => ({
      node: processes.findIndex(({ node }) => node.peer === publicKeyHex(voteKey)),
      weight,
    }));
    const spare = processes.find(
      ({ node }) => !members.some((member) => member.node === node.index),
    );
    const next = [...members];
    switch (this.#random.below(4)) {
      case 0:
        if (spare !== undefined) next.push({ node: spare.node.index, weight: 1 });
        break;
      case 1:
        if (next.length > 4) next.splice(this.#random.below(next.length), 1);
        break;
      case 2: {
        const at = this.#random.below(next.length);
        const member = next[at];
        if (member !== undefined) next[at] = { ...member, weight: this.#random.between(1, 3) };
        break;
      }
      default:
        next.push(...next.splice(0, 1));
    }
    const weights = next.map(({ weight }) => weight);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const { faulty } = thresholds(weights, Math.floor((total - 1) / 3));
    const lost = [...options.lostDisks, ...options.treasons.map(({ node }) => node)];
    const bad = next
      .filter(({ node }) => lost.includes(node))
      .reduce((sum, { weight }) => sum + weight, 0);
    return bad <= faulty ? next : undefined;
  }

  /** No more new requests but these: one through each correct member, and everything still open again. */
  async finish(): Promise<void> {
    // What was taken before may have been in the memory of a machine that was switched off.
    this.#taken.clear();
    this.#rostersLeft = 0;
    for (const gateway of this.#world.correctMembers) await this.#submit(this.#new(), gateway);
    // Others go on, in half of the worlds: a leader that serves them must not pass anybody over.
    this.#active = this.#world.options.loadGoesOn;
    this.#isLate = true;
    this.#awaited = [...this.#expected];
  }

  /** Clients whom no present member has taken a request from ask at another one (Q7). */
  async retry(): Promise<void> {
    const gateways = this.#world.correctMembers.filter(({ isUp }) => isUp);
    for (const request of this.open) {
      // A gateway that is no member any more can do nothing for its clients.
      const taken = this.#taken.get(request);
      if (taken !== undefined && gateways.includes(taken)) continue;
      const gateway = this.#random.pick(gateways);
      if (gateway !== undefined) await this.#submit(request, gateway);
    }
  }
}
