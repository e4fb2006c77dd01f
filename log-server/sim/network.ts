// The wires between the machines: late, lost, twice, in another order, cut, one-way, or clogged. Plus
// the schedules that find most bugs: "this phase of this view reaches that subset" (CONSENSUS.md 3.3).
import { decodeMessage, encodeMessage } from '../../verifier/replication/encode-message.ts';
import { AssertionError, VerifyError } from '../../verifier/errors.ts';
import type { Message } from '../consensus/types.ts';
import { splitMessages } from '../peer/frames.ts';
import type { Random } from './random.ts';

/** How bad the network is. Probabilities 0 to 1, times in units. */
export interface NetworkOptions {
  readonly delayMin: number;
  readonly delayMax: number;
  readonly loss: number;
  readonly duplication: number;
  /** Messages that come very late, after many that were sent later. */
  readonly tail: number;
  readonly tailMax: number;
  /** How often the machines fall apart into two groups; 0 for never. */
  readonly partitionEvery: number;
  readonly partitionUnits: number;
  /** Whether a partition lets one direction through. */
  readonly oneWay: boolean;
  /** How often one link is clogged: nothing is lost, everything comes at the end. 0 for never. */
  readonly clogEvery: number;
  readonly clogUnits: number;
  /** Whether phases often, or nearly always, reach only a part of the machines. */
  readonly phases: 'some' | 'few';
  /** How long a schedule by phases holds; 0 for none. */
  readonly phaseWindow: number;
  /** Send everything through the codec, in frames with others' messages. */
  readonly encoded: boolean;
  /** A planted bug: messages stay views into the frames that they came in. */
  readonly framesKept?: true;
}

/** A network on which everything arrives, in about a tick. */
export const CALM: NetworkOptions = {
  delayMin: 1,
  delayMax: 8,
  loss: 0,
  duplication: 0,
  tail: 0,
  tailMax: 0,
  partitionEvery: 0,
  partitionUnits: 0,
  oneWay: false,
  clogEvery: 0,
  clogUnits: 0,
  phases: 'some',
  phaseWindow: 0,
  encoded: false,
};

/** Length of what comes in one frame with each message: several times what a batch here has. */
const BESIDE_BYTES = 16 * 1024;

/** Whom a phase reaches. */
type Reach = 'all' | 'none' | ReadonlySet<number>;

/** Decides what becomes of each message. Machines are known by their position. */
export class Network {
  options: NetworkOptions;
  readonly #random: Random;
  readonly #count: number;
  #cutUntil = 0;
  #nextCut = 0;
  /** Which of two sides each machine is on, while the network is cut. */
  #sides: readonly number[] = [];
  #openWay = -1;
  #clogged: { readonly from: number; readonly to: number; readonly until: number } | undefined;
  #nextClog = 0;
  #reach = new Map<string, Reach>();
  #window = -1;

  constructor(options: NetworkOptions, random: Random, count: number) {
    this.options = options;
    this.#random = random;
    this.#count = count;
  }

  /** Ends all faults. */
  heal(options: NetworkOptions): void {
    this.options = options;
    this.#cutUntil = 0;
    this.#clogged = undefined;
    this.#reach.clear();
  }

  /** When copies of a message arrive, in units from now; empty when it is lost. */
  deliveries(now: number, from: number, to: number, message: Message): readonly number[] {
    const { loss, duplication, delayMin, delayMax, tail, tailMax } = this.options;
    const random = this.#random;
    if (this.isCut(now, from, to) || !this.#reaches(now, from, to, message)) return [];
    if (loss > 0 && random.chance(loss)) return [];
    let delay = random.between(delayMin, delayMax);
    if (tail > 0 && random.chance(tail)) delay += random.below(tailMax);
    const clogged = this.#clogOf(now, from, to);
    if (clogged !== undefined) delay += clogged - now;
    if (duplication === 0 || !random.chance(duplication)) return [delay];
    return [delay, delay + random.between(1, 10 * delayMax)];
  }

  /** Whether nothing gets from one machine to another at this moment. */
  isCut(now: number, from: number, to: number): boolean {
    const { partitionEvery, partitionUnits, oneWay } = this.options;
    if (partitionEvery === 0) return false;
    if (now >= this.#nextCut) {
      this.#nextCut = now + this.#random.between(partitionEvery, 2 * partitionEvery);
      this.#cutUntil = now + this.#random.between(1, partitionUnits);
      this.#sides = Array.from({ length: this.#count }, () => this.#random.below(2));
      this.#openWay = oneWay && this.#random.chance(0.5) ? this.#random.below(2) : -1;
    }
    if (now >= this.#cutUntil) return false;
    return this.#sides[from] !== this.#sides[to] && this.#sides[from] !== this.#openWay;
  }

  #clogOf(now: number, from: number, to: number): number | undefined {
    const { clogEvery, clogUnits } = this.options;
    if (clogEvery === 0) return undefined;
    if (now >= this.#nextClog) {
      this.#nextClog = now + this.#random.between(clogEvery, 2 * clogEvery);
      this.#clogged = {
        from: this.#random.below(this.#count),
        to: this.#random.below(this.#count),
        until: now + this.#random.between(1, clogUnits),
      };
    }
    const clogged = this.#clogged;
    if (clogged === undefined || now >= clogged.until) return undefined;
    return clogged.from === from || clogged.to === to ? clogged.until : undefined;
  }

  #reaches(now: number, from: number, to: number, message: Message): boolean {
    const { phaseWindow } = this.options;
    if (phaseWindow === 0) return true;
    const window = Math.floor(now / phaseWindow);
    if (window !== this.#window) {
      this.#window = window;
      this.#reach.clear();
    }
    const phase = phaseOf(message);
    if (phase === undefined) return true;
    if (message.kind === 'view-change') return this.#passes(from, phase);
    let reach = this.#reach.get(phase);
    if (reach === undefined) {
      reach = this.#drawReach(phase);
      this.#reach.set(phase, reach);
    }
    return reach === 'all' || (reach !== 'none' && reach.has(to));
  }

  /**
   * A VIEW-CHANGE has one receiver. Of some views one sender's gets lost: what only it knew is then not
   * known to the view, though it may come up again later.
   */
  #passes(from: number, phase: string): boolean {
    let reach = this.#reach.get(phase);
    if (reach === undefined) {
      const lost = this.#random.chance(this.options.phases === 'few' ? 0.85 : 0.4)
        ? this.#random.below(this.#count)
        : -1;
      reach = new Set(Array.from({ length: this.#count }, (_, i) => i).filter((i) => i !== lost));
      this.#reach.set(phase, reach);
    }
    return reach === 'all' || (reach !== 'none' && reach.has(from));
  }

  #drawReach(phase: string): Reach {
    const random = this.#random;
    const machines = Array.from({ length: this.#count }, (_, i) => i);
    if (this.options.phases === 'few') {
      // Certificates in few hands, decisions in fewer; views open for nearly all.
      if (phase.startsWith('prepare')) {
        const one = random.below(this.#count);
        return new Set(random.chance(0.7) ? [one] : [one, random.below(this.#count)]);
      }
      if (phase.startsWith('commit'))
        return random.chance(0.6) ? 'none' : new Set([random.below(this.#count)]);
      if (phase.startsWith('batches')) return random.chance(0.5) ? 'none' : 'all';
      return 'all';
    }
    const kind = random.below(20);
    if (kind < 10) return 'all';
    if (kind < 11) return 'none';
    if (kind < 14) return new Set([random.below(this.#count)]);
    return new Set(random.some(machines));
  }

  /** Through the codec and back, as on a real wire; undefined for what no decoder takes. */
  transcode(message: Message): Message | undefined {
    if (!this.options.encoded) return message;
    try {
      return decodeMessage(this.#framed(encodeMessage(message)));
    } catch (error) {
      // Traitors also say what can't be written down, or read.
      if (error instanceof VerifyError || error instanceof AssertionError) return undefined;
      throw error;
    }
  }

  #framed(message: Uint8Array): Uint8Array {
    const frame = new Uint8Array(4 + message.length + 4 + BESIDE_BYTES);
    const view = new DataView(frame.buffer);
    view.setUint32(0, message.length);
    frame.set(message, 4);
    view.setUint32(4 + message.length, BESIDE_BYTES);
    if (this.options.framesKept === true) return frame.subarray(4, 4 + message.length);
    const [own] = splitMessages(frame);
    if (own === undefined) throw new Error('a frame with two messages has none');
    return own;
  }
}

/** Names the phase that a message belongs to; undefined for what is never filtered. */
function phaseOf(message: Message): string | undefined {
  switch (message.kind) {
    case 'pre-prepare':
      return `pre-prepare/${message.view}`;
    case 'prepare':
    case 'commit':
      return `${message.kind}/${message.vote.view}/${message.vote.height % 2}`;
    case 'view-change':
      return `view-change/${message.viewChange.content.view}`;
    case 'new-view':
      return `new-view/${message.newView.content.view}`;
    case 'cosign':
    case 'batches':
    case 'body':
    case 'evidence':
    case 'prefetch':
      return message.kind;
    case 'status':
    case 'forward':
    case 'get-body':
    case 'get-batches':
  }
  return undefined;
}
