// Taking submissions from strangers, one by one or several in one request: the same places for both.
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';

import { HttpError, answerLateRefusal, type ErrorAnswer } from './errors.ts';
import type { PublicFace, SubmissionState } from './face.ts';
import {
  ADMISSIONS_MAX,
  ADMISSIONS_PER_NETWORK_MAX,
  SharedGate,
  WAITING_MAX,
  WAITING_PER_NETWORK_MAX,
  WAIT_SECONDS_MAX,
} from './limits.ts';

/** Submissions in admission, and those that wait. */
export class Admissions {
  readonly #face: Pick<PublicFace, 'submit'>;
  // A submission that waits needs a socket and a timer, one that doesn't only the work of admission.
  readonly #waiting = new SharedGate(WAITING_MAX, WAITING_PER_NETWORK_MAX);
  readonly #admitting = new SharedGate(ADMISSIONS_MAX, ADMISSIONS_PER_NETWORK_MAX);

  constructor(face: Pick<PublicFace, 'submit'>) {
    this.#face = face;
  }

  /**
   * Takes one submission in a place of its own.
   *
   * @param gone aborted when nobody waits for the answer any more
   * @param network see `networkOf`
   * @throws {HttpError} 503; as `PublicFace.submit`
   */
  async submit(
    envelope: Uint8Array,
    waitSeconds: number,
    gone: AbortSignal,
    network: string,
  ): Promise<SubmissionState> {
    const gate = waitSeconds > 0 ? this.#waiting : this.#admitting;
    const done = await gate.run(network, () =>
      this.#face.submit(envelope, waitSeconds * 1000, gone, network),
    );
    if (done === undefined) throw new HttpError(503, 'BUSY', 'too many submissions at one time', 1);
    return done.value;
  }
}

/** What is said of a submission. */
export type SubmissionAnswer =
  | { readonly kind: 'taken'; readonly status: 200 | 202; readonly body: object }
  | { readonly kind: 'refused'; readonly answer: ErrorAnswer };

/** The contract's answer: 200 committed, 202 pending, the refusal otherwise. */
export function answerSubmission(state: SubmissionState): SubmissionAnswer {
  const { id } = state;
  if (state.kind === 'committed') {
    return { kind: 'taken', status: 200, body: { id, status: 'committed', index: state.index } };
  }
  if (state.kind === 'pending') {
    return { kind: 'taken', status: 202, body: { id, status: 'pending' } };
  }
  return { kind: 'refused', answer: answerLateRefusal(state.refusal) };
}

/** Seconds in `?wait=`. @throws {HttpError} 400 */
export function readWait(text: string | undefined): number {
  if (text === undefined) return 0;
  const seconds = /^(?:0|[1-9][0-9]?)$/.test(text) ? Number(text) : Number.NaN;
  if (seconds <= WAIT_SECONDS_MAX) return seconds;
  throw new HttpError(
    400,
    'REQUEST_MALFORMED',
    `wait is not a number from 0 to ${WAIT_SECONDS_MAX}`,
  );
}

/** Aborted when the client hangs up before it was answered. */
export function goneSignal(c: Context<{ Bindings: HttpBindings }>): AbortSignal {
  const controller = new AbortController();
  const { outgoing } = c.env;
  outgoing.once('close', () => {
    // Every answer closes it in the end; aborting makes an error with its stack, for nobody.
    if (!outgoing.writableFinished) controller.abort();
  });
  return controller.signal;
}
