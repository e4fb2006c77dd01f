// The port through which Ed25519 verification is done. Callers collect all the checks that a task
// needs and ask once, so that a driver can spread them over cores; the rule itself is in ed25519.ts.
import { equalBytes } from './bytes.ts';
import type { PublicKey } from './ed25519.ts';
import { VerifyError, assert } from './errors.ts';

/** One question: did the holder of `publicKey` sign exactly `message`? */
export interface SignatureJob {
  readonly publicKey: PublicKey;
  readonly message: Uint8Array;
  /** 64 bytes; any other length is simply not a signature. */
  readonly signature: Uint8Array;
}

/** Answers many questions at once, in order. Every implementation follows the rule of ed25519.ts. */
export interface SignatureVerifier {
  verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]>;
}

/**
 * A check whose signatures are still to be verified. Making the plan does everything that needs no
 * signature (and throws at once for what is wrong there); `finish` turns the answers into the value,
 * which cannot be had any other way.
 */
export interface SignaturePlan<T> {
  readonly jobs: readonly SignatureJob[];
  /**
   * @param valid the answers to `jobs`, in the same order
   * @throws {VerifyError} when they do not suffice
   */
  finish(valid: readonly boolean[]): T;
}

/** What became of one plan among several. */
export type PlanOutcome<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'refused'; readonly error: VerifyError };

/**
 * Runs one plan.
 *
 * @throws {VerifyError} what the plan's `finish` throws
 */
export async function runPlan<T>(verifier: SignatureVerifier, plan: SignaturePlan<T>): Promise<T> {
  return plan.finish(await ask(verifier, plan.jobs));
}

/**
 * Runs many plans with one call of the verifier. A job that several plans share is asked once. One
 * plan's refusal leaves the others alone.
 *
 * @returns the outcomes, in the order of `plans`
 */
export async function runPlans<T>(
  verifier: SignatureVerifier,
  plans: readonly SignaturePlan<T>[],
): Promise<readonly PlanOutcome<T>[]> {
  const distinct = new DistinctJobs();
  const positions = plans.map((plan) => plan.jobs.map((job) => distinct.add(job)));
  const answers = await ask(verifier, distinct.jobs);
  return plans.map((plan, i) => {
    const valid = (positions[i] ?? []).map((position) => answers[position] === true);
    try {
      return { kind: 'ok', value: plan.finish(valid) };
    } catch (error) {
      // Anything else is a bug and must not be reported as somebody's bad signature.
      if (!(error instanceof VerifyError)) throw error;
      return { kind: 'refused', error };
    }
  });
}

async function ask(
  verifier: SignatureVerifier,
  jobs: readonly SignatureJob[],
): Promise<readonly boolean[]> {
  if (jobs.length === 0) return [];
  const answers = await verifier.verifyMany(jobs);
  assert(answers.length === jobs.length, 'a verifier answers each job');
  return answers;
}

/**
 * The first thirty bits as a number (a small one, for the engine): where a signature is looked for. Honest
 * signatures differ there; who makes his own alike has them verified twice.
 */
function startOf(bytes: Uint8Array): number {
  const first = ((bytes[0] ?? 0) << 22) | ((bytes[1] ?? 0) << 14);
  return first | ((bytes[2] ?? 0) << 6) | ((bytes[3] ?? 0) >> 2);
}

function isSameJob(a: SignatureJob, b: SignatureJob): boolean {
  if (a === b) return true;
  return (
    equalBytes(a.publicKey, b.publicKey) &&
    equalBytes(a.signature, b.signature) &&
    equalBytes(a.message, b.message)
  );
}

/** A list of jobs without the repetitions that evidence for many releases is full of. */
class DistinctJobs {
  readonly jobs: SignatureJob[] = [];
  readonly #positions = new Map<number, number>();

  /** @returns the position of the job, or of the same one added earlier */
  add(job: SignatureJob): number {
    const id = startOf(job.signature);
    const position = this.#positions.get(id);
    const earlier = position === undefined ? undefined : this.jobs[position];
    // Compared with one earlier job only: a stranger who repeats one signature under a thousand
    // messages gets a thousand verifications, not a million comparisons.
    if (position !== undefined && earlier && isSameJob(earlier, job)) {
      return position;
    }
    this.jobs.push(job);
    if (position === undefined) this.#positions.set(id, this.jobs.length - 1);
    return this.jobs.length - 1;
  }
}
