// Questions of a package manager, put to the log together. npm asks about dozens of packages at a time,
// and every question by itself would cost a round of all replicas; so those that come in while one is
// under way are one question afterwards.
import { subjectId, type Subject, type SubjectResult } from '../../verifier/evidence/subject.ts';
import { assert } from '../../verifier/errors.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import type { SubjectReport } from '../output/report.ts';
import type { LogSession, Verified } from '../session/log-session.ts';
import { PolicyRun } from '../session/policy-run.ts';
import { reportRelease } from '../session/report-subject.ts';

/**
 * Subjects of one question to a replica. With the largest statements that there may be, evidence for so
 * many stays below what a client takes.
 */
const QUESTION_SUBJECTS_MAX = 500;

/** A verified answer, and what the policy says to it. */
export interface Judged {
  readonly result: SubjectResult;
  /** With the policy's word; `undefined` for a package as such, which no rule is about. */
  readonly report: SubjectReport | undefined;
}

interface Question {
  readonly subjects: readonly Subject[];
  readonly isNew: boolean;
  readonly resolve: (answers: readonly Judged[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Asks the log and the policy. One question at a time is under way. */
export class Verdicts {
  readonly #invocation: Invocation;
  readonly #session: LogSession;
  readonly #waiting: Question[] = [];
  #isAsking = false;
  /** What was verified last. */
  latest: Verified | undefined;

  constructor(invocation: Invocation, session: LogSession) {
    this.#invocation = invocation;
    this.#session = session;
  }

  /**
   * The verdicts on subjects, in their order.
   *
   * @param isNew whether these are candidates for something new: then a yanked release is refused
   * @throws what {@link LogSession.verify} throws: nothing is known then
   */
  async ask(subjects: readonly Subject[], isNew: boolean): Promise<readonly Judged[]> {
    const parts: Promise<readonly Judged[]>[] = [];
    for (let at = 0; at < subjects.length; at += QUESTION_SUBJECTS_MAX) {
      const part = subjects.slice(at, at + QUESTION_SUBJECTS_MAX);
      parts.push(
        new Promise((resolve, reject) => {
          this.#waiting.push({ subjects: part, isNew, resolve, reject });
        }),
      );
    }
    void this.#work();
    return (await Promise.all(parts)).flat();
  }

  async #work(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      while (this.#waiting.length > 0) await this.#answer(this.#takeTogether());
    } finally {
      this.#isAsking = false;
    }
  }

  #takeTogether(): readonly Question[] {
    const taken: Question[] = [];
    let count = 0;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      count += next.subjects.length;
      if (taken.length > 0 && count > QUESTION_SUBJECTS_MAX) break;
      taken.push(next);
      this.#waiting.shift();
    }
    return taken;
  }

  async #answer(questions: readonly Question[]): Promise<void> {
    const distinct = new Map<string, Subject>();
    for (const { subjects } of questions) {
      for (const subject of subjects) distinct.set(subjectId(subject), subject);
    }
    try {
      const run = new PolicyRun(this.#invocation, this.#session);
      const verified = await run.ask([...distinct.values()]);
      this.latest = verified;
      const ids = [...distinct.keys()];
      const results = new Map(ids.map((id, i) => [id, verified.evidence.subjects[i]]));
      for (const question of questions) question.resolve(judge(run, question, results));
    } catch (error) {
      const [only] = questions;
      if (only !== undefined && questions.length === 1) return only.reject(error);
      // One package with a monstrous history must not keep the others from being answered.
      if (error instanceof CliError && error.diagnostic.code === 'BP7001') {
        for (const question of questions) question.reject(error);
        return;
      }
      for (const question of questions) await this.#answer([question]);
    }
  }
}

function judge(
  run: PolicyRun,
  { subjects, isNew }: Question,
  results: ReadonlyMap<string, SubjectResult | undefined>,
): readonly Judged[] {
  const found = subjects.map((subject) => {
    const result = results.get(subjectId(subject));
    assert(result !== undefined, 'evidence has an answer for every subject');
    return { subject, result };
  });
  const releases = found.flatMap(({ subject, result }) => {
    if (subject.kind !== 'release') return [];
    const { name, version } = subject;
    return [reportRelease({ name, version, sha512: undefined, location: null }, result)];
  });
  const scope = { lockText: undefined, isWhole: false, isNew: () => isNew };
  const judged = [...run.judge(releases, scope).subjects];
  return found.map(({ subject, result }) => {
    return { result, report: subject.kind === 'release' ? judged.shift() : undefined };
  });
}
