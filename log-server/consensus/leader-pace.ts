// How long the leader takes for what it has been given: the sentence that neither the view timer (W6), which
// starts anew with each commit, nor the counting of batches (Q5), which knows no time, can keep. A leader that
// holds each proposal for just less than the timer has would lead for ever, and slow everything down a
// hundredfold.
//
// An account of time: each height may take half of the view timer as long as something waits, what it takes
// beyond that is owed, and what it leaves of it is paid back. Whoever owes as much as eight heights that took
// all of the timer has to go. A network or machines that are that slow whoever leads would make leaders go in
// turn: each time that brings no quick heights doubles what may be owed, up to a bound.
import type { Digest } from '../../verifier/replication/messages.ts';

/** Heights in a row that take all of the view timer, after which a leader is replaced: some may have a reason. */
export const LATE_HEIGHTS_MAX = 8;

/** Heights in a row within a quarter of the view timer, after which the patience is what it was at first. */
const QUICK_HEIGHTS = 8;

/**
 * Largest exponent of the patience: 512 heights that took all of the timer. A log that stays slow changes its
 * leader that rarely, and a faulty leader that comes after such a time does not stay for ever.
 */
export const PATIENCE_DOUBLINGS_MAX = 6;

/** The account of the present leader. In half ticks, so that half of any timer is a whole number. */
export class LeaderPace {
  readonly #viewTicks: number;
  /** What it owes. */
  #owed = 0;
  /** Changes of a late leader since the last time that heights were quick. */
  #changes = 0;
  #quick = 0;
  /** An own request that everybody was shown, so that they see what we see. */
  shown: Digest | undefined;

  /** @param viewTicks first duration of the view timer */
  constructor(viewTicks: number) {
    this.#viewTicks = viewTicks;
  }

  /** Whether the leader owes anything. */
  get isLate(): boolean {
    return this.#owed > 0;
  }

  /** Whether it owes as much as may be owed. */
  get isTooLate(): boolean {
    return this.#owed >= this.#owedMax;
  }

  get #owedMax(): number {
    return LATE_HEIGHTS_MAX * this.#viewTicks * 2 ** this.#changes;
  }

  /** Whether something that waited for so many ticks has waited for longer than one height may take. */
  isLong(ticks: number): boolean {
    return 2 * ticks > this.#viewTicks;
  }

  /** A height was committed. What is beyond the view timer was that one's matter. @param ticks that it took */
  pass(ticks: number): void {
    const beyond = 2 * Math.min(ticks, this.#viewTicks) - this.#viewTicks;
    this.#owed = Math.min(Math.max(0, this.#owed + beyond), this.#owedMax);
    this.#quick = 4 * ticks <= this.#viewTicks ? this.#quick + 1 : 0;
    if (this.#quick >= QUICK_HEIGHTS) this.#changes = 0;
  }

  /**
   * Another leader owes nothing yet. Whoever has borne half of it counts the change as well as those who
   * asked for it, or members that come to their ends by turns would change leaders twice as often.
   */
  restart(): void {
    if (2 * this.#owed >= this.#owedMax) {
      this.#changes = Math.min(this.#changes + 1, PATIENCE_DOUBLINGS_MAX);
    }
    this.#quick = 0;
    this.#owed = 0;
    this.shown = undefined;
  }
}
