// The verification of evidence, as the numbered steps of DESIGN section 7. Steps 2 (getting it) and
// 7 (bytes, on install) are the caller's; so is storing the trust state of step 8.
import { planCheckpoint, type VerifiedCheckpoint } from '../cosignature.ts';
import { statementHash } from '../dsse.ts';
import type { CommitEntry } from '../entry.ts';
import { VerifyError, assert } from '../errors.ts';
import { parseNote } from '../note.ts';
import { parseRoster, planRosterChain, type Roster } from '../roster.ts';
import type { SignatureVerifier } from '../signatures.ts';
import type { Evidence } from './format.ts';
import { Judge, type Verdict } from './judge.ts';
import { rememberedLeaves, type Remembered } from './remembered.ts';
import { ShownLog } from './shown-log.ts';
import { SignatureRound } from './signature-round.ts';
import { subjectId, type Subject, type SubjectResult } from './subject.ts';
import { advanceTrust, type TrustState } from './trust.ts';

/** A monorepo with all its tools has about 3,000 packages. */
export const SUBJECTS_MAX = 10_000;

/**
 * Subjects that are planned at a time, while the signatures of those before them are verified: on threads of
 * the verifier's, if it has any. What is planned takes 20 KB a subject until it is done.
 */
export const SLICE_SUBJECTS = 256;

/** What is to be verified, by what standards. */
export interface EvidenceRequest {
  /**
   * The document, or what reads it, called once. What is read here is given up as soon as the log that it shows is
   * known to be under the checkpoint: of a large document, megabytes of text for as long as signatures take.
   */
  readonly evidence: Evidence | (() => Evidence);
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
  /** Releases that were verified before: evidence may leave their entries out. */
  readonly remembered?: Remembered;
}

/** What evidence proved. */
export interface VerifiedEvidence {
  readonly roster: Roster;
  readonly checkpoint: VerifiedCheckpoint;
  readonly commit: CommitEntry;
  /** One for each subject asked about, in that order. */
  readonly subjects: readonly SubjectResult[];
  /**
   * Purls of subjects that were refused because something else is remembered of them than the log has now,
   * and the evidence left it out: to be asked for again, whole.
   */
  readonly outdated: readonly string[];
  /** To be stored, by compare and swap with `trusted`, after success only. */
  readonly trust: TrustState;
}

/**
 * Verifies evidence. A broken roster, checkpoint or tree refuses all of it; a broken subject is
 * refused alone.
 *
 * Signatures are asked for in rounds, each one call of the verifier: first those of the view (rosters and
 * checkpoint), then those of statements, some hundred subjects at a time. In between the entries are checked against
 * the tree, so that a stranger can't make a client verify signatures that no quorum has logged.
 *
 * @param verifier   for rosters and checkpoint
 * @param statements for what maintainers signed, if something else: it may remember what it has verified
 *        before, because a quorum has just been found to have cosigned all of it
 * @throws {VerifyError} `ROSTER_*`, `QUORUM_NOT_REACHED`, `NOTE_*`, `CHECKPOINT_*`, `COSIGNATURE_*`,
 *         `ORIGIN_MISMATCH`, `CONSISTENCY_PROOF_INVALID`, `INCLUSION_PROOF_INVALID`,
 *         `COMMIT_LEAF_MISSING`, `MAP_*`, `FORMAT_UNSUPPORTED`; a fork is a `ForkError`
 * @throws {AssertionError} without subjects: "nothing to verify" is not "verified" (promise P7), and
 *         only the caller can say what it means
 */
export async function verifyEvidence(
  request: EvidenceRequest,
  verifier: SignatureVerifier,
  statements: SignatureVerifier = verifier,
): Promise<VerifiedEvidence> {
  requireSaneRequest(request);
  const { log, remembered, ...proven } = await openLog(request, verifier);
  const judged = await judgeAll(log, request.subjects, statements, remembered);
  return { ...proven, commit: log.commit, ...judged };
}

interface OpenedLog extends Pick<VerifiedEvidence, 'roster' | 'checkpoint' | 'trust'> {
  readonly log: ShownLog;
  readonly remembered: Remembered;
}

// A function of its own, so that nobody holds the document while subjects are judged.
async function openLog(request: EvidenceRequest, verifier: SignatureVerifier): Promise<OpenedLog> {
  const evidence = typeof request.evidence === 'function' ? request.evidence() : request.evidence;
  const { rosters, roster, checkpoint } = await verifyView(evidence, request.pin, verifier);
  // Before the age: of a fork there must be evidence, however old it is.
  const step = { pin: request.pin, evidence, rosters, roster, checkpoint };
  const trust = advanceTrust(step, request.trusted);
  requireFresh(checkpoint, request);

  const remembered = rememberedOf(request);
  const hidden = rememberedLeaves(remembered.values());
  const log = new ShownLog(evidence, checkpoint.checkpoint, hidden);
  requireEpoch(log, checkpoint.checkpoint.size, roster);
  return { roster, checkpoint, trust, log, remembered };
}

// Of the subjects asked about only: the tree is to have exactly the leaves that these need.
function rememberedOf({ subjects, remembered }: EvidenceRequest): Remembered {
  if (remembered === undefined || remembered.size === 0) return new Map();
  const asked = subjects.flatMap((subject) => {
    const known = subject.kind === 'release' ? remembered.get(subjectId(subject)) : undefined;
    return known === undefined ? [] : [[known.purl, known] as const];
  });
  return new Map(asked);
}

/** The part of a log that evidence shows, under a checkpoint of a quorum. */
export interface VerifiedLog {
  /** From the pin to the one in force. */
  readonly rosters: readonly Roster[];
  readonly checkpoint: VerifiedCheckpoint;
  readonly log: ShownLog;
}

/**
 * Verifies the log that evidence shows, whatever its age and whoever is asked about: steps 1, 3 and 5.
 * For documents about the past, which have nothing to be fresh about.
 *
 * @throws {VerifyError} as `verifyEvidence`
 */
export async function verifyLog(
  evidence: Evidence,
  pin: string,
  verifier: SignatureVerifier,
): Promise<VerifiedLog> {
  const { rosters, roster, checkpoint } = await verifyView(evidence, pin, verifier);
  const log = new ShownLog(evidence, checkpoint.checkpoint);
  requireEpoch(log, checkpoint.checkpoint.size, roster);
  return { rosters, checkpoint, log };
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

interface View {
  /** From the pin to the one in force. */
  readonly rosters: readonly Roster[];
  /** The one in force. */
  readonly roster: Roster;
  readonly checkpoint: VerifiedCheckpoint;
}

// Steps 1 and 3: the chain of rosters from the pin, and a quorum of the newest on the checkpoint.
async function verifyView(
  evidence: Evidence,
  pin: string,
  verifier: SignatureVerifier,
): Promise<View> {
  const round = new SignatureRound();
  const chain = planRosterChain(pin, evidence.rosters);
  const rostersAnswer = round.ask(() => chain);
  const newest = evidence.rosters.at(-1);
  assert(newest !== undefined, 'a planned roster chain is not empty');
  // Its keys are used for questions before it is verified; the answers count only afterwards.
  const roster = parseRoster(newest.payload);
  const note = parseNote(evidence.checkpoint);
  const checkpointAnswer = round.ask(() => planCheckpoint(note, roster));
  await round.run(verifier);
  const rosters = rostersAnswer();
  assert(rosters.at(-1)?.hash === roster.hash, 'the verified chain ends with the newest roster');
  return { rosters, roster, checkpoint: checkpointAnswer() };
}

// Step 6.
async function judgeAll(
  log: ShownLog,
  subjects: readonly Subject[],
  verifier: SignatureVerifier,
  remembered: Remembered,
): Promise<Pick<VerifiedEvidence, 'subjects' | 'outdated'>> {
  const judge = new Judge(log, remembered);
  const results: SubjectResult[] = [];
  let before: { readonly done: Promise<void>; readonly verdicts: readonly Verdict[] } | undefined;
  const finish = async (): Promise<void> => {
    if (before === undefined) return;
    await before.done;
    for (const verdict of before.verdicts) results.push(verdict());
  };
  for (let at = 0; at < subjects.length; at += SLICE_SUBJECTS) {
    const round = new SignatureRound();
    const verdicts = subjects
      .slice(at, at + SLICE_SUBJECTS)
      .map((subject) => judge.plan(subject, round));
    await finish();
    before = { done: round.run(verifier), verdicts };
  }
  await finish();
  return { subjects: results, outdated: judge.outdated };
}

// Step 5, last part: the roster that cosigned has to be the one in force after the last batch: that of
// the batch's epoch or, when the batch ended its epoch, the roster that it logged. Otherwise a quorum of
// a replaced roster could go on extending the log.
function requireEpoch(log: ShownLog, size: number, roster: Roster): void {
  const { epoch } = log.commit;
  if (epoch === roster.epoch || (epoch + 1 === roster.epoch && isEnd(log, size, roster))) return;
  throw new VerifyError(
    'ROSTER_CHAIN_BROKEN',
    `the log's last batch is of epoch ${epoch}, the newest roster shown is of epoch ${roster.epoch}`,
    { found: `epoch ${roster.epoch}`, expected: `epoch ${epoch}` },
  );
}

// A roster is alone in its batch, right before the commit entry.
function isEnd(log: ShownLog, size: number, roster: Roster): boolean {
  if (!log.shows(size - 2)) return false;
  const { kind, envelope } = log.statementAt(size - 2);
  return kind === 'roster' && statementHash(envelope.payload) === roster.hash;
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
