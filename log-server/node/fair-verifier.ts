// Signatures of strangers, checked beside those that consensus waits for. An envelope of a few kilobytes may
// carry 64 lines that nobody has to be able to sign: 3,000 of them were more than the pool takes, in the one
// queue that votes stand in too. So those who ask by handing something in stand in a queue of their own: only
// a little of it is in the pool at any time, whoever asks has turns of as many signatures as everybody else, and
// when it is full the one who asked for most goes without.
import { SignaturePoolError } from '../../verifier/node/signature-pool.ts';
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';

/** Bounds of a queue, in signatures. */
export interface FairLimits {
  /** That wait for their turn. */
  readonly waitingMax: number;
  /** In the pool at one time: what a vote may find before it. */
  readonly inPoolMax: number;
}

/** Signatures of strangers that wait: half a second of one core, several hundred honest submissions per holder. */
const WAITING_MAX = 8192;

/** For each core of the machine: 14 ms of its work, in two questions so that it never has to wait for one. */
const IN_POOL_PER_CORE = 200;

/** The bounds for a machine with so many cores. */
export function fairLimits(cores: number): FairLimits {
  return { waitingMax: WAITING_MAX, inPoolMax: IN_POOL_PER_CORE * cores };
}

/**
 * Signatures of one turn: what an ordinary submission has. A question with more waits for as many turns as it
 * takes. Counted in questions, whoever asked about 64 signatures at a time had thirty times everybody else's share.
 */
const TURN = 4;

interface Question {
  readonly jobs: readonly SignatureJob[];
  readonly resolve: (answers: readonly boolean[]) => void;
  readonly reject: (error: unknown) => void;
}

/** What one holder waits for, the oldest first. */
interface Line {
  readonly questions: Question[];
  signatures: number;
  /** Of its turns so far, signatures that it has not used. */
  credit: number;
}

/** A queue before a verifier, with a line for each holder. */
export class FairVerifier {
  readonly #verifier: SignatureVerifier;
  readonly #limits: FairLimits;
  /** In the order of their turns. Empty ones are not kept: holders cost strangers nothing to make up. */
  readonly #lines = new Map<string, Line>();
  #waiting = 0;
  #inPool = 0;
  #isScheduled = false;

  constructor(verifier: SignatureVerifier, limits: FairLimits) {
    this.#verifier = verifier;
    this.#limits = limits;
  }

  /**
   * What one holder asks through. Its questions throw {SignaturePoolError} `POOL_OVERLOADED` when there is no
   * room for them: nothing was judged then.
   */
  of(holder: string): SignatureVerifier {
    return { verifyMany: (jobs) => this.#ask(holder, jobs) };
  }

  /** Signatures that wait for their turn. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Holders that wait. */
  get holders(): number {
    return this.#lines.size;
  }

  #ask(holder: string, jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    if (jobs.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      if (!this.#makeRoom(holder, jobs.length)) {
        reject(overloaded());
        return;
      }
      const line = this.#lines.get(holder) ?? { questions: [], signatures: 0, credit: TURN };
      line.questions.push({ jobs, resolve, reject });
      line.signatures += jobs.length;
      this.#waiting += jobs.length;
      this.#lines.set(holder, line);
      this.#schedule();
    });
  }

  /** The longest line loses its newest questions to whoever would have less, so that a flood drowns itself. */
  #makeRoom(holder: string, count: number): boolean {
    const wanted = (this.#lines.get(holder)?.signatures ?? 0) + count;
    while (this.#waiting + count > this.#limits.waitingMax) {
      const longest = this.#longest();
      if (longest === undefined || longest[1].signatures <= wanted) return false;
      const [name, line] = longest;
      const dropped = line.questions.pop();
      if (dropped !== undefined) this.#left(name, line, dropped);
      dropped?.reject(overloaded());
    }
    return true;
  }

  #longest(): readonly [string, Line] | undefined {
    let longest: readonly [string, Line] | undefined;
    for (const one of this.#lines) {
      if (longest === undefined || one[1].signatures > longest[1].signatures) longest = one;
    }
    return longest;
  }

  #left(name: string, line: Line, { jobs }: Question): void {
    line.signatures -= jobs.length;
    this.#waiting -= jobs.length;
    if (line.questions.length === 0) this.#lines.delete(name);
  }

  // What comes in within one turn of the event loop is asked together: alone, a submission's two or three
  // signatures would be checked in this thread, and a busy gateway would be deaf for votes.
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#feed();
    });
  }

  #feed(): void {
    while (this.#waiting > 0 && this.#inPool < this.#limits.inPoolMax) {
      const questions = this.#draw(Math.max(1, Math.floor(this.#limits.inPoolMax / 2)));
      void this.#verify(questions);
    }
  }

  /** Whole questions, of each holder in turn what its turns have paid for, until they are `count` signatures. */
  #draw(count: number): readonly Question[] {
    const drawn: Question[] = [];
    let signatures = 0;
    while (signatures < count) {
      const next = this.#lines.entries().next();
      if (next.done === true) break;
      const [name, line] = next.value;
      const [question] = line.questions;
      if (question === undefined) break;
      const { length } = question.jobs;
      if (length > line.credit) {
        // Its turn is over, and the next one comes after everybody else's.
        line.credit += TURN;
        this.#lines.delete(name);
        this.#lines.set(name, line);
        continue;
      }
      line.credit -= length;
      line.questions.shift();
      drawn.push(question);
      signatures += length;
      this.#left(name, line, question);
    }
    return drawn;
  }

  async #verify(questions: readonly Question[]): Promise<void> {
    const jobs = questions.flatMap((question) => question.jobs);
    this.#inPool += jobs.length;
    try {
      const answers = await this.#verifier.verifyMany(jobs);
      let start = 0;
      for (const question of questions) {
        question.resolve(answers.slice(start, start + question.jobs.length));
        start += question.jobs.length;
      }
    } catch (error) {
      for (const { reject } of questions) reject(error);
    } finally {
      this.#inPool -= jobs.length;
      if (this.#waiting > 0) this.#schedule();
    }
  }
}

function overloaded(): SignaturePoolError {
  return new SignaturePoolError(
    'POOL_OVERLOADED',
    'more signatures wait than can be checked in a moment',
  );
}
