// Deliberate bugs. A simulator that can't find them finds nothing; each name is asked for at exactly
// one place of the core (CONSENSUS.md 3.3). Production has none.

/** Every mutant, with the rule that it breaks. */
export const MUTANTS = {
  'vote-not-persisted': 'P1: a PREPARE leaves before its record is durable, and no record is kept',
  'body-not-persisted': 'P1: the body of a vote is not kept',
  'prepared-not-persisted': 'P2: a COMMIT leaves without its prepare certificate being durable',
  'view-not-persisted': 'P3: the promise of a view change is not kept',
  'new-view-not-persisted': 'P4, P5: the NEW-VIEW of a view is not kept',
  'sign-before-durable': 'C1: signatures are asked for before anything is durable',
  'view-change-forgets-prepared': 'V12: a VIEW-CHANGE leaves the prepare certificate out',
  'prepared-cleared-on-new-view': 'V12: a NEW-VIEW clears the prepare certificate',
  'double-vote': 'C3: a second PREPARE in one view and height is signed',
  'commit-in-old-view': 'V1: votes of a view that was left are still signed',
  'lowest-prepared-wins': 'V6: the candidate with the lowest view becomes the mandate',
  'any-prepared-wins': 'V6: the first candidate becomes the mandate',
  'no-mandate': 'V6: candidates are ignored by everybody',
  'mandate-ignored': 'N3: followers vote for a proposal that contradicts the mandate',
  'new-view-weak-quorum': 'V5: a weak quorum of VIEW-CHANGEs opens a view',
  'view-change-certificate-unchecked': 'V3: certificates inside a VIEW-CHANGE are believed',
  'duplicate-signers-counted': 'R4: a signer that comes twice counts twice',
  'vote-at-base': 'V9: votes at or below the base of a view are signed',
  'two-f-plus-one': 'M2: the quorum is 2F + 1 whatever the weights',
  'weights-ignored': 'E6: members are counted, not weighed',
  'cosign-at-commit-vote': 'N9: the cosignature is given with the COMMIT',
  'commit-votes-pooled': 'N8: COMMITs of different views make one certificate',
  'nv-unchecked': '2.1: votes of another NEW-VIEW of the same view are counted',
  'wish-not-resent': 'W3: a wish is sent once, and not after the view was entered',
  'wishes-not-amplified': 'W4: the wishes of a weak quorum move nobody',
  'timer-not-doubled': 'W6: the view timer stays at its first value',
  'timer-blind-to-pool': 'W6: waiting requests do not start the view timer',
  'epoch-unchecked': 'R1: votes of another epoch are counted',
  'artifact-check-skipped': 'N4: a batch whose artifacts are not here counts as checked',
  'body-unchecked': 'N4: bodies are not executed before a vote',
  'parent-unchecked': 'N3: a proposal on another parent is accepted',
  'clock-unchecked': 'N5: a proposal from the future is voted for',
  'starvation-blind': 'Q5: a leader that leaves out requests is never suspected',
  'old-batches-counted':
    'Q5: batches from before a request was given away count against the leader',
  'relay-missing': 'Q3: uncommitted requests are not given to the others',
  'lanes-ignored': 'Q4: the leader takes the own lane first and always',
  'early-proposal-dropped': 'N10: a proposal for the height after next is thrown away',
  'bodies-not-fetched': 'N11: a body that is missing is waited for, not asked for',
  'batches-not-fetched': 'S1: a replica that is behind does not ask',
  'evidence-not-told': '2.3: a proof of guilt is kept, and nobody else is told',
  'evidence-unchecked': 'R3: a proof of guilt that a peer hands on is believed',
  'hearsay-believed': 'X8: a peer says that a proposal was invalid, and nobody executes it',
  'prefetch-unhashed': '2.3: what was sent ahead counts as the body of whatever is proposed',
  'accused-again': 'R6: a proof of guilt is reported each time that its message is repeated',
} as const;

/** The name of a deliberate bug. */
export type MutantName = keyof typeof MUTANTS;
