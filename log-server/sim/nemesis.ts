// What happens to machines while there are faults: power cuts between any two effects, disks that fail
// or are lost, clocks that jump, processes that stand still.
import { Random } from './random.ts';
import { TICK_UNITS, type Process } from './process.ts';
import type { World } from './world.ts';

/** Effects after which a process is cut off, at most. */
const EFFECTS_MAX = 40;
/** Clocks of correct machines agree to this after the faults, milliseconds. */
const HEALED_SKEW_MS = 1_000;
/** Every how many units the twins' acquaintances are dealt anew. */
const TWINS_UNITS = 200;

/** Plagues a world until it is called off. */
export class Nemesis {
  readonly #world: World;
  readonly #machines: Random;
  readonly #clocks: Random;
  readonly #downUntil = new Map<Process, number>();
  readonly #lost = new Map<Process, number>();
  /** Correct machines whose clocks may run ahead: no more than may be faulty (see `#jump`). */
  readonly #ahead: ReadonlySet<Process>;
  #active = true;

  constructor(world: World) {
    this.#world = world;
    this.#machines = new Random(`nemesis ${world.options.seed}`);
    this.#clocks = new Random(`clocks ${world.options.seed}`);
    for (const node of world.options.lostDisks) {
      const process = world.processes[node];
      const when = this.#machines.below(world.options.faultTicks * TICK_UNITS);
      if (process !== undefined) this.#lost.set(process, when);
    }
    this.#ahead = this.#someCorrect();
    for (const process of world.processes) {
      process.clockOffsetMs = this.#clocks.between(-HEALED_SKEW_MS, HEALED_SKEW_MS);
    }
    this.#plan();
    world.dealTwins();
    this.#planTwins();
  }

  #someCorrect(): ReadonlySet<Process> {
    const { members, faultyWeight } = this.#world.options;
    const chosen = new Set<Process>();
    let left = faultyWeight;
    for (const process of this.#clocks.shuffled(this.#world.correct)) {
      const weight = members[process.node.index]?.weight ?? 0;
      if (weight === 0 || weight > left) continue;
      left -= weight;
      chosen.add(process);
    }
    return chosen;
  }

  #plan(): void {
    this.#world.after(TICK_UNITS, () => {
      if (!this.#active) return;
      this.#tick();
      this.#plan();
    });
  }

  #planTwins(): void {
    this.#world.after(TWINS_UNITS, () => {
      this.#world.dealTwins();
      this.#planTwins();
    });
  }

  #tick(): void {
    const { options, processes } = this.#world;
    const random = this.#machines;
    const all = options.powerLoss > 0 && random.chance(options.powerLoss);
    for (const process of processes) {
      if (all) process.crash(random.below(process.waitingWrites + 1));
      if (!process.isUp) {
        this.#restart(process);
        continue;
      }
      if (process.hasFailed) {
        // Somebody sees the alarm, makes room on the disk and starts it again.
        if (random.chance(0.05)) process.crash(0);
        continue;
      }
      if (this.#loseDisk(process)) continue;
      const mayCrash = options.crashing?.includes(process.node.index) ?? true;
      if (options.crash > 0 && random.chance(options.crash) && mayCrash) {
        process.effectsLeft = random.between(1, EFFECTS_MAX);
      }
      if (options.diskFailure > 0 && random.chance(options.diskFailure)) process.diskFails = true;
      if (options.stall > 0 && random.chance(options.stall)) {
        process.stalledUntil = this.#world.now + random.below(40 * TICK_UNITS);
      }
      if (options.clockJump > 0 && this.#clocks.chance(options.clockJump)) this.#jump(process);
    }
  }

  #restart(process: Process): void {
    const { now, options } = this.#world;
    const until = this.#downUntil.get(process);
    if (until === undefined) {
      const units = this.#machines.below(options.downTicks * TICK_UNITS);
      this.#downUntil.set(process, now + units);
    } else if (now >= until) {
      this.#downUntil.delete(process);
      process.start();
    }
  }

  /** C5: its key must not vote again, so it comes back under another name and only learns. */
  #loseDisk(process: Process): boolean {
    const when = this.#lost.get(process);
    if (when === undefined || this.#world.now < when) return false;
    this.#lost.delete(process);
    process.crash(0);
    process.disk = process.disk.emptied();
    process.identity = process.node.learner;
    return true;
  }

  /**
   * Back by any amount; ahead beyond the tolerance only on machines of weight B in all. If correct
   * machines of more weight and traitors together could put a time of the far future into the log,
   * everybody would have to wait for that time: N5 assumes that most clocks are right.
   */
  #jump(process: Process): void {
    const { clockJumpMs } = this.#world.options;
    const most = this.#ahead.has(process) ? clockJumpMs : Math.min(clockJumpMs, 4_000);
    process.clockOffsetMs = this.#clocks.between(-clockJumpMs, most);
  }

  /** The faults are over: everything that was down comes back, every clock is nearly right. */
  callOff(): void {
    this.#active = false;
    for (const process of this.#world.processes) {
      process.stalledUntil = 0;
      process.effectsLeft = undefined;
      process.diskFails = false;
      process.clockOffsetMs = this.#clocks.between(-HEALED_SKEW_MS, HEALED_SKEW_MS);
      if (this.#lost.has(process)) this.#loseDiskNow(process);
      if (process.hasFailed) process.crash(0);
      if (!process.isUp)
        this.#world.after(TICK_UNITS, () => (process.isUp ? undefined : process.start()));
    }
  }

  #loseDiskNow(process: Process): void {
    this.#lost.set(process, 0);
    this.#loseDisk(process);
  }
}
