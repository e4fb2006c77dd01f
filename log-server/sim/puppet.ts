// A traitor: a machine with a real core whose traffic passes through behaviours that change, hide,
// delay and add messages (CONSENSUS.md 3.1).
import type { Roster } from '../../verifier/roster.ts';
import type { StateSummary } from '../consensus/summary.ts';
import type {
  Batch,
  BuildRequest,
  BuildResult,
  Message,
  PeerId,
  PrePrepareMessage,
  PrefetchMessage,
  ReplicaIndex,
  Request,
  Timing,
} from '../consensus/types.ts';
import type { Adversary } from './adversary.ts';
import type { Action } from './event-queue.ts';
import { peersOf } from './monitor.ts';
import type { SimNode } from './nodes.ts';
import type { Process, Puppeteer } from './process.ts';
import type { Random } from './random.ts';

/** One way of being faulty. Every part is optional; the rest is what a correct replica does. */
export interface Behaviour {
  readonly name: string;
  /** What leaves instead of this message. */
  outbound?(puppet: Puppet, to: PeerId, message: Message): readonly Message[];
  /** False hides the message from the own core. */
  inbound?(puppet: Puppet, from: PeerId, message: Message): boolean;
  /** Requests that the own core gets to build a batch from. */
  censored?(puppet: Puppet, requests: readonly Request[]): readonly Request[];
  /** Once per tick. */
  act?(puppet: Puppet): void;
}

/** What a traitor needs of the world. */
export interface Stage {
  readonly now: number;
  readonly roster: Roster;
  readonly timing: Timing;
  send(from: Process, to: PeerId, message: Message): void;
  after(units: number, action: Action): void;
  /** Hands a request of the traitors' own clients out, properly signed. */
  ownRequest(artifact?: boolean): Request;
  /** Cuts the power and starts again with other contents of the disk. */
  restartWith(process: Process, disk: 'empty' | 'backup'): void;
}

/** How far from now an alternative batch says it was made, in milliseconds. */
export const ALTERNATIVE_TIMES_MS: readonly number[] = [1, 2, 3_600_000];

/** The strings of one traitor. */
export class Puppet implements Puppeteer {
  readonly process: Process;
  readonly adversary: Adversary;
  readonly stage: Stage;
  readonly random: Random;
  readonly behaviours: readonly Behaviour[];
  /** Valid batches other than the proposed one, for the same place; the last is of the future. */
  alternatives: readonly Batch[] = [];
  #ahead: Pick<PrefetchMessage, 'view' | 'height' | 'requests'> | undefined;
  /** Room for what behaviours remember. */
  readonly notes: Map<string, number> = new Map();

  constructor(
    process: Process,
    adversary: Adversary,
    stage: Stage,
    random: Random,
    behaviours: readonly Behaviour[],
  ) {
    this.process = process;
    this.adversary = adversary;
    this.stage = stage;
    this.random = random;
    this.behaviours = behaviours;
  }

  get node(): SimNode {
    return this.process.node;
  }

  get summary(): StateSummary | undefined {
    return this.process.replica?.summary;
  }

  get roster(): Roster {
    return this.stage.roster;
  }

  /** Own place in the newest roster. */
  get index(): ReplicaIndex | undefined {
    const index = this.peers.indexOf(this.node.peer);
    return index < 0 ? undefined : index;
  }

  get peers(): readonly PeerId[] {
    return peersOf(this.roster);
  }

  get others(): readonly PeerId[] {
    return this.peers.filter((peer) => peer !== this.node.peer);
  }

  /** One of two halves of the others, the same for the same subject. */
  isFirstHalf(to: PeerId, subject: number): boolean {
    return (this.peers.indexOf(to) + subject) % 2 === 0;
  }

  /** Sends past all behaviours. */
  emit(to: PeerId, message: Message): void {
    this.stage.send(this.process, to, message);
  }

  /** True once per name. */
  once(name: string): boolean {
    if (this.notes.has(name)) return false;
    if (this.notes.size > 2000) this.notes.clear();
    this.notes.set(name, 1);
    return true;
  }

  /** What the own core has sent ahead for a place. */
  sentAhead(view: number, height: number): readonly Request[] {
    return this.#ahead?.view === view && this.#ahead.height === height ? this.#ahead.requests : [];
  }

  #noteAhead({ view, height, start, requests }: PrefetchMessage): void {
    const before = this.sentAhead(view, height);
    // One message, as many times as it has receivers.
    if (start < before.length) return;
    this.#ahead = { view, height, requests: [...before, ...requests] };
  }

  /** Behaviours work on whole bodies: with the own core's short ones there would be little to falsify. */
  #withBody(message: PrePrepareMessage): PrePrepareMessage {
    const { tail, ...rest } = message;
    if (tail === undefined) return message;
    const sent = this.sentAhead(message.view, message.header.height).slice(0, tail.prefetched);
    const { timestampMs } = message.header;
    const entries = sent.flatMap((one) => this.process.ledger.entryOf(one, timestampMs) ?? []);
    return { ...rest, body: [...entries, ...tail.entries] };
  }

  // ---- Puppeteer

  outbound(to: PeerId, message: Message): readonly Message[] {
    if (message.kind === 'prefetch') this.#noteAhead(message);
    let messages: readonly Message[] = [
      message.kind === 'pre-prepare' ? this.#withBody(message) : message,
    ];
    for (const behaviour of this.behaviours) {
      messages = messages.flatMap((one) => behaviour.outbound?.(this, to, one) ?? [one]);
    }
    return messages;
  }

  inbound(from: PeerId, message: Message): boolean {
    return this.behaviours.every((one) => one.inbound?.(this, from, message) !== false);
  }

  censored(requests: readonly Request[]): readonly Request[] {
    let left = requests;
    for (const one of this.behaviours) left = one.censored?.(this, left) ?? left;
    return left;
  }

  built(
    request: BuildRequest,
    build: (request: BuildRequest, timeMs: number) => BuildResult | Promise<BuildResult>,
  ): void {
    this.alternatives = [];
    const { wallMs } = this.process;
    for (const aheadMs of ALTERNATIVE_TIMES_MS) {
      const result = build(request, wallMs + aheadMs);
      // Of the real ledger no alternatives are made.
      if (result instanceof Promise || result.proposal === undefined) return;
      const { header, body } = result.proposal;
      this.alternatives = [...this.alternatives, { header, body }];
    }
  }

  tick(): void {
    for (const one of this.behaviours) one.act?.(this);
  }
}
