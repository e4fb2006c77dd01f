// Machines, wires, disks, clocks and clients, in one thread and in one order: everything that happens
// follows from the seed.
import { assert } from '../../verifier/errors.ts';
import type { Roster } from '../../verifier/roster.ts';
import type { Digest, Limits, Message, PeerId, Request, Timing } from '../consensus/types.ts';
import type { MutantName } from '../../verifier/replication/mutants.ts';
import { Adversary } from './adversary.ts';
import { behaviourNamed } from './behaviours.ts';
import { Disk } from './disk.ts';
import { type Action, EventQueue } from './event-queue.ts';
import type { SimLedger } from './ledger.ts';
import { Monitor, nameOf, peersOf } from './monitor.ts';
import { Network } from './network.ts';
import { simNode, simRoster } from './nodes.ts';
import { Process, type Surroundings, TICK_UNITS } from './process.ts';
import { Puppet, type Stage } from './puppet.ts';
import { Random } from './random.ts';
import { RealLedger, statementFormat } from './real-ledger.ts';
import { RequestRegister, textFormat } from './requests.ts';
import { RegisteredSignatures, type Signatures, realSignatures } from './signatures.ts';
import type { WorldOptions } from './swarm.ts';
import { ToyLedger } from './toy-ledger.ts';
import type { Split } from './traitors.ts';
import { Trace } from './trace.ts';

const MESSAGE_CODES: { readonly [K in Message['kind']]: number } = {
  'pre-prepare': 1,
  prepare: 2,
  commit: 3,
  cosign: 4,
  status: 5,
  forward: 6,
  'get-body': 7,
  body: 8,
  'get-batches': 9,
  batches: 10,
  'view-change': 11,
  'new-view': 12,
  evidence: 13,
  prefetch: 14,
};

/** A message on its way. */
export interface Sending {
  readonly from: Process;
  readonly to: Process;
  readonly message: Message;
}

/** A simulated world. */
export class World implements Surroundings, Stage {
  readonly options: WorldOptions;
  readonly register: RequestRegister;
  readonly signatures: Signatures;
  readonly monitor: Monitor;
  readonly network: Network;
  readonly trace: Trace;
  readonly processes: readonly Process[];
  readonly adversary: Adversary;
  readonly limits: Limits;
  readonly timing: Timing;
  readonly mutants: ReadonlySet<MutantName>;
  /** For machines: delays of disks and applications, what survives a crash. */
  readonly random: Random;
  messages = 0;
  /** Messages that arrived, by kind. */
  readonly arrived: Map<Message['kind'], number> = new Map();
  /** Takes messages off the wire, for scripts that decide about each of them. */
  interceptor: ((sending: Sending) => boolean) | undefined;
  #now = 0;
  readonly #queue = new EventQueue();
  readonly #byPeer = new Map<PeerId, readonly Process[]>();
  readonly #backups = new Map<Process, Disk>();
  /** Which of two twins somebody can reach at present. */
  #twinSides = new Map<PeerId, number>();
  readonly #twinRandom: Random;

  constructor(options: WorldOptions, verbose = false) {
    const { seed, members, faultyWeight, spares, treasons } = options;
    this.options = options;
    this.trace = new Trace(verbose);
    this.signatures = options.realSignatures ? realSignatures : new RegisteredSignatures();
    this.register = new RequestRegister(
      options.ledger === 'real' ? statementFormat(this.signatures) : textFormat,
    );
    this.limits = options.limits;
    this.timing = options.timing;
    this.mutants = options.mutants;
    this.random = new Random(`machines ${seed}`);
    this.#twinRandom = new Random(`twins ${seed}`);
    const roster = simRoster(members, faultyWeight);
    const traitors = treasons.map(({ node }) => simNode(node));
    this.adversary = new Adversary(traitors, this.signatures);
    this.monitor = new Monitor({
      signatures: this.signatures,
      isTraitor: (peer) => this.adversary.isTraitor(peer),
      limits: this.limits,
      roster,
      mayFork: options.family === 'beyond',
      read: (entry) => this.register.ofEntry(entry)?.id,
      note: (process, text) => this.trace.note(this.#now, process.node.name, text),
    });
    const count = members.length + spares;
    this.network = new Network(options.network, new Random(`network ${seed}`), count);
    this.processes = this.#makeProcesses(roster, count);
    for (const process of this.processes) this.#register(process);
    this.#makePuppets(new Random(`adversary ${seed}`));
  }

  #makeProcesses(roster: Roster, count: number): readonly Process[] {
    const make = (index: number): Process => {
      const pace = this.options.paces[index] ?? PACE;
      return new Process(this, simNode(index), new Disk(roster, this.#newLedger(roster)), pace);
    };
    const nodes = Array.from({ length: count }, (_, i) => i);
    const twins = this.options.treasons.filter(({ twins }) => twins).map(({ node }) => node);
    return [...nodes, ...twins].map(make);
  }

  #newLedger(roster: Roster): SimLedger {
    return this.options.ledger === 'real'
      ? new RealLedger(roster, this.register, this.signatures)
      : new ToyLedger(this.register, roster);
  }

  #register(process: Process): void {
    for (const name of [process.node.peer, process.node.learner]) {
      this.#byPeer.set(name, [...(this.#byPeer.get(name) ?? []), process]);
    }
  }

  #makePuppets(random: Random): void {
    for (const { node, behaviours, twins } of this.options.treasons) {
      if (twins) continue;
      const process = this.processes[node];
      assert(process !== undefined, 'a traitor is a machine');
      const chosen = behaviours.map((name) => {
        const behaviour = behaviourNamed(name);
        assert(behaviour !== undefined, `no behaviour is called ${name}`);
        return behaviour;
      });
      process.puppeteer = new Puppet(process, this.adversary, this, random.fork('puppet'), chosen);
    }
  }

  // ---- time

  get now(): number {
    return this.#now;
  }

  after(units: number, action: Action): void {
    this.#queue.add(this.#now + units, action);
  }

  /**
   * Lets time pass.
   *
   * @param until in units
   * @param done asked after each event whether that is enough
   */
  async run(until: number, done: () => boolean = () => false): Promise<void> {
    for (;;) {
      const next = this.#queue.nextTime;
      if (next === undefined || next > until) break;
      this.#now = next;
      const pending = this.#queue.take()?.();
      if (pending !== undefined) await pending;
      if (done()) return;
    }
    this.#now = Math.max(this.#now, until);
  }

  // ---- messages

  send(from: Process, to: PeerId, message: Message): void {
    this.adversary.observe(from.identity, message);
    for (const target of this.#byPeer.get(to) ?? []) {
      if (target === from || target.identity !== to || !this.#meets(from, target)) continue;
      this.#sendTo(from, target, message);
    }
  }

  #sendTo(from: Process, target: Process, message: Message): void {
    if (this.interceptor?.({ from, to: target, message }) === true) return;
    const [source, goal] = [from.node.index, target.node.index];
    const delays = this.network.deliveries(this.#now, source, goal, message);
    if (delays.length === 0) {
      this.trace.note(
        this.#now,
        from.node.name,
        () => `loses ${describe(message)} to ${target.node.name}`,
      );
      return;
    }
    const sent = this.network.transcode(message);
    if (sent === undefined) return;
    for (const delay of delays) this.arrive({ from, to: target, message: sent }, delay);
  }

  /** Lets a message arrive. */
  arrive({ from, to: target, message }: Sending, delay: number): void {
    const sender = from.identity;
    const [source, goal] = [from.node.index, target.node.index];
    this.after(delay, () => {
      this.messages += 1;
      this.arrived.set(message.kind, (this.arrived.get(message.kind) ?? 0) + 1);
      this.trace.mix(this.#now * 4096 + source * 256 + goal * 16 + MESSAGE_CODES[message.kind]);
      this.trace.note(
        this.#now,
        target.node.name,
        () => `gets ${describe(message)} from ${from.node.name}`,
      );
      target.receive(sender, message);
    });
  }

  /** Twins share a name but not their acquaintances. */
  #meets(from: Process, target: Process): boolean {
    const { split, twinsMeetAll } = this.options;
    if (twinsMeetAll === true) return true;
    if (split !== undefined) return this.#areOfOneCamp(from, target, split);
    if (this.#isTwin(target) && this.#sideOf(from) !== this.#instance(target)) return false;
    return !this.#isTwin(from) || this.#sideOf(target) === this.#instance(from);
  }

  #areOfOneCamp(from: Process, target: Process, { second, tick }: Split): boolean {
    const camp = (process: Process): number => {
      if (this.#isTwin(process)) return this.#instance(process);
      return second.includes(process.node.index) ? 1 : 0;
    };
    if (camp(from) === camp(target)) return true;
    return this.#now < tick * TICK_UNITS && !this.#isTwin(from) && !this.#isTwin(target);
  }

  #instance(process: Process): number {
    return (this.#byPeer.get(process.node.peer) ?? []).indexOf(process);
  }

  #isTwin(process: Process): boolean {
    return (this.#byPeer.get(process.node.peer) ?? []).length > 1;
  }

  #sideOf(process: Process): number {
    return this.#twinSides.get(process.node.peer) ?? 0;
  }

  /** Deals the acquaintances of the twins anew. */
  dealTwins(): void {
    this.#twinSides = new Map(
      this.processes.map(({ node }) => [node.peer, this.#twinRandom.below(2)]),
    );
  }

  fetchArtifact(to: Process, id: Digest, holders: readonly PeerId[]): boolean {
    return holders
      .flatMap((peer) => this.#byPeer.get(peer) ?? [])
      .some(
        (holder) =>
          holder.isUp &&
          holder.artifacts.has(id) &&
          !this.network.isCut(this.#now, holder.node.index, to.node.index) &&
          // Traitors give an artifact to every other machine.
          (!this.adversary.isTraitor(holder.node.peer) || to.node.index % 2 === 0),
      );
  }

  // ---- for traitors

  get roster(): Roster {
    return this.monitor.roster;
  }

  ownRequest(artifact = false): Request {
    return this.register.issue({ artifact, foreign: true });
  }

  restartWith(process: Process, disk: 'empty' | 'backup'): void {
    const backup = this.#backups.get(process);
    this.#backups.set(process, process.disk.snapshot());
    process.crash(0);
    process.disk = disk === 'backup' && backup !== undefined ? backup : process.disk.emptied();
    this.after(20, () => {
      if (!process.isUp) process.start();
    });
  }

  // ---- questions

  /** Correct machines that can still vote: neither traitors nor without their disk. */
  get correct(): readonly Process[] {
    return this.processes.filter(
      (process) =>
        !this.adversary.isTraitor(process.node.peer) && process.identity === process.node.peer,
    );
  }

  /** Correct members of the newest roster. */
  get correctMembers(): readonly Process[] {
    const peers = new Set(peersOf(this.roster));
    return this.correct.filter(({ node }) => peers.has(node.peer));
  }
}

const PACE = { diskUnits: 2, applicationUnits: 1, verificationUnits: 0 };

function describe(message: Message): string {
  switch (message.kind) {
    case 'pre-prepare':
      return `PRE-PREPARE view ${message.view} height ${message.header.height}`;
    case 'prepare':
    case 'commit': {
      const { view, height, digest } = message.vote;
      return `${message.kind.toUpperCase()} view ${view} height ${height} ${digest.slice(0, 6)}`;
    }
    case 'view-change':
      return `VIEW-CHANGE into view ${message.viewChange.content.view}`;
    case 'new-view':
      return `NEW-VIEW of view ${message.newView.content.view}`;
    case 'status':
      return `STATUS view ${message.view} wish ${message.wish} height ${message.height}`;
    case 'cosign':
      return `COSIGN size ${message.size}`;
    case 'forward':
      return `FORWARD of ${message.requests.length}`;
    case 'get-batches':
      return `GET from height ${message.fromHeight}`;
    case 'batches':
      return `batches from height ${message.batches[0]?.header.height}`;
    case 'get-body':
      return `GET body ${message.digest.slice(0, 6)}`;
    case 'body':
      return `body of height ${message.batch.header.height}`;
    case 'prefetch':
      return `PREFETCH of ${message.requests.length} for height ${message.height}`;
    case 'evidence':
      return `EVIDENCE ${message.report.rule} against ${nameOf(message.report.accused)}`;
  }
}
