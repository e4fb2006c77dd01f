// Ed25519 verification on all cores, for servers (threaded-verifier.ts is for programs that run once): its
// queue is its own, so that files never wait behind signatures. Jobs travel in coarse chunks: a message to a thread costs the
// event loop a good part of what one verification costs.
import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';

import { SIGNATURE_LENGTH } from '../ed25519.ts';
import { assert } from '../errors.ts';
import type { SignatureJob, SignatureVerifier } from '../signatures.ts';
import { verifyNative } from './ed25519.ts';
import { jobChunks } from './job-chunks.ts';
import { READY, packJobs } from './packed-jobs.ts';
import { startWorkerBeside } from './worker-beside.ts';

/** How a pool is to work. */
export interface SignaturePoolOptions {
  /** Worker threads, 1 to 64; as many as there are cores when absent. Started when first needed. */
  readonly workers?: number;
}

const WORKERS_MAX = 64;
// Up to here verifying in this thread (2 to 3 ms) is quicker than a round trip through another one.
const INLINE_JOBS_MAX = 23;
// A caller who comes while this many jobs wait is refused. About 13 s of one core's work.
const WAITING_JOBS_MAX = 131_072;
// A thread that dies (out of memory) is replaced, but not for ever.
const REPLACEMENTS_MAX = 8;

/** The pool can't take the work: it is closed or overloaded. Nothing was verified, nothing refused. */
export class SignaturePoolError extends Error {
  override readonly name = 'SignaturePoolError';
  readonly code: 'POOL_CLOSED' | 'POOL_OVERLOADED';

  constructor(code: SignaturePoolError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** Whether something was not checked for want of room: it says nothing about what was to be checked. */
export function isOverloaded(error: unknown): boolean {
  return error instanceof SignaturePoolError && error.code === 'POOL_OVERLOADED';
}

/** Some of one caller's jobs. */
interface Chunk {
  readonly jobs: readonly SignatureJob[];
  /** Takes the answers, in the order of `jobs`. */
  readonly resolve: (answers: readonly boolean[]) => void;
  readonly reject: (error: Error) => void;
}

interface Member {
  readonly worker: Worker;
  /** Whether it has loaded and said so. Starting takes longer than verifying a hundred signatures. */
  ready: boolean;
  /** What it is busy with. One chunk at a time: the queue is here, not in the thread's mailbox. */
  chunk: Chunk | undefined;
}

/**
 * Verifies on worker threads; small batches at once in this thread. An idle pool does not keep the
 * process alive.
 */
export class SignaturePool implements SignatureVerifier {
  readonly #workersMax: number;
  readonly #members = new Set<Member>();
  readonly #queue: Chunk[] = [];
  #waitingJobs = 0;
  #started = 0;
  #helpScheduled = false;
  #closed = false;

  constructor(options: SignaturePoolOptions = {}) {
    const workers = options.workers ?? Math.min(availableParallelism(), WORKERS_MAX);
    assert(
      Number.isSafeInteger(workers) && workers >= 1 && workers <= WORKERS_MAX,
      '1 to 64 workers',
    );
    this.#workersMax = workers;
  }

  /**
   * @throws {SignaturePoolError} `POOL_CLOSED`; `POOL_OVERLOADED` when over 131,072 jobs wait already
   */
  async verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    if (this.#closed) throw new SignaturePoolError('POOL_CLOSED', 'the signature pool is closed');
    if (jobs.length <= INLINE_JOBS_MAX) return jobs.map(verifyNative);
    if (this.#waitingJobs > WAITING_JOBS_MAX) {
      throw new SignaturePoolError(
        'POOL_OVERLOADED',
        `${this.#waitingJobs} signatures are waiting`,
      );
    }
    // What isn't 64 bytes is no signature, and has no place in a packed chunk.
    const positions = [...jobs.keys()].filter((i) => isPackable(jobs[i]));
    const packable = jobs.filter(isPackable);
    const parts = jobChunks(packable, this.#workersMax);
    const answers = (await Promise.all(parts.map(async (part) => this.#enqueue(part)))).flat();
    const result = jobs.map(() => false);
    for (const [i, position] of positions.entries()) result[position] = answers[i] === true;
    return result;
  }

  /** Ends threads that have nothing to do: 8 MB each. They start again when they are needed. */
  async rest(): Promise<void> {
    const idle = [...this.#members].filter(({ ready, chunk }) => ready && chunk === undefined);
    for (const member of idle) this.#members.delete(member);
    // They did not fail.
    this.#started -= idle.length;
    await Promise.all(idle.map(({ worker }) => worker.terminate()));
  }

  /** Ends the threads. Callers that still wait get `POOL_CLOSED`. */
  async close(): Promise<void> {
    this.#closed = true;
    const error = new SignaturePoolError('POOL_CLOSED', 'the signature pool was closed');
    const members = [...this.#members];
    this.#members.clear();
    for (const chunk of this.#queue.splice(0)) chunk.reject(error);
    for (const { chunk } of members) chunk?.reject(error);
    this.#waitingJobs = 0;
    await Promise.all(members.map(({ worker }) => worker.terminate()));
  }

  async #enqueue(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ jobs, resolve, reject });
      this.#waitingJobs += jobs.length;
      this.#dispatch();
    });
  }

  /** Gives waiting chunks to idle threads, starting threads as long as there are fewer than asked. */
  #dispatch(): void {
    for (const member of this.#members) {
      if (member.ready && member.chunk === undefined) this.#assign(member);
    }
    this.#startMembers();
    // With no thread left this one does the work, rather than let callers wait for ever.
    if (this.#queue.length > 0 && this.#members.size === 0) this.#help();
  }

  #assign(member: Member): void {
    const chunk = this.#dequeue();
    if (chunk === undefined) return;
    member.chunk = chunk;
    // While it works, the process must stay for the answer.
    member.worker.ref();
    const packed = packJobs(chunk.jobs);
    member.worker.postMessage(packed, [packed.buffer]);
  }

  #dequeue(): Chunk | undefined {
    const chunk = this.#queue.shift();
    if (chunk !== undefined) this.#waitingJobs -= chunk.jobs.length;
    return chunk;
  }

  /** Verifies a chunk here, then lets the event loop have its turn. */
  #help(): void {
    if (this.#helpScheduled) return;
    this.#helpScheduled = true;
    setImmediate(() => {
      this.#helpScheduled = false;
      const chunk = this.#dequeue();
      chunk?.resolve(chunk.jobs.map(verifyNative));
      if (!this.#closed) this.#dispatch();
    });
  }

  /** Starts a thread for each waiting chunk that none is starting for yet, within the limits. */
  #startMembers(): void {
    const starting = [...this.#members].filter(({ ready }) => !ready).length;
    const wanted = Math.min(this.#queue.length - starting, this.#workersMax - this.#members.size);
    const allowed = this.#workersMax + REPLACEMENTS_MAX - this.#started;
    for (let i = 0; i < Math.min(wanted, allowed); i++) this.#startMember();
  }

  #startMember(): void {
    this.#started += 1;
    const member: Member = {
      worker: startWorkerBeside(import.meta.url, 'signature-worker'),
      ready: false,
      chunk: undefined,
    };
    this.#members.add(member);
    member.worker.on('message', (message: Uint8Array | typeof READY) => {
      const { chunk } = member;
      member.chunk = undefined;
      member.worker.unref();
      if (message === READY) {
        member.ready = true;
      } else {
        // One answer short, and those of the chunk behind it would be taken for other signatures'.
        const isWhole = message.length === chunk?.jobs.length;
        assert(chunk !== undefined && isWhole, 'a thread answers what it was asked');
        chunk.resolve(Array.from(message, (answer) => answer === 1));
      }
      this.#dispatch();
    });
    // A thread that fails is an accident of ours: its chunk is verified again, never called invalid.
    member.worker.on('error', () => this.#lose(member));
    member.worker.on('exit', () => this.#lose(member));
  }

  #lose(member: Member): void {
    if (!this.#members.delete(member)) return;
    const { chunk } = member;
    member.chunk = undefined;
    if (chunk !== undefined) {
      this.#queue.unshift(chunk);
      this.#waitingJobs += chunk.jobs.length;
    }
    this.#dispatch();
  }
}

function isPackable(job: SignatureJob | undefined): boolean {
  return job !== undefined && job.signature.length === SIGNATURE_LENGTH;
}
