// The verification of evidence, as the numbered steps of DESIGN section 7. Steps 2 (getting it) and
// 7 (bytes, on install) are the caller's; so is storing the trust state of step 8.
import { parseCheckpoint } from '../checkpoint.ts';
import { planCheckpoint, type VerifiedCheckpoint } from '../cosignature.ts';
import type { CommitEntry } from '../entry.ts';
import { VerifyError, assert } from '../errors.ts';
import { parseNote } from '../note.ts';
import { planRosterChain, type Roster } from '../roster.ts';
import { runPlan, type SignatureVerifier } from '../signatures.ts';
import type { Evidence } from './format.ts';
import { Judge } from './judge.ts';
import { ShownLog } from './shown-log.ts';
import { SignatureRound, type Answer } from './signature-round.ts';
import type { Subject, SubjectResult } from './subject.ts';
import { advanceTrust, type TrustState } from './trust.ts';

/** A monorepo with all its tools has about 3,000 packages. */
export const SUBJECTS_MAX = 10_000;

/** What is to be verified, by what standards. */
export interface EvidenceRequest {
  readonly evidence: Evidence;
  /** Hash of a roster, hex: where trust starts. */
  readonly pin: string;
  /** 1 to `SUBJECTS_MAX`. */
  readonly subjects: readonly Subject[];
  /** The client's clock, Unix seconds. */
  readonly nowSeconds: number;
  /** How old the view may be, by its certified time. */
  readonly checkpointAgeMaxSeconds: number;
  /** How far the view may lie in the future: clocks differ. */
  readonly clockSkewMaxSeconds: number;
  /** What was accepted last; absent on first contact. */
  readonly trusted?: TrustState;
}

/** What evidence proved. */
export interface VerifiedEvidence {
  readonly roster: Roster;
  readonly checkpoint: VerifiedCheckpoint;
  readonly commit: CommitEntry;
  /** One for each subject asked about, in that order. */
  readonly subjects: readonly SubjectResult[];
  /** To be stored, by compare and swap with `trusted`, after success only. */
  readonly trust: TrustState;
}

/**
 * Verifies evidence. A broken roster, checkpoint or tree refuses all of it; a broken subject is
 * refused alone.
 *
 * Signatures are asked for in two rounds, because the keys of the checkpoint are known only when the
 * rosters are: each round is one call of the verifier.
 *
 * @throws {VerifyError} `ROSTER_*`, `QUORUM_NOT_REACHED`, `NOTE_*`, `CHECKPOINT_*`, `COSIGNATURE_*`,
 *         `ORIGIN_MISMATCH`, `CONSISTENCY_PROOF_INVALID`, `INCLUSION_PROOF_INVALID`,
 *         `COMMIT_LEAF_MISSING`, `MAP_*`, `FORMAT_UNSUPPORTED`
 * @throws {AssertionError} without subjects: "nothing to verify" is not "verified" (promise P7), and
 *         only the caller can say what it means
 */
export async function verifyEvidence(
  request: EvidenceRequest,
  verifier: SignatureVerifier,
): Promise<VerifiedEvidence> {
  requireSaneRequest(request);
  const { subjects } = request;

  const rosters = await verifyRosters(request, verifier);
  const round = new SignatureRound();
  const view = askAboutView(request, rosters, round);
  const log = await openLog(request, rosters, verifier);
  const judge = new Judge(log, round);
  const verdicts = subjects.map((subject) => judge.plan(subject));
  await round.run(verifier);

  const { roster, checkpoint, trust } = view();
  return {
    roster,
    checkpoint,
    commit: log.commit,
    subjects: verdicts.map((verdict) => verdict()),
    trust,
  };
}

function requireSaneRequest(request: EvidenceRequest): void {
  const count = request.subjects.length;
  assert(count >= 1 && count <= SUBJECTS_MAX, `there are 1 to ${SUBJECTS_MAX} subjects`);
  const { nowSeconds, checkpointAgeMaxSeconds, clockSkewMaxSeconds } = request;
  for (const seconds of [nowSeconds, checkpointAgeMaxSeconds, clockSkewMaxSeconds]) {
    // With NaN every comparison of times would be false, and nothing ever too old.
    assert(Number.isSafeInteger(seconds) && seconds >= 0, 'times are whole seconds');
  }
}

// Step 1: from the pin to the roster in force.
function verifyRosters(
  { evidence, pin }: EvidenceRequest,
  verifier: SignatureVerifier,
): Promise<readonly Roster[]> {
  return runPlan(verifier, planRosterChain(pin, evidence.rosters));
}

function newest(rosters: readonly Roster[]): Roster {
  const roster = rosters.at(-1);
  assert(roster !== undefined, 'a verified roster chain is not empty');
  return roster;
}

type View = Pick<VerifiedEvidence, 'roster' | 'checkpoint' | 'trust'>;

// Steps 3, 4 and 8: the checkpoint, against the newest roster, the clock and what was known.
function askAboutView(
  request: EvidenceRequest,
  rosters: readonly Roster[],
  round: SignatureRound,
): Answer<View> {
  const { evidence, pin, trusted } = request;
  const roster = newest(rosters);
  const answer = round.ask(() => planCheckpoint(parseNote(evidence.checkpoint), roster));
  return () => {
    const checkpoint = answer();
    // Before its age: of a fork there must be evidence, however old it is.
    const trust = advanceTrust({ pin, evidence, rosters, roster, checkpoint }, trusted);
    requireFresh(checkpoint, request);
    return { roster, checkpoint, trust };
  };
}

// Step 5, and inclusion for step 6. It comes before the signatures of the statements, so that a
// stranger can't make a client verify signatures of entries that no quorum has logged: a tree that
// does not fit its root costs hashes only.
async function openLog(
  request: EvidenceRequest,
  rosters: readonly Roster[],
  verifier: SignatureVerifier,
): Promise<ShownLog> {
  try {
    const { text } = parseNote(request.evidence.checkpoint);
    const log = new ShownLog(request.evidence, parseCheckpoint(text));
    requireEpoch(log.commit, newest(rosters));
    return log;
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    // When the checkpoint itself is at fault, that is what to report, not the consequence.
    const round = new SignatureRound();
    const view = askAboutView(request, rosters, round);
    await round.run(verifier);
    view();
    throw error;
  }
}

// The roster that cosigned has to be the one whose epoch the batch belongs to: otherwise a quorum of
// a replaced roster could go on extending the log.
function requireEpoch(commit: CommitEntry, roster: Roster): void {
  if (commit.epoch === roster.epoch) return;
  throw new VerifyError(
    'ROSTER_CHAIN_BROKEN',
    `the log's last batch is of epoch ${commit.epoch}, the newest roster shown is of epoch ${roster.epoch}`,
    { found: `epoch ${roster.epoch}`, expected: `epoch ${commit.epoch}` },
  );
}

// Step 3, age (promise P5): the quorum and the certified time are cosignature.ts's.
function requireFresh({ certifiedTime }: VerifiedCheckpoint, request: EvidenceRequest): void {
  const { nowSeconds, checkpointAgeMaxSeconds, clockSkewMaxSeconds } = request;
  const age = nowSeconds - certifiedTime;
  if (age > checkpointAgeMaxSeconds) {
    throw new VerifyError(
      'CHECKPOINT_STALE',
      `the newest view of the log is ${age} s old, at most ${checkpointAgeMaxSeconds} s is allowed`,
      {
        found: `${age} s`,
        expected: `at most ${checkpointAgeMaxSeconds} s`,
        hint: 'ask again or another replica; if all are stale, somebody may be freezing the log',
      },
    );
  }
  if (-age > clockSkewMaxSeconds) {
    throw new VerifyError(
      'CHECKPOINT_FUTURE',
      `the view of the log is certified for ${-age} s from now`,
      { found: `${-age} s`, expected: `at most ${clockSkewMaxSeconds} s`, hint: 'check the clock' },
    );
  }
}
