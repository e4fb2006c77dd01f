// Following the log from outside. The peers' connections are for members of the roster: a replica that
// is not one yet, or no longer, or that can't reach a quorum of them, asks for batches at the public
// addresses instead. Every batch carries its commit certificate, so it does not matter who answers, and
// the core takes it as if a peer had sent it.
import { Agent, request } from 'undici';
import type { Dispatcher } from 'undici';

import { equalBytes } from '../../verifier/bytes.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { NOTE_LENGTH_MAX } from '../../verifier/note.ts';
import {
  MESSAGE_BYTES_MAX,
  decodeMessage,
  encodeMessage,
} from '../../verifier/replication/encode-message.ts';
import type { PeerId } from '../consensus/types.ts';
import type { Log } from '../log.ts';
import { describeError } from '../log.ts';

/** Pause between two questions while nothing new comes: about the length of a batch. */
const POLL_MS = 500;

/** How long one answer may take: 4 MiB over a slow line. */
const ANSWER_TIMEOUT_MS = 20_000;

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
}

/** The last answer, until the core has taken it. */
interface Chunk {
  readonly question: Uint8Array;
  readonly answer: Uint8Array;
  readonly lastHeight: number;
}

/** Asks public addresses for what comes next. */
export class Follower {
  readonly #parts: FollowerParts;
  readonly #agent: Agent = new Agent({
    connect: { timeout: 3000 },
    headersTimeout: 10_000,
    bodyTimeout: 10_000,
    maxResponseSize: MESSAGE_BYTES_MAX,
    maxHeaderSize: 8192,
  });
  readonly #closed = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #asking: Promise<void> | undefined;
  #turn = 0;
  #chunk: Chunk | undefined;
  #failures = 0;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
  }

  /** Starts asking, whenever it is needed. */
  start(): void {
    this.#timer = setInterval(() => this.#poll(), this.#parts.pollMs ?? POLL_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closed.abort();
    await this.#asking;
    await this.#agent.destroy();
  }

  /** A batch was committed: when it was the last one in hand, there may be more. */
  advanced(height: number): void {
    if (this.#chunk === undefined || height < this.#chunk.lastHeight) return;
    this.#chunk = undefined;
    this.#poll();
  }

  /**
   * Answers the core's question for batches when the answer is here already.
   *
   * @param message a message of the core to `peer`, encoded
   * @returns whether it was such a question, and is answered
   */
  answers(peer: PeerId, message: Uint8Array): boolean {
    const chunk = this.#chunk;
    if (chunk === undefined || !equalBytes(message, chunk.question)) return false;
    this.#parts.deliver(peer, chunk.answer);
    return true;
  }

  #poll(): void {
    if (this.#asking !== undefined || this.#closed.signal.aborted || !this.#parts.isNeeded())
      return;
    this.#asking = this.#ask().finally(() => {
      this.#asking = undefined;
    });
  }

  async #ask(): Promise<void> {
    const sources = this.#parts.sources();
    const source = sources[this.#turn % Math.max(sources.length, 1)];
    if (source === undefined) return;
    this.#turn += 1;
    try {
      const from = this.#parts.height() + 1;
      const answer = await this.#get(`${source.url}/v1/batches/${from}`);
      if (answer !== undefined) this.#announce(from, answer);
      else await this.#followCheckpoint(source);
      this.#failures = 0;
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      // One line per power of two: an outage must not fill the disk with lines.
      this.#failures += 1;
      if ((this.#failures & (this.#failures - 1)) !== 0) return;
      this.#parts.log.warn('follow_failed', { peer: source.name, error: describeError(error) });
    }
  }

  /** Makes the core ask for what is here: as with any peer, it decides by itself whether it wants it. */
  #announce(from: number, answer: Uint8Array): void {
    const message = decodeMessage(answer);
    const first = message.kind === 'batches' ? message.batches[0] : undefined;
    const last = message.kind === 'batches' ? message.batches.at(-1) : undefined;
    if (first?.header.height !== from || last === undefined) {
      throw new VerifyError('MESSAGE_REFUSED', `the answer does not begin with batch ${from}`);
    }
    const lastHeight = last.header.height;
    const question = encodeMessage({ kind: 'get-batches', fromHeight: from });
    this.#chunk = { question, answer, lastHeight };
    const [peer] = this.#parts.peers();
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
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
    const answer: Dispatcher.ResponseData = await request(address, {
      dispatcher: this.#agent,
      signal,
    });
    if (answer.statusCode === 200) return new Uint8Array(await answer.body.arrayBuffer());
    await answer.body.dump({ limit: 4096 });
    if (answer.statusCode === 404 || answer.statusCode === 503) return undefined;
    throw new Error(`status ${answer.statusCode}`);
  }
}
