// The catalogue of ways to be faulty (RELIABILITY.md R3, CONSENSUS.md 3.1).
import {
  assembler,
  badBatches,
  duplicateSigners,
  hugeBatches,
  lyingPeer,
  rosterLiar,
  timeLiar,
} from './behaviours-batches.ts';
import { misleader } from './behaviours-ahead.ts';
import { slanderer, whisperer } from './behaviours-evidence.ts';
import {
  almostLateLeader,
  amnesiac,
  censor,
  flooder,
  narrowCensor,
  replayer,
  slowLeader,
  withholder,
} from './behaviours-traffic.ts';
import { lyingViewChange, thinNewView, twoNewViews } from './behaviours-view-change.ts';
import {
  doubleVoter,
  epochForger,
  equivocatingCosigner,
  equivocatingLeader,
  forger,
  mandateBreaker,
  selectivelySilent,
  silent,
  staleLeader,
  wrongDigest,
} from './behaviours-voting.ts';
import type { Behaviour } from './puppet.ts';

/** Every behaviour, by concern. Twins (twins.ts) come on top. */
export const BEHAVIOURS: readonly Behaviour[] = [
  equivocatingLeader,
  mandateBreaker,
  doubleVoter,
  wrongDigest,
  equivocatingCosigner,
  forger,
  epochForger,
  silent,
  selectivelySilent,
  lyingViewChange,
  twoNewViews,
  thinNewView,
  badBatches,
  hugeBatches,
  timeLiar,
  rosterLiar,
  assembler,
  duplicateSigners,
  lyingPeer,
  slowLeader,
  censor,
  narrowCensor,
  replayer,
  flooder,
  withholder,
  amnesiac,
  whisperer,
  slanderer,
  misleader,
];

/** Those that worlds have only when they are asked for: a longer list would give every seed another world. */
export const ASKED_FOR: readonly Behaviour[] = [staleLeader, almostLateLeader];

/** The behaviour of this name; undefined when there is none. */
export function behaviourNamed(name: string): Behaviour | undefined {
  return [...BEHAVIOURS, ...ASKED_FOR].find((behaviour) => behaviour.name === name);
}
