// One replica process: the driver of the real consensus core on a simulated machine. It does what
// types.ts asks of a driver, in order, and can be cut off between any two effects.
import { createHash } from 'node:crypto';
import { VerifyError, assert } from '../../verifier/errors.ts';
import { formatCheckpoint } from '../../verifier/checkpoint.ts';
import { cosignatureMessage } from '../../verifier/cosignature.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { collectBatches } from '../consensus/catch-up.ts';
import { Replica } from '../consensus/replica.ts';
import type {
  AdmitRequest,
  BuildRequest,
  BuildResult,
  CheckRequest,
  CheckResult,
  Config,
  Digest,
  Input,
  Limits,
  LookAheadRequest,
  Message,
  Misbehaviour,
  PeerId,
  PersistRequest,
  Ready,
  Request,
  ServeRequest,
  SignRequest,
  Timing,
  VerifiedMessage,
} from '../consensus/types.ts';
import type { MutantName } from '../../verifier/replication/mutants.ts';
import { planMessage } from '../../verifier/replication/verify-message.ts';
import type { Disk } from './disk.ts';
import type { Action } from './event-queue.ts';
import type { SimLedger } from './ledger.ts';
import { ORIGIN, type SimNode } from './nodes.ts';
import type { Random } from './random.ts';
import type { RequestRegister } from './requests.ts';
import type { Signatures } from './signatures.ts';
import { Violation } from './violation.ts';

/** Units of world time in a tick of the core. */
export const TICK_UNITS = 10;
/** Wall-clock milliseconds in a unit: a tick is 20 ms, as in production. */
const UNIT_MS = 2;
/** Wall clock at the beginning of every world. */
const START_MS = Date.UTC(2026, 0, 1);

/** Every so many messages one is received twice. */
const REPLAY_EVERY = 16;
/** What must have no effect the second time. STATUS, FORWARD and GET may be answered again. */
const REPLAYED: ReadonlySet<Message['kind']> = new Set([
  'pre-prepare',
  'prepare',
  'commit',
  'cosign',
  'view-change',
  'new-view',
  'body',
  'batches',
  'evidence',
  'prefetch',
] as const);

/** How fast a machine is; delays in units, drawn evenly from 0 to these. */
export interface Pace {
  readonly diskUnits: number;
  readonly applicationUnits: number;
  readonly verificationUnits: number;
}

/** What a process needs of the world around it. */
export interface Surroundings {
  readonly now: number;
  readonly signatures: Signatures;
  readonly register: RequestRegister;
  readonly monitor: ProcessMonitor;
  readonly random: Random;
  readonly limits: Limits;
  readonly timing: Timing;
  readonly mutants: ReadonlySet<MutantName>;
  after(units: number, action: Action): void;
  send(from: Process, to: PeerId, message: Message): void;
  /** Whether an artifact can be had from one of these machines now. */
  fetchArtifact(to: Process, id: Digest, holders: readonly PeerId[]): boolean;
}

/** Told what happens; throws `Violation`. */
export interface ProcessMonitor {
  started(process: Process): void;
  stepped(process: Process, input: Input, ready: Ready): void;
  signing(process: Process, request: SignRequest, time: number): void;
  durable(process: Process, request: PersistRequest): void;
  crashed(process: Process): void;
  replayed(process: Process, input: Input, before: string, ready: Ready, after: string): void;
}

/** Takes part in the traffic of a faulty machine; see byzantine.ts. */
export interface Puppeteer {
  /** What leaves instead of this message. */
  outbound(to: PeerId, message: Message): readonly Message[];
  /** Whether the message reaches the machine's own core. */
  inbound(from: PeerId, message: Message): boolean;
  /** Told about a batch in the making; may build others for the same place. */
  built(
    request: BuildRequest,
    build: (request: BuildRequest, timeMs: number) => BuildResult | Promise<BuildResult>,
  ): void;
  censored(requests: readonly Request[]): readonly Request[];
  tick(): void;
}

/** A crash cuts the handling of an effect short. */
class Crashed extends Error {}

/** A machine with its process, running or not. */
export class Process {
  readonly node: SimNode;
  readonly pace: Pace;
  readonly artifacts: Set<Digest> = new Set();
  disk: Disk;
  puppeteer: Puppeteer | undefined;
  /** Own name on the network; a machine that lost its disk only learns (C5). */
  identity: PeerId;
  clockOffsetMs = 0;
  /** Effects until the process is cut off; undefined when it is not going to be. */
  effectsLeft: number | undefined;
  /** The next write to disk fails (C6). */
  diskFails = false;
  /** Until when nothing is processed: a garbage collection, a stopped machine. */
  stalledUntil = 0;
  /** Messages of no use, by reason. */
  readonly ignored: Map<string, number> = new Map();
  readonly #world: Surroundings;
  #replica: Replica | undefined;
  #incarnation = 0;
  /** When disk, execution and admission are through with what they were asked so far. */
  readonly #busyUntil = { disk: 0, execution: 0, admission: 0 };
  #pending: PersistRequest[] = [];
  readonly #inputs: Input[] = [];
  #running = false;
  #wallMsMax = 0;
  #failed = false;
  #effectCount = 0;
  #received = 0;

  constructor(world: Surroundings, node: SimNode, disk: Disk, pace: Pace) {
    this.#world = world;
    this.node = node;
    this.disk = disk;
    this.pace = pace;
    this.identity = node.peer;
  }

  get replica(): Replica | undefined {
    return this.#replica;
  }

  get isUp(): boolean {
    return this.#replica !== undefined;
  }

  /** Whether it stopped by itself because its disk failed (C6). */
  get hasFailed(): boolean {
    return this.#failed;
  }

  get ledger(): SimLedger {
    return this.disk.ledger;
  }

  /** Effects so far, over all lives. */
  get effectCount(): number {
    return this.#effectCount;
  }

  get wallMs(): number {
    return START_MS + this.#world.now * UNIT_MS + this.clockOffsetMs;
  }

  /** The latest time that the core and the application have been told. */
  get wallMsMax(): number {
    return this.#wallMsMax;
  }

  // ---- life

  start(): void {
    assert(this.#replica === undefined, 'a machine runs one process');
    const { limits, timing, mutants } = this.#world;
    const config: Config = {
      self: this.identity,
      limits,
      timing,
      mutants,
      createHash: () => createHash('sha256'),
      entryOf: this.ledger.entryOf,
    };
    this.#incarnation += 1;
    const { now } = this.#world;
    Object.assign(this.#busyUntil, { disk: now, execution: now, admission: now });
    this.#failed = false;
    this.diskFails = false;
    this.#replica = this.#restore(config);
    this.#world.monitor.started(this);
    this.#scheduleTick(this.#world.random.below(TICK_UNITS));
    this.#later(0, () => {
      for (const report of this.disk.proofs) this.step({ kind: 'evidence-kept', report });
    });
  }

  /** C5: a replica that can't read its own promises must not vote; a correct one always can. */
  #restore(config: Config): Replica {
    try {
      return new Replica(config, this.disk.durableState());
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      throw new Violation('I5', `its own records are malformed: ${error.message}`);
    }
  }

  #scheduleTick(units: number): void {
    this.#later(units, () => {
      this.#scheduleTick(Math.max(TICK_UNITS, this.stalledUntil - this.#world.now));
      if (this.stalledUntil > this.#world.now) return;
      this.#wallMsMax = Math.max(this.#wallMsMax, this.wallMs);
      this.step({ kind: 'tick', wallMs: this.wallMs });
      this.puppeteer?.tick();
    });
  }

  /**
   * Power off, in the middle of whatever goes on. Of the writes that were not confirmed yet, some
   * prefix is found on the disk afterwards.
   *
   * @param survivors how many of the waiting transactions that is
   */
  crash(survivors: number): void {
    if (this.#replica === undefined) return;
    const written = this.#pending.slice(0, survivors);
    this.#replica = undefined;
    this.#incarnation += 1;
    this.#pending = [];
    this.#inputs.length = 0;
    this.effectsLeft = undefined;
    this.#world.monitor.crashed(this);
    this.#world.after(0, async () => {
      for (const request of written) {
        await this.disk.apply(request.writes);
        this.#world.monitor.durable(this, request);
      }
    });
  }

  /** Transactions that are written but not confirmed. */
  get waitingWrites(): number {
    return this.#pending.length;
  }

  #later(units: number, action: Action): void {
    const life = this.#incarnation;
    this.#world.after(units, () => (this.#incarnation === life ? action() : undefined));
  }

  /** One effect has taken place; the place where a crash may cut the rest off. */
  #effect(): void {
    this.#effectCount += 1;
    if (this.effectsLeft === undefined) return;
    this.effectsLeft -= 1;
    if (this.effectsLeft <= 0) throw new Crashed();
  }

  // ---- inputs

  /** A message has arrived: is it of use, is it signed, then to the core. */
  receive(from: PeerId, message: Message): void {
    const replica = this.#replica;
    if (replica === undefined) return;
    const { now } = this.#world;
    if (this.stalledUntil > now) {
      this.#later(this.stalledUntil - now, () => this.receive(from, message));
      return;
    }
    if (this.puppeteer?.inbound(from, message) === false) return;
    const usefulness = replica.wants(from, message);
    if (!usefulness.useful) {
      this.#count(usefulness.reason);
      return;
    }
    const verified = this.#verify(replica, from, message);
    if (verified === undefined) {
      this.#count('refused');
      return;
    }
    const delay = this.#draw(this.pace.verificationUnits);
    if (delay === 0) this.#take(verified);
    else this.#later(delay, () => this.#take(verified));
  }

  #take(message: VerifiedMessage): void {
    this.step({ kind: 'receive', message });
    this.#received += 1;
    if (this.#received % REPLAY_EVERY === 0) this.#replay(message);
  }

  /** R6, I14: the same once more. Only the effects are looked at, none is carried out. */
  #replay(message: VerifiedMessage): void {
    const replica = this.#replica;
    if (replica === undefined || !REPLAYED.has(message.message.kind)) return;
    const input: Input = { kind: 'receive', message };
    const before = JSON.stringify(replica.summary);
    const ready = replica.step(input);
    this.#world.monitor.replayed(this, input, before, ready, JSON.stringify(replica.summary));
  }

  #verify(replica: Replica, from: PeerId, message: Message): VerifiedMessage | undefined {
    try {
      const plan = planMessage(from, message, replica.context, () => createHash('sha256'));
      return plan.finish(plan.jobs.map((job) => this.#world.signatures.verify(job)));
    } catch (error) {
      if (error instanceof VerifyError) return undefined;
      throw error;
    }
  }

  #count(reason: string): void {
    this.ignored.set(reason, (this.ignored.get(reason) ?? 0) + 1);
  }

  /** A client hands in a request. @returns whether this machine took it */
  async submit(request: Request): Promise<boolean> {
    const replica = this.#replica;
    // One that is no member yet, or no more, could only keep the client waiting.
    if (replica?.summary.self === undefined) return false;
    if (!replica.hasRoomFor(request.bytes.length)) return false;
    if ((await this.ledger.admit(request)) !== 'accepted') return false;
    if (this.#world.register.find(request.id)?.artifact === true) this.artifacts.add(request.id);
    this.step({ kind: 'submit', request: { id: request.id, bytes: request.bytes } });
    return true;
  }

  /** Takes an input, and all those that follow from it at once. */
  step(input: Input): void {
    this.#inputs.push(input);
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        const replica = this.#replica;
        if (replica === undefined) return;
        const ready = replica.step(next);
        this.#world.monitor.stepped(this, next, ready);
        this.#carryOut(ready);
      }
    } catch (error) {
      if (!(error instanceof Crashed)) throw error;
      this.crash(this.#world.random.below(this.#pending.length + 1));
    } finally {
      this.#running = false;
    }
  }

  // ---- effects

  #carryOut(ready: Ready): void {
    if (ready.persist !== undefined) this.#persist(ready.persist);
    for (const request of ready.sign) this.#sign(request);
    for (const { to, message } of ready.send) {
      for (const peer of to) this.#send(peer, message);
    }
    if (ready.build !== undefined) this.#build(ready.build);
    for (const request of ready.check) this.#check(request);
    for (const request of ready.admit) this.#admit(request);
    for (const request of ready.serve) this.#serve(request);
    for (const report of ready.evidence) this.#keep(report);
    for (const request of ready.lookAhead) this.#lookAhead(request);
  }

  /** What somebody says will be proposed: its artifacts come before it is voted on, or not. */
  #lookAhead({ from, requests }: LookAheadRequest): void {
    this.#queue('admission', async () => {
      for (const request of requests) {
        const isArtifact = this.#world.register.find(request.id)?.artifact === true;
        if (!isArtifact || (await this.ledger.admit(request)) !== 'accepted') continue;
        this.#obtainArtifact(request.id, [from]);
      }
    });
  }

  /** Proofs are files of their own: they wait for the disk like everything else, and for nothing else. */
  #keep(report: Misbehaviour): void {
    this.#queue('disk', () => {
      const isKept = !this.diskFails && !this.#failed;
      if (isKept) this.disk.keepProof(report);
      this.step({ kind: isKept ? 'evidence-kept' : 'evidence-lost', report });
    });
  }

  #persist(request: PersistRequest): void {
    this.#pending.push(request);
    this.#queue('disk', async () => {
      if (this.diskFails) {
        this.#failed = true;
        this.step({ kind: 'persist-failed' });
        return;
      }
      // After a failed write nothing is ever confirmed again.
      if (this.#failed) return;
      this.#pending.shift();
      await this.disk.apply(request.writes);
      this.#world.monitor.durable(this, request);
      this.step({ kind: 'persisted', token: request.token });
    });
    this.#effect();
  }

  /**
   * Does something behind everything of its kind and behind all writes so far. Votes wait for bodies,
   * but not for the admission of clients' requests: a flood of those would stop the log.
   */
  #queue(kind: 'disk' | 'execution' | 'admission', action: Action): void {
    const { now } = this.#world;
    const busy = this.#busyUntil;
    const unitsMax = kind === 'disk' ? this.pace.diskUnits : this.pace.applicationUnits;
    busy[kind] = Math.max(busy[kind], busy.disk, now) + this.#draw(unitsMax);
    this.#later(busy[kind] - now, action);
  }

  #draw(unitsMax: number): number {
    return unitsMax === 0 ? 0 : this.#world.random.below(unitsMax + 1);
  }

  #sign(request: SignRequest): void {
    const { signatures, monitor } = this.#world;
    const time = Math.floor(this.wallMs / 1000);
    monitor.signing(this, request, time);
    if (request.key === 'vote') {
      const signature = signatures.sign(this.node.voteKey, request.bytes);
      this.#inputs.push({ kind: 'signed', request, signature });
    } else {
      const { size, root } = request;
      const text = formatCheckpoint({ origin: ORIGIN, size, root: decodeHex(root) });
      const signature = signatures.sign(this.node.cosignKey, cosignatureMessage(text, time));
      this.#inputs.push({ kind: 'cosigned', request, time, signature });
    }
    this.#effect();
  }

  #send(to: PeerId, message: Message): void {
    const messages = this.puppeteer?.outbound(to, message) ?? [message];
    for (const actual of messages) this.#world.send(this, to, actual);
    this.#effect();
  }

  #build(request: BuildRequest): void {
    this.#queue('execution', async () => {
      const { limits } = this.#world;
      const held = request.requests.filter(({ id }) => this.#holds(id));
      const requests = this.puppeteer?.censored(held) ?? held;
      const actual = { ...request, requests };
      this.puppeteer?.built(actual, (asked, timeMs) => this.ledger.build(asked, timeMs, limits));
      this.#wallMsMax = Math.max(this.#wallMsMax, this.wallMs);
      const result = await this.ledger.build(actual, this.wallMs, limits);
      this.step({ kind: 'built', token: request.token, result });
    });
  }

  #holds(id: Digest): boolean {
    return this.#world.register.find(id)?.artifact !== true || this.artifacts.has(id);
  }

  #check(request: CheckRequest): void {
    this.#queue('execution', async () => {
      const result = await this.#checkResult(request);
      this.step({ kind: 'checked', token: request.token, result });
    });
  }

  async #checkResult({ header, body, decided, holders }: CheckRequest): Promise<CheckResult> {
    const validity = await this.ledger.check({ header, body }, this.#world.limits);
    if (validity.kind === 'invalid') return validity;
    const { ids, nextRoster, artifacts } = validity;
    if (decided) return { kind: 'valid', ids, nextRoster };
    for (const id of artifacts) {
      if (!this.#obtainArtifact(id, holders)) return { kind: 'unavailable', reason: id };
    }
    return { kind: 'valid', ids, nextRoster };
  }

  #obtainArtifact(id: Digest, holders: readonly PeerId[]): boolean {
    if (this.artifacts.has(id)) return true;
    if (!this.#world.fetchArtifact(this, id, holders)) return false;
    this.artifacts.add(id);
    return true;
  }

  #admit({ lane, recheck, requests }: AdmitRequest): void {
    this.#queue('admission', async () => {
      const accepted: Request[] = [];
      const refused: Digest[] = [];
      for (const request of requests) {
        const isFine =
          (await this.ledger.admit(request)) === 'accepted' &&
          (this.#holds(request.id) || this.#obtainArtifact(request.id, [lane]));
        if (isFine) accepted.push(request);
        else refused.push(request.id);
      }
      this.step({ kind: 'admitted', answer: { lane, recheck, accepted, refused } });
    });
  }

  #serve({ to, fromHeight }: ServeRequest): void {
    this.#queue('admission', () => {
      const message = collectBatches(this.disk.batchesFrom(fromHeight));
      if (message === undefined) return;
      try {
        this.#send(to, message);
      } catch (error) {
        if (!(error instanceof Crashed)) throw error;
        this.crash(this.#world.random.below(this.#pending.length + 1));
      }
    });
  }
}
