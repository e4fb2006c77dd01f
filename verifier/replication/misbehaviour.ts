// The pairs of signed statements that prove guilt, as pure predicates (CONSENSUS.md 2.13). Honest
// replicas can produce none of them as long as P1-P7 hold.
import { headerDigest } from './encode.ts';
import type {
  CosignMessage,
  MisbehaviourRule,
  ReplicaIndex,
  ViewChangeContent,
  Vote,
} from './messages.ts';
import type { Opening } from './validate.ts';

export type { Misbehaviour } from './messages.ts';

/** The rules of CONSENSUS.md 2.13, in the order of their numbers. */
export const MISBEHAVIOUR_RULES: readonly MisbehaviourRule[] = [
  'X1',
  'X2',
  'X3',
  'X4',
  'X5',
  'X6',
  'X7',
  'X8',
];

/** One number for a rule and who broke it, in STATUS: what a replica keeps, and what it lacks. */
export function proofMark(rule: MisbehaviourRule, accused: ReplicaIndex): number {
  return accused * MISBEHAVIOUR_RULES.length + MISBEHAVIOUR_RULES.indexOf(rule);
}

/** X1, X2: two votes of one phase in the same epoch, view and height for different batches. */
export function isDoubleVote(a: Vote, b: Vote): boolean {
  return a.epoch === b.epoch && a.view === b.view && a.height === b.height && a.digest !== b.digest;
}

/**
 * X3: the view change hides the commit. A correct replica that signed COMMIT(v, h, d) reports height h
 * as committed, or a prepare certificate at h that is of a view above v, or of v for d.
 */
export function hidesCommit(commit: Vote, content: ViewChangeContent): boolean {
  if (commit.epoch !== content.epoch || content.view <= commit.view) return false;
  if (content.last.header.height >= commit.height) return false;
  const prepared = content.prepared?.certificate.vote;
  if (prepared === undefined || prepared.height !== commit.height) return true;
  if (prepared.view > commit.view) return false;
  return !(prepared.view === commit.view && prepared.digest === commit.digest);
}

/** X6: a PREPARE of the view that its own NEW-VIEW forbids. The caller has compared `nv`. */
export function isAgainstOpening(prepare: Vote, { base, mandate }: Opening): boolean {
  if (prepare.height <= base) return true;
  if (mandate === undefined || prepare.height !== base + 1) return false;
  return prepare.digest !== headerDigest(mandate.header);
}

/** X7, the part that needs no proof: two roots for one size. */
export function isDoubleCosign(a: CosignMessage, b: CosignMessage): boolean {
  return a.signer === b.signer && a.size === b.size && a.root !== b.root;
}
