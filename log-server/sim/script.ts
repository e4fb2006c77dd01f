// A world in which somebody decides about every message: who gets it, when, or never. For attacks that
// random schedules find too rarely (CONSENSUS.md 3.3, lesson 4).
import { assert } from '../../verifier/errors.ts';
import type { Message } from '../consensus/types.ts';
import type { MutantName } from '../../verifier/replication/mutants.ts';
import { TICK_UNITS, type Process } from './process.ts';
import type { SimRequest } from './requests.ts';
import { smallWorld } from './small-world.ts';
import { Violation } from './violation.ts';
import { type Sending, World } from './world.ts';

/** Which of the waiting messages; a part that is absent matches all. */
export interface Which {
  readonly kind?: Message['kind'];
  readonly from?: number;
  readonly to?: number;
}

// A message may cause others that match too, and so on; a script never needs more rounds than this.
const ROUNDS_MAX = 40;

/** Four machines with equal weights, of which the last may be a traitor whose core does nothing. */
export class Script {
  readonly world: World;
  #waiting: Sending[] = [];
  readonly #traitor: number | undefined;

  private constructor(world: World, traitor: number | undefined) {
    this.world = world;
    this.#traitor = traitor;
    world.interceptor = (sending) => {
      this.#waiting.push(sending);
      return true;
    };
  }

  /** Starts the machines. */
  static async start(
    options: { readonly traitor?: number; readonly mutants?: readonly MutantName[] } = {},
  ): Promise<Script> {
    const { traitor, mutants = [] } = options;
    const treasons = traitor === undefined ? [] : [{ node: traitor, behaviours: [], twins: false }];
    const world = new World(smallWorld(treasons, mutants));
    const script = new Script(world, traitor);
    for (const process of world.processes) {
      if (process.node.index !== traitor) process.start();
    }
    await script.settle();
    return script;
  }

  machine(index: number): Process {
    const process = this.world.processes[index];
    assert(process !== undefined, 'a script names machines that there are');
    return process;
  }

  /** Lets everything happen that needs no message and no time. */
  async settle(): Promise<void> {
    await this.world.run(this.world.now + 1);
  }

  /** A new request at a machine. */
  async submit(machine: number): Promise<SimRequest> {
    const request = this.world.register.issue();
    assert(await this.machine(machine).submit(request), 'a request is taken');
    await this.settle();
    return request;
  }

  /** Delivers what matches and waits, and what comes of it as far as it matches too. */
  async deliver(...which: readonly Which[]): Promise<void> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const chosen = this.#take(which);
      if (chosen.length === 0) return;
      for (const sending of chosen) this.world.arrive(sending, 0);
      await this.settle();
    }
  }

  /** Loses what matches and waits. */
  lose(...which: readonly Which[]): void {
    this.#take(which);
  }

  #take(which: readonly Which[]): readonly Sending[] {
    const isChosen = ({ from, to, message }: Sending): boolean =>
      which.some(
        (one) =>
          (one.kind === undefined || one.kind === message.kind) &&
          (one.from === undefined || one.from === from.node.index) &&
          (one.to === undefined || one.to === to.node.index),
      );
    const chosen = this.#waiting.filter(isChosen);
    this.#waiting = this.#waiting.filter((sending) => !isChosen(sending));
    return chosen;
  }

  /** The traitor says something to somebody. */
  async say(to: number, message: Message): Promise<void> {
    assert(this.#traitor !== undefined, 'only a traitor says what a script wants');
    this.world.arrive({ from: this.machine(this.#traitor), to: this.machine(to), message }, 0);
    await this.settle();
  }

  /**
   * Lets time pass until all correct machines are in a view or beyond it. Meanwhile only STATUS gets
   * through.
   */
  async reachView(view: number): Promise<void> {
    for (let ticks = 0; ticks < 1_000; ticks++) {
      const views = this.#correct.map(({ replica }) => replica?.summary.view ?? 0);
      if (views.every((one) => one >= view)) return;
      await this.ticks(1);
    }
    throw new Violation('I13', `view ${view} is not reached`);
  }

  /** Lets ticks pass; only STATUS gets through. */
  async ticks(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await this.world.run(this.world.now + TICK_UNITS);
      await this.deliver({ kind: 'status' });
    }
  }

  /** Nothing is held back any more. */
  async release(ticks: number): Promise<void> {
    this.#waiting = [];
    this.world.interceptor = undefined;
    await this.world.run(this.world.now + ticks * TICK_UNITS);
  }

  get #correct(): readonly Process[] {
    return this.world.processes.filter(({ node }) => node.index !== this.#traitor);
  }
}
