// One run: a time of faults, then an end of all faults but the traitors, and the demand that everything
// comes to its end (I13). The same seed always gives the same run (I15).
import type { Message } from '../consensus/types.ts';
import { without } from './faults.ts';
import { lackedProof } from './evidence-checker.ts';
import { Nemesis } from './nemesis.ts';
import { TICK_UNITS } from './process.ts';
import { type Wishes, type WorldOptions, drawWorld } from './swarm.ts';
import { type Verdict, judgeFork } from './tribunal.ts';
import { Violation } from './violation.ts';
import { Workload } from './workload.ts';
import { World } from './world.ts';

/** What became of a run. */
export interface RunResult {
  readonly seed: number;
  readonly options: WorldOptions;
  readonly violation: Violation | undefined;
  /** The log has forked, which only too many traitors can do, and this is who did it. */
  readonly verdict: Verdict | undefined;
  readonly fingerprint: string;
  readonly lines: readonly string[];
  readonly messages: number;
  readonly arrived: ReadonlyMap<Message['kind'], number>;
  /** Entries of proposals that correct followers had been sent ahead; of processes that still run. */
  readonly prefetched: number;
  readonly commits: number;
  readonly height: number;
  readonly viewChanges: number;
  readonly epochs: number;
  readonly crashes: number;
  readonly evidence: number;
  /** Ticks from the end of the faults to the end of the run. */
  readonly convergenceTicks: number;
  /** Views that were entered in that time. */
  readonly convergenceViews: number;
}

/** How often it is looked whether all is done, and how often clients ask again, in ticks. */
const LOOK_TICKS = 5;
const RETRY_TICKS = 50;
/** Time for each request that is left over from the faults, in ticks. */
const TICKS_PER_REQUEST = 10;

/** Runs a seed. */
export async function runSeed(wishes: Wishes, verbose = false): Promise<RunResult> {
  const options = without(drawWorld(wishes), wishes.without ?? []);
  return runWorld(options, verbose);
}

/**
 * Runs a world.
 *
 * @param prepare may interfere once all machines have been started
 */
export async function runWorld(
  options: WorldOptions,
  verbose = false,
  prepare: (world: World) => void = () => undefined,
): Promise<RunResult> {
  const world = new World(options, verbose);
  const run = new Run(world, prepare);
  let violation: Violation | undefined;
  let verdict: Verdict | undefined;
  try {
    verdict = await judged(world, () => run.all());
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = error;
    world.trace.note(world.now, '!!', () => error.message);
  }
  const { counters } = world.monitor;
  return {
    seed: options.seed,
    options,
    violation,
    verdict,
    fingerprint: world.trace.fingerprint,
    lines: world.trace.lines,
    messages: world.messages,
    arrived: world.arrived,
    prefetched: world.correct.reduce(
      (sum, { replica }) => sum + (replica?.summary.prefetched.used ?? 0),
      0,
    ),
    commits: counters.commits,
    height: world.monitor.log.height,
    viewChanges: counters.viewChanges,
    epochs: counters.epochs,
    crashes: counters.crashes,
    evidence: counters.evidence,
    convergenceTicks: run.convergenceTicks,
    convergenceViews: run.convergenceViews,
  };
}

/** Runs to the end, or to a fork that had to be feared; then those who made it are looked for. */
async function judged(world: World, all: () => Promise<void>): Promise<Verdict | undefined> {
  try {
    await all();
    return undefined;
  } catch (error) {
    const isFork = error instanceof Violation && error.invariant === 'I1';
    if (!isFork || world.options.family !== 'beyond') throw error;
    const verdict = judgeFork(world);
    if (verdict === undefined) throw error;
    return verdict;
  }
}

class Run {
  readonly #world: World;
  readonly #prepare: (world: World) => void;
  #healedAt = 0;
  #viewsAtHealing = 0;

  constructor(world: World, prepare: (world: World) => void) {
    this.#world = world;
    this.#prepare = prepare;
  }

  get convergenceTicks(): number {
    return this.#healedAt === 0 ? 0 : Math.ceil((this.#world.now - this.#healedAt) / TICK_UNITS);
  }

  get convergenceViews(): number {
    return Math.max(0, this.#view - this.#viewsAtHealing);
  }

  get #view(): number {
    return Math.max(...this.#world.correct.map(({ replica }) => replica?.summary.view ?? 0));
  }

  async all(): Promise<void> {
    const world = this.#world;
    const { options } = world;
    for (const process of world.processes) process.start();
    this.#prepare(world);
    const nemesis = new Nemesis(world);
    const workload = new Workload(world);
    await world.run(options.faultTicks * TICK_UNITS);
    this.#requireOusted();
    this.#healedAt = world.now;
    this.#viewsAtHealing = this.#view;
    world.trace.note(world.now, '--', () => 'the faults are over');
    nemesis.callOff();
    world.network.heal(options.healed);
    await world.run(world.now + 2 * TICK_UNITS);
    if (options.family === 'beyond') {
      // Nothing is promised but that nobody is deceived for good: the log may stand still.
      await world.run(world.now + options.faultTicks * TICK_UNITS);
      return;
    }
    await workload.finish();
    await this.#converge(workload);
    if (['calm', 'crowded', 'restarts'].includes(options.family)) this.#requireCalm();
    world.trace.mixText(world.monitor.log.digestAt(world.monitor.log.height) ?? '');
  }

  /** I13. */
  async #converge(workload: Workload): Promise<void> {
    const world = this.#world;
    const ticks = convergenceTicksMax(world.options) + TICKS_PER_REQUEST * workload.open.length;
    const deadline = world.now + ticks * TICK_UNITS;
    for (let round = 0; world.now < deadline; round++) {
      if (round % (RETRY_TICKS / LOOK_TICKS) === 0) await workload.retry();
      await world.run(world.now + LOOK_TICKS * TICK_UNITS);
      if (this.#isDone(workload)) return;
    }
    throw new Violation('I13', `no convergence: ${this.#missing(workload)}`);
  }

  #isDone(workload: Workload): boolean {
    return this.#missing(workload) === '';
  }

  /** What is still to come, in words. */
  #missing(workload: Workload): string {
    const { monitor, processes, adversary } = this.#world;
    const { open } = workload;
    if (open.length > 0) return `${open.length} requests are not committed`;
    const { height } = monitor.log;
    this.#target ??= height;
    if (monitor.cosignedHeight < this.#target) return `no quorum cosigned height ${this.#target}`;
    const behind = processes.find(
      (process) =>
        !adversary.isTraitor(process.node.peer) && process.disk.height < (this.#target ?? 0),
    );
    if (behind !== undefined) {
      return `${behind.node.name} is behind at ${behind.disk.height} of ${this.#target}`;
    }
    return lackedProof(this.#world) ?? '';
  }

  /** The height with which all requests were committed. */
  #target: number | undefined;

  /** Where nothing else is wrong, a leader that harms the log is replaced, and not by itself. */
  #requireOusted(): void {
    const { options, processes, correctMembers } = this.#world;
    if (options.ousted === undefined) return;
    const peer = processes[options.ousted]?.node.peer;
    const led = correctMembers.find(({ replica }) => replica?.summary.leader === peer);
    if (led === undefined) return;
    const height = this.#world.monitor.log.height;
    throw new Violation('fairness', `${led.node.name} is still led so after ${height} heights`);
  }

  /** A leader without a fault is not suspected, by nobody, and not left. */
  #requireCalm(): void {
    const { counters, wishes } = this.#world.monitor;
    const { viewChanges } = counters;
    const suspicions = wishes.get('starved') ?? 0;
    if (suspicions > 0) {
      throw new Violation('fairness', `${suspicions} times the leader was suspected of starving`);
    }
    if (viewChanges > 0) {
      throw new Violation('fairness', `view ${viewChanges} was entered although nothing was wrong`);
    }
  }
}

/**
 * Ticks within which everything has to come to its end: time-outs may have doubled to the most during
 * the faults, and every traitor in a row may lead once and waste its view.
 */
export function convergenceTicksMax({ timing, members }: WorldOptions): number {
  const longest = timing.viewTicks * 2 ** timing.viewDoublingsMax;
  return 400 + longest * (Math.floor((members.length - 1) / 3) + 4);
}
