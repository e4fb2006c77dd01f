// Whether enough replicas can be reached to say anything about the present. One live replica can hand
// out a checkpoint that a quorum cosigned minutes ago; its age bounds how old it is, but whether there
// are newer entries only the others can say. An answer isn't authenticated beyond its connection: this
// is about availability, and what is verified never depends on it.
//
// Two rules. To say what holds now (verify, inspect, diff, trust update) f+1 replicas (a weak quorum of
// weight) that show nothing newer are enough, because one of them is correct (DESIGN 7): f dead or silent
// ones are not waited for. To change something (install, publish) a quorum has to answer: below it the log
// stands still, nobody can withdraw a bad release, and nothing new should come in meanwhile.
//
// That one of f+1 is correct holds for the roster in force. Of one that is over more may have turned bad since,
// and nothing in a view says that its roster is over: only another replica does. So a quorum is given a moment to
// say so, which costs nothing while at most f are silent.
import { setImmediate as soon } from 'node:timers/promises';

import { equalBytes } from '../../verifier/bytes.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { ForkError } from '../../verifier/evidence/trust.ts';
import type { VerifiedEvidence } from '../../verifier/evidence/verify.ts';
import { formatNote, type SignedNote } from '../../verifier/note.ts';
import { weightOf } from '../../verifier/quorum.ts';
import { rosterWeights, type Roster } from '../../verifier/roster.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { asError } from '../client/hedge.ts';
import { CliError, type ReplicaFailure } from '../errors.ts';
import { describeFailure, RETRY_HINTS } from '../output/diagnose.ts';
import { judgeNote, type JudgedNote } from './judge-note.ts';

/** What replicas are asked, by address. */
export interface AskReplica {
  /** Its checkpoint note. */
  readonly note: (url: string) => Promise<SignedNote>;
  /** All rosters that it shows, from epoch 0 on. */
  readonly rosters: (url: string) => Promise<readonly Envelope[]>;
  /** Resolves when a replica that is well has had the time to answer. */
  readonly patience: Promise<void>;
}

/** `current`: f+1 that show nothing newer, or a quorum; `quorum`: only that. */
export type ReachRule = 'current' | 'quorum';

/** How far a log is. With another roster it is further, however large a tree those who have left may sign. */
export interface Place {
  readonly epoch: number;
  readonly size: number;
}

/** Whether the first is further than the second. */
export function isFurther(a: Place, b: Place): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.size > b.size);
}

/** Who answered. */
export interface Reach {
  /** Names of the replicas that answered. */
  readonly answered: readonly string[];
  /** The newest checkpoint that anybody showed with a quorum's cosignatures. */
  readonly newest: Place | undefined;
  readonly failures: readonly ReplicaFailure[];
}

/** What the answers are compared with. */
export interface ReachContext {
  readonly evidence: VerifiedEvidence;
  /** The note and the roster chain that the evidence came with, for fork evidence. */
  readonly note: string;
  readonly rosters: readonly Envelope[];
  readonly verifier: SignatureVerifier;
}

/**
 * Waits until enough replicas have answered with a valid checkpoint of the log, or all have been heard.
 *
 * @throws {CliError} BP7001 below what the rule asks for
 * @throws {ForkError} when an answer and the evidence are two logs of one size
 */
export async function requireReach(
  context: ReachContext,
  ask: AskReplica,
  rule: ReachRule,
): Promise<Reach> {
  const { roster } = context.evidence;
  const weights = rosterWeights(roster);
  const { quorum, weak } = roster.thresholds;
  const answered = new Set<number>();
  const confirming = new Set<number>();
  const heard = new Set<number>();
  const failures: ReplicaFailure[] = [];
  const ours = placeOf(context);
  let newest: Place | undefined;
  let fork: ForkError | undefined;
  let isPatient = true;
  const enough = (): boolean =>
    weightOf(answered, weights) >= quorum ||
    (rule === 'current' && weightOf(confirming, weights) >= weak);
  const isOver = (): boolean =>
    heard.size === roster.replicas.length ||
    fork !== undefined ||
    (enough() && (!isPatient || weightOf(heard, weights) >= quorum));

  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (isOver()) resolve();
    };
    void ask.patience.then(() => {
      isPatient = false;
      look();
    });
    for (const [index, { url }] of roster.replicas.entries()) {
      void checkAnswer(context, ask, url)
        .then(
          (place) => {
            answered.add(index);
            if (newest === undefined || isFurther(place, newest)) newest = place;
            // Who is late by an epoch is alive, and knows less than the view: that confirms nothing.
            if (place.epoch === ours.epoch && place.size <= ours.size) confirming.add(index);
          },
          (error: unknown) => {
            if (error instanceof ForkError) fork ??= error;
            failures.push({ url, error: asError(error) });
          },
        )
        .then(() => {
          heard.add(index);
          look();
        });
    }
  });
  // Whoever has answered by now is heard as well: two logs of one size should not go unnoticed because
  // enough agree about one of them.
  await soon();
  if (fork !== undefined) throw fork;
  if (!enough()) throw unreachable(roster, answered.size, failures, rule);
  const names = roster.replicas.flatMap(({ name }, index) => (answered.has(index) ? [name] : []));
  return { answered: names, newest, failures: [...failures] };
}

function placeOf({ evidence }: ReachContext): Place {
  return { epoch: evidence.roster.epoch, size: evidence.checkpoint.checkpoint.size };
}

// What a replica shows with a quorum's cosignatures.
async function checkAnswer(
  context: ReachContext,
  ask: AskReplica,
  url: string,
): Promise<JudgedNote> {
  const note = await ask.note(url);
  const { roster, checkpoint: ours } = context.evidence;
  const { verifier, rosters } = context;
  const standard = { roster, size: ours.checkpoint.size, rosters, verifier };
  const theirs = await judgeNote(note, standard, () => ask.rosters(url));
  const { size, root } = ours.checkpoint;
  // Of another epoch it is no contradiction by today's members: those of a roster that is over may sign anything.
  if (theirs.epoch !== roster.epoch || theirs.size !== size || equalBytes(theirs.root, root)) {
    return theirs;
  }
  throw new ForkError(
    { origin: roster.origin, size, rosters, first: context.note, second: formatNote(note) },
    encodeHex(theirs.root),
    encodeHex(root),
  );
}

function unreachable(
  roster: Roster,
  answered: number,
  failures: readonly ReplicaFailure[],
  rule: ReachRule,
): CliError {
  const { quorum, weak, total } = roster.thresholds;
  // With weights the number of replicas says little; then the weights are given as well.
  const equal = total === roster.replicas.length;
  const weight = rule === 'current' && answered < weak ? weak : quorum;
  const needed = equal ? `${weight} needed` : `weight ${weight} of ${total} needed`;
  return new CliError('BP7001', unreachableMessage(answered, roster.replicas.length, needed), {
    details: failures.map(({ url, error }) => [url, describeFailure(error)] as const),
    hints: RETRY_HINTS,
  });
}

/** The sentence of exit 3. */
export function unreachableMessage(answered: number, total: number, needed: string): string {
  return (
    `could not reach a quorum: ${answered} of ${total} replicas answered, ${needed}. ` +
    'Nothing was proven wrong and nothing was verified.'
  );
}
