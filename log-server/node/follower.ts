// Following the log from outside. The peers' connections are for members of the roster: a replica that
// is not one yet, or no longer, or that can't reach a quorum of them, asks for batches at the public
// addresses instead. Every batch carries its commit certificate, so it does not matter who answers, and
// the core takes it as if a peer had sent it.
import { randomInt } from 'node:crypto';

import { equalBytes } from '../../verifier/bytes.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { NOTE_LENGTH_MAX } from '../../verifier/note.ts';
import { decodeMessage, encodeMessage } from '../../verifier/replication/encode-message.ts';
import type { PeerId } from '../consensus/types.ts';
import type { PaceLimits } from '../http/pace.ts';
import type { Log } from '../log.ts';
import { describeError } from '../log.ts';
import { PublicReader } from './public-reader.ts';
import { SlowHolders } from './slow-holders.ts';

/** Pause between two questions while nothing new comes: about the length of a batch. */
const POLL_MS = 500;

/** Turns begin anywhere below it: replicas that were started alike do not all ask the same one first. */
const FIRST_TURN_MAX = 1024;

/** Where batches can be had. */
export interface Source {
  readonly name: string;
  /** Public address, without a final slash. */
  readonly url: string;
}

/** Where to ask for batches: each address once, one's own name left out. */
export function othersOf(own: string, replicas: readonly Source[]): readonly Source[] {
  const known = new Map(replicas.map(({ name, url }) => [url, { name, url }]));
  return [...known.values()].filter(({ name }) => name !== own);
}

/** What a follower works with. */
export interface FollowerParts {
  /** Whether peers' connections don't suffice at present. */
  readonly isNeeded: () => boolean;
  /** Height of the last batch here. */
  readonly height: () => number;
  readonly epoch: () => number;
  /** Other members of the present roster: in whose names answers are handed to the core. */
  readonly peers: () => readonly PeerId[];
  /** Whom to ask, in turn. */
  readonly sources: () => readonly Source[];
  /** Gives the core a message. */
  readonly deliver: (peer: PeerId, message: Uint8Array) => void;
  /** Takes in a checkpoint note, if it is good and newer. @throws {VerifyError} it is not good */
  readonly adopt: (note: string) => Promise<void>;
  readonly log: Log;
  /** For tests. */
  readonly pollMs?: number;
  /** For tests: how many turns were had before. */
  readonly firstTurn?: number;
  /** For tests: what a source has to keep. */
  readonly pace?: PaceLimits;
}

/** The last answer, until the core has taken it. */
interface Chunk {
  readonly source: Source;
  readonly question: Uint8Array;
  readonly answer: Uint8Array;
  readonly lastHeight: number;
  /** Whether the core was given it. */
  isGiven: boolean;
}

/** Asks public addresses for what comes next. */
export class Follower {
  readonly #parts: FollowerParts;
  readonly #reader: PublicReader;
  /** Sources that let us down a moment ago. */
  readonly #slow = new SlowHolders(() => performance.now());
  /** Who gave what the core was given, as long as that is being looked at. */
  readonly #given = new WeakMap<Uint8Array, Source>();
  #timer: NodeJS.Timeout | undefined;
  #asking: Promise<void> | undefined;
  #turn: number;
  #chunk: Chunk | undefined;
  #failures = 0;
  #isClosed = false;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
    this.#turn = parts.firstTurn ?? randomInt(FIRST_TURN_MAX);
    this.#reader = new PublicReader(parts.pace);
  }

  /** Starts asking, whenever it is needed. */
  start(): void {
    this.#timer = setInterval(() => this.#poll(), this.#parts.pollMs ?? POLL_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#isClosed = true;
    await this.#reader.close();
    await this.#asking;
  }

  /** A batch was committed: when it was the last one in hand, there may be more. */
  advanced(height: number): void {
    if (this.#chunk === undefined || height < this.#chunk.lastHeight) return;
    this.#chunk = undefined;
    this.#poll();
  }

  /**
   * Answers the core's question for batches when the answer is here already. Nothing of it has been checked:
   * it is given once, and only while peers don't suffice, so that what a liar gave can't stand in for the
   * answers of honest peers.
   *
   * @param message a message of the core to `peer`, encoded
   * @returns whether it was such a question, and is answered
   */
  answers(peer: PeerId, message: Uint8Array): boolean {
    const chunk = this.#chunk;
    if (chunk === undefined) return false;
    if (!this.#parts.isNeeded()) {
      this.#chunk = undefined;
      return false;
    }
    if (!equalBytes(message, chunk.question)) return false;
    if (chunk.isGiven) {
      // The core had no use for it, or is still at it.
      this.#chunk = undefined;
      return false;
    }
    chunk.isGiven = true;
    this.#given.set(chunk.answer, chunk.source);
    this.#parts.deliver(peer, chunk.answer);
    return true;
  }

  /**
   * A message that was handed to the core was refused.
   *
   * @returns whether it came from here: then it says nothing about the peer in whose name it was handed over
   */
  refused(message: Uint8Array, error: VerifyError): boolean {
    const source = this.#given.get(message);
    if (source === undefined) return false;
    if (this.#chunk?.answer === message) this.#chunk = undefined;
    this.#fail(source, error);
    return true;
  }

  #poll(): void {
    if (this.#asking !== undefined || this.#isClosed || !this.#parts.isNeeded()) return;
    this.#asking = this.#ask().finally(() => {
      this.#asking = undefined;
    });
  }

  async #ask(): Promise<void> {
    const source = this.#next();
    if (source === undefined) return;
    try {
      const from = this.#parts.height() + 1;
      const answer = await this.#get(`${source.url}/v1/batches/${from}`);
      if (answer !== undefined) this.#announce(source, from, answer);
      else await this.#followCheckpoint(source);
      this.#failures = 0;
    } catch (error) {
      if (!this.#isClosed) this.#fail(source, error);
    }
  }

  /** Everybody in turn; those that let us down lately only when all have. */
  #next(): Source | undefined {
    const sources = this.#parts.sources();
    const good = sources.filter(({ name }) => !this.#slow.has(name));
    const asked = good.length > 0 ? good : sources;
    const next = asked[this.#turn % Math.max(asked.length, 1)];
    this.#turn += 1;
    return next;
  }

  #fail({ name }: Source, error: unknown): void {
    this.#slow.note(name);
    // One line per power of two: an outage must not fill the disk with lines.
    this.#failures += 1;
    if ((this.#failures & (this.#failures - 1)) !== 0) return;
    this.#parts.log.warn('follow_failed', { peer: name, error: describeError(error) });
  }

  /** Makes the core ask for what is here: as with any peer, it decides by itself whether it wants it. */
  #announce(source: Source, from: number, answer: Uint8Array): void {
    const message = decodeMessage(answer);
    const first = message.kind === 'batches' ? message.batches[0] : undefined;
    const last = message.kind === 'batches' ? message.batches.at(-1) : undefined;
    if (first?.header.height !== from || last === undefined) {
      throw new VerifyError('MESSAGE_REFUSED', `the answer does not begin with batch ${from}`);
    }
    const lastHeight = last.header.height;
    const question = encodeMessage({ kind: 'get-batches', fromHeight: from });
    this.#chunk = { source, question, answer, lastHeight, isGiven: false };
    // In the name of one after the other: one that is faulty says the contrary of itself at once.
    const peers = this.#parts.peers();
    const peer = peers[this.#turn % Math.max(peers.length, 1)];
    if (peer === undefined) return;
    const status = encodeMessage({
      kind: 'status',
      epoch: this.#parts.epoch(),
      view: 0,
      active: false,
      wish: 0,
      height: lastHeight,
      digest: '0'.repeat(64),
      prepares: [],
      commits: [],
      proposed: false,
      cosigners: [],
      proofs: [],
    });
    this.#parts.deliver(peer, status);
  }

  // Members get cosignatures from each other; who only follows takes the finished note.
  async #followCheckpoint({ url }: Source): Promise<void> {
    const note = await this.#get(`${url}/checkpoint`);
    if (note === undefined || note.length > NOTE_LENGTH_MAX) return;
    await this.#parts.adopt(Buffer.from(note).toString('utf8'));
  }

  /** @returns the body; `undefined` when there is no such thing there (yet) */
  async #get(address: string): Promise<Uint8Array | undefined> {
    const { status, body } = await this.#reader.get(address);
    if (status === 200) return body;
    if (status === 404 || status === 503) return undefined;
    throw new Error(`status ${status}`);
  }
}
