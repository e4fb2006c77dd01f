// One check for a signature that two ask about at the same time. What peers sent ahead of a batch is checked in
// their turn, and often enough the batch itself comes while that is under way, or still waits in their line: a
// tenth and more of all that three replicas of four verified, they verified twice.
import { assert } from '../../verifier/errors.ts';
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';

/** What was asked in one go. */
interface Question {
  readonly jobs: SignatureJob[];
  answers: readonly boolean[];
  done: Promise<void>;
}

/** Where the answer about a job will be. */
interface Place {
  readonly question: Question;
  readonly at: number;
}

/**
 * Asks another verifier about each job once while that is under way, and once for ever if it is good. Below every
 * queue, so that nobody waits in somebody else's line: what is shared is being checked already.
 *
 * A job is known by its identity, as a plan keeps its jobs and a statement its plan; nothing is hashed. Nobody may
 * change a job, nor the bytes in it, once it was asked about.
 */
export class SharingVerifier implements SignatureVerifier {
  readonly #inner: SignatureVerifier;
  // Gone with the job. Bad ones are not kept: a stranger's, they are asked about once anyway.
  readonly #known = new WeakMap<SignatureJob, Place | true>();

  constructor(inner: SignatureVerifier) {
    this.#inner = inner;
  }

  /** @throws what the inner verifier throws, also at a question of somebody else's that is shared */
  async verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    const own: Question = { jobs: [], answers: [], done: Promise.resolve() };
    const waited = new Set<Question>();
    const places = jobs.map((job) => {
      const known = this.#known.get(job) ?? this.#add(job, own);
      if (known !== true) waited.add(known.question);
      return known;
    });
    if (own.jobs.length > 0) own.done = this.#ask(own);
    await Promise.all([...waited].map(({ done }) => done));
    return places.map((place) => place === true || place.question.answers[place.at] === true);
  }

  #add(job: SignatureJob, question: Question): Place {
    const place = { question, at: question.jobs.length };
    question.jobs.push(job);
    this.#known.set(job, place);
    return place;
  }

  async #ask(question: Question): Promise<void> {
    const { jobs } = question;
    try {
      const answers = await this.#inner.verifyMany(jobs);
      assert(answers.length === jobs.length, 'a verifier answers each job');
      question.answers = answers;
    } finally {
      // Also what could not be checked: whoever asks next asks anew.
      for (const [i, job] of jobs.entries()) {
        if (question.answers[i] === true) this.#known.set(job, true);
        else this.#known.delete(job);
      }
    }
  }
}
