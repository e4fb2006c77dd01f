// What a simulation is looking for.

/** The invariants of CONSENSUS.md 2.15, and the rules that have local checks of their own. */
export type InvariantName =
  | 'I1'
  | 'I2'
  | 'I3'
  | 'I4'
  | 'I5'
  | 'I6'
  | 'I7'
  | 'I8'
  | 'I9'
  | 'I10'
  | 'I11'
  | 'I12'
  | 'I13'
  | 'I14'
  /** Two prepare certificates can be made for one view and height (Lemma A). */
  | 'lemma-A'
  /** A prepare certificate of a later view contradicts a commit certificate (Lemma B). */
  | 'lemma-B'
  /** A correct replica stopped itself. */
  | 'halted'
  /** A correct replica voted for a batch that it must not vote for (N3 to N6, V9). */
  | 'vote'
  /** A view change without any fault, or requests passed by (Q4, Q5). */
  | 'fairness';

/** An invariant does not hold. */
export class Violation extends Error {
  readonly invariant: InvariantName;

  constructor(invariant: InvariantName, message: string) {
    super(`${invariant}: ${message}`);
    this.invariant = invariant;
  }
}
