// One view of the log, from replicas of which some may be dead, silent or liars: evidence from the first
// that is alive, the newest checkpoint from all of them at the same time, and the comparison of the two.
import { parseCheckpoint } from '../../verifier/checkpoint.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { VerifyError, type VerifyErrorCode } from '../../verifier/errors.ts';
import type { Evidence } from '../../verifier/evidence/format.ts';
import type { VerifiedEvidence } from '../../verifier/evidence/verify.ts';
import type { SignedNote } from '../../verifier/note.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { machineClock, type WaitClock } from '../client/clock.ts';
import { askUntilGood, HEDGE_DELAY_MS, type Ask } from '../client/hedge.ts';
import { Turns } from '../client/turns.ts';
import { UnreachableError, type ReplicaFailure } from '../errors.ts';
import { isFinal } from '../output/diagnose.ts';
import {
  isFurther,
  requireReach,
  type AskReplica,
  type Place,
  type Reach,
  type ReachRule,
} from './reach.ts';

// With a small question, a server that has not answered after this long is not thinking; each subject
// adds some to that.
const HEDGE_BASE_MS = 300;
const HEDGE_SUBJECT_MS = 1;

/**
 * So long after they were asked, replicas that are well have answered: on another continent in 300 ms, and a new
 * connection takes two trips more. Nobody waits for it where at most f are silent.
 */
export const PATIENCE_MS = 1_000;

// Refusals that the log itself proves about a subject. Any other one says that the answer was bad, and
// another replica may give a good one.
const VERDICTS: ReadonlySet<VerifyErrorCode> = new Set<VerifyErrorCode>([
  'INTEGRITY_MISMATCH',
  'RELEASE_REVOKED',
  'RELEASE_YANKED',
  'NOT_IN_LOG',
  'PACKAGE_NAME_INVALID',
  'VERSION_INVALID',
  'MAINTAINER_SIGNATURES_MISSING',
]);

/** Thrown by `check` when the question was wrong, and not the answer: nobody else is asked. */
export class AskedWrongError extends Error {}

/** What is asked, and of whom. */
export interface ViewQuestion {
  /** Addresses; all of them may belong to liars. */
  readonly urls: readonly string[];
  /** A replica's newest checkpoint note. */
  readonly note: (url: string, signal: AbortSignal) => Promise<SignedNote>;
  /** All rosters that a replica shows, from epoch 0 on. */
  readonly rosters: (url: string, signal: AbortSignal) => Promise<readonly Envelope[]>;
  /** A replica's document of evidence, unread. */
  readonly evidence: (url: string, signal: AbortSignal) => Promise<Uint8Array>;
  /** Verifies a document. @throws {VerifyError}; {AskedWrongError} */
  readonly check: (source: Uint8Array) => Promise<CheckedEvidence>;
  /** How many subjects it is about. */
  readonly subjects: number;
  /** Size of the tree that was accepted before, 0 for none. */
  readonly sizeMin: number;
  readonly rule: ReachRule;
  readonly verifier: SignatureVerifier;
  readonly signal: AbortSignal;
  /** Replicas that have cost time before; those that do now are added. */
  readonly wasteful: Set<string>;
  /** The machine's unless a test says otherwise. */
  readonly clock?: WaitClock;
}

/** A document of evidence that holds. */
export interface CheckedEvidence {
  /** What it is compared with other answers by. */
  readonly evidence: Pick<Evidence, 'checkpoint' | 'rosters'>;
  readonly verified: VerifiedEvidence;
}

/** A view that holds, and is the newest that anybody has shown. */
export interface View extends CheckedEvidence {
  readonly source: Uint8Array;
  /** The replica that it is from. */
  readonly url: string;
  /** Replicas that failed or answered badly meanwhile. */
  readonly failures: readonly ReplicaFailure[];
}

/**
 * Asks for a view.
 *
 * A replica can hide what is newest: its evidence is genuine, and only old. So where another one shows a
 * later checkpoint, with a quorum's cosignatures, evidence is asked for once more, of those first that have
 * it. If nobody gives any, the older view stands as far as the rule allows it: one liar must not be able to
 * stop everybody on a busy log.
 *
 * @throws {UnreachableError} when nobody gave a usable answer
 * @throws {CliError} BP7001 when too few answered to say anything about the present
 * @throws {VerifyError} proof of a fork (`ForkError`), or another final refusal
 * @throws {AskedWrongError} from `check`
 */
export async function askForView(question: ViewQuestion): Promise<View> {
  const notes = new Map<string, Promise<SignedNote>>();
  const stop = new AbortController();
  const signal = AbortSignal.any([question.signal, stop.signal]);
  const askNote = (url: string): Promise<SignedNote> => {
    const asked = notes.get(url) ?? question.note(url, signal);
    notes.set(url, asked);
    return asked;
  };
  for (const url of question.urls) askNote(url).catch(() => undefined);
  const ask: AskReplica = {
    note: askNote,
    rosters: (url) => question.rosters(url, signal),
    patience: (question.clock ?? machineClock).pause(PATIENCE_MS, signal),
  };
  try {
    const first = await askEvidence(question, askNote, { epoch: 0, size: question.sizeMin });
    const reach = await reachOf(question, first, ask);
    const { newest } = reach;
    if (newest === undefined || !isFurther(newest, placeOf(first))) {
      return withFailures(first, [reach]);
    }
    question.wasteful.add(first.url);
    const second = await askAgain(question, askNote, newest);
    if (second === undefined || isFurther(newest, placeOf(second))) {
      return withFailures(first, [reach, ...(second === undefined ? [] : [second])]);
    }
    const again = await reachOf(question, second, ask);
    const behind = doubtAbout(first, newest);
    const hid = behind === undefined ? [] : [{ url: first.url, error: behind }];
    return withFailures(second, [{ failures: hid }, first, reach, again]);
  } finally {
    stop.abort();
  }
}

async function askAgain(
  question: ViewQuestion,
  askNote: (url: string) => Promise<SignedNote>,
  least: Place,
): Promise<View | undefined> {
  try {
    return await askEvidence(question, askNote, least);
  } catch (error) {
    if (error instanceof UnreachableError) return undefined;
    throw error;
  }
}

async function askEvidence(
  question: ViewQuestion,
  askNote: (url: string) => Promise<SignedNote>,
  least: Place,
): Promise<View> {
  const { signal, clock, wasteful } = question;
  let doubtful: View | undefined;
  const turns = new Turns();
  const judge = async (source: Uint8Array, url: string): Promise<View> => {
    const checked = await question.check(source);
    const view = { ...checked, source, url, failures: [] };
    const doubt = doubtAbout(view, least);
    if (doubt === undefined) return view;
    doubtful ??= view;
    throw doubt;
  };
  const ask: Ask<{ readonly url: string }, View> = async ({ url }, stopped, arrived) => {
    const source = await question.evidence(url, stopped);
    arrived();
    // One document at a time: each takes memory and all cores, and the first good one is enough.
    return await turns.take(stopped, () => judge(source, url));
  };
  // Whoever shows less than what is known is alive, and of no use.
  const signOfLife = async (url: string): Promise<void> => {
    const { size } = parseCheckpoint((await askNote(url)).text);
    if (size < least.size) throw new Error('is behind');
  };
  const thinkMs = HEDGE_BASE_MS + question.subjects * HEDGE_SUBJECT_MS;
  const delayMs = Math.min(HEDGE_DELAY_MS, thinkMs);
  const servers = question.urls.map((url) => ({ url }));
  try {
    const { value, url, failures, overtaken } = await askUntilGood(servers, ask, {
      signal,
      isFinal: (error) => error instanceof AskedWrongError || isFinal(error),
      delayMs,
      signOfLife,
      wasteful: new Set(wasteful),
      ...(clock === undefined ? {} : { clock }),
    });
    // Who was waited for in vain would cost the next question the same.
    for (const each of [...overtaken, ...failures.map((failure) => failure.url)])
      wasteful.add(each);
    wasteful.delete(url);
    return { ...value, failures };
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error;
    // One bad package never hides the others: if nobody has better evidence, this is what there is.
    if (doubtful === undefined) throw error;
    return { ...doubtful, failures: error.failures };
  }
}

// Why another replica may have a better answer than this one, which holds.
function doubtAbout(view: View, least: Place): VerifyError | undefined {
  const bad = view.verified.subjects.find(
    (result) => result.kind === 'refused' && !VERDICTS.has(result.error.code),
  );
  if (bad?.kind === 'refused') return bad.error;
  const { epoch, size } = placeOf(view);
  if (!isFurther(least, { epoch, size })) return undefined;
  const [found, expected] =
    epoch < least.epoch
      ? [`epoch ${epoch}`, `epoch ${least.epoch}`]
      : [`size ${size}`, `size ${least.size}`];
  return new VerifyError(
    'CHECKPOINT_ROLLBACK',
    `shows the log as it was at ${found}, while others have ${expected.split(' ')[1]}`,
    { found, expected: `${expected} or more`, hint: 'ask another replica' },
  );
}

async function reachOf(
  { verifier, rule }: ViewQuestion,
  { verified, evidence }: View,
  ask: AskReplica,
): Promise<Reach> {
  const { checkpoint: note, rosters } = evidence;
  return await requireReach({ evidence: verified, note, rosters, verifier }, ask, rule);
}

function placeOf({ verified }: View): Place {
  return { epoch: verified.roster.epoch, size: verified.checkpoint.checkpoint.size };
}

function withFailures(
  view: View,
  others: readonly { readonly failures: readonly ReplicaFailure[] }[],
): View {
  const byUrl = new Map<string, ReplicaFailure>();
  for (const failure of [view, ...others].flatMap(({ failures }) => failures)) {
    if (!byUrl.has(failure.url)) byUrl.set(failure.url, failure);
  }
  return { ...view, failures: [...byUrl.values()] };
}
