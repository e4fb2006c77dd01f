// Collects the signature checks of many independent questions into one call of the verifier, which
// can then spread them over cores, and hands each question its own answer or refusal.
import { VerifyError, assert } from '../errors.ts';
import {
  runPlans,
  type PlanOutcome,
  type SignaturePlan,
  type SignatureVerifier,
} from '../signatures.ts';

/**
 * The answer to a question, once the round has run.
 *
 * @throws {VerifyError} when it was refused
 */
export type Answer<T> = () => T;

/** One round: any number of `ask`, then `run`, then the answers. */
export class SignatureRound {
  readonly #plans: SignaturePlan<void>[] = [];
  #outcomes: readonly PlanOutcome<void>[] | undefined;

  /**
   * Adds a question.
   *
   * @param plan makes its plan; a refusal already here is the answer
   */
  ask<T>(plan: () => SignaturePlan<T>): Answer<T> {
    assert(this.#outcomes === undefined, 'questions come before the round');
    let position: number;
    let answer: { readonly value: T } | undefined;
    try {
      const made = plan();
      // Only now: making the plan may have asked questions of its own.
      position = this.#plans.length;
      this.#plans.push({
        jobs: made.jobs,
        finish: (valid) => {
          answer = { value: made.finish(valid) };
        },
      });
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      return () => {
        throw error;
      };
    }
    return () => {
      const outcome = this.#outcomes?.[position];
      assert(outcome !== undefined, 'answers come after the round');
      if (outcome.kind === 'refused') throw outcome.error;
      assert(answer !== undefined, 'a plan that succeeded has a value');
      return answer.value;
    };
  }

  /** Asks everything at once; identical jobs only once. */
  async run(verifier: SignatureVerifier): Promise<void> {
    assert(this.#outcomes === undefined, 'a round runs once');
    this.#outcomes = await runPlans(verifier, this.#plans);
    // Answers are asked for long after; the questions, with every signed text, need not wait for that.
    this.#plans.length = 0;
  }
}

/** Several plans as one, whose value is all of theirs; the first refusal refuses it. */
export function planAll<T>(plans: readonly SignaturePlan<T>[]): SignaturePlan<readonly T[]> {
  return {
    jobs: plans.flatMap(({ jobs }) => jobs),
    finish: (valid) => {
      let start = 0;
      return plans.map((plan) => {
        const end = start + plan.jobs.length;
        const value = plan.finish(valid.slice(start, end));
        start = end;
        return value;
      });
    },
  };
}
