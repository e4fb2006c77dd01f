// Whether enough replicas can be reached to say anything about the present. One live replica can hand
// out a checkpoint that a quorum cosigned minutes ago; its age bounds how old it is, but whether there
// are newer entries only the others can say. An answer isn't authenticated beyond its connection: this
// is about availability, and what is verified never depends on it.
//
// Two rules. To say what holds now (verify, inspect, diff, trust update) f+1 replicas (a weak quorum of
// weight) that show nothing newer are enough, because one of them is correct (DESIGN 7): f dead or silent
// ones are not waited for. To change something (install, publish) a quorum has to answer: below it the log
// stands still, nobody can withdraw a bad release, and nothing new should come in meanwhile.
import { setImmediate as soon } from 'node:timers/promises';

import { equalBytes } from '../../verifier/bytes.ts';
import { planCheckpoint } from '../../verifier/cosignature.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { ForkError } from '../../verifier/evidence/trust.ts';
import type { VerifiedEvidence } from '../../verifier/evidence/verify.ts';
import { formatNote, type SignedNote } from '../../verifier/note.ts';
import { weightOf } from '../../verifier/quorum.ts';
import { rosterWeights, type Roster } from '../../verifier/roster.ts';
import { runPlan, type SignatureVerifier } from '../../verifier/signatures.ts';
import { asError } from '../client/hedge.ts';
import { CliError, type ReplicaFailure } from '../errors.ts';
import { describeFailure, RETRY_HINTS } from '../output/diagnose.ts';

/** Asks a replica for its checkpoint note, by address. */
export type AskCheckpoint = (url: string) => Promise<SignedNote>;

/** `current`: f+1 that show nothing newer, or a quorum; `quorum`: only that. */
export type ReachRule = 'current' | 'quorum';

/** Who answered. */
export interface Reach {
  /** Names of the replicas that answered. */
  readonly answered: readonly string[];
  /** Size of the largest tree that anybody showed with a quorum's cosignatures; 0 for none. */
  readonly newest: number;
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

/** Fewer answered than the rule asks for. */
export class TooFewAnsweredError extends CliError {
  /** Of those that did not, or not well. */
  readonly failures: readonly ReplicaFailure[];

  constructor(message: string, failures: readonly ReplicaFailure[]) {
    super('BP7001', message, {
      details: failures.map(({ url, error }) => [url, describeFailure(error)] as const),
      hints: RETRY_HINTS,
    });
    this.failures = failures;
  }
}

/**
 * Waits until enough replicas have answered with a valid checkpoint of the log, or all have been heard.
 *
 * @throws {TooFewAnsweredError} below what the rule asks for
 * @throws {ForkError} when an answer and the evidence are two logs of one size
 */
export async function requireReach(
  context: ReachContext,
  ask: AskCheckpoint,
  rule: ReachRule,
): Promise<Reach> {
  const { roster } = context.evidence;
  const weights = rosterWeights(roster);
  const { quorum, weak } = roster.thresholds;
  const answered = new Set<number>();
  const confirming = new Set<number>();
  const failures: ReplicaFailure[] = [];
  const ours = context.evidence.checkpoint.checkpoint.size;
  let newest = 0;
  let fork: ForkError | undefined;
  const enough = (): boolean =>
    weightOf(answered, weights) >= quorum ||
    (rule === 'current' && weightOf(confirming, weights) >= weak);

  await new Promise<void>((resolve) => {
    let open = roster.replicas.length;
    for (const [index, { url }] of roster.replicas.entries()) {
      void checkAnswer(context, ask, url)
        .then(
          (size) => {
            answered.add(index);
            newest = Math.max(newest, size);
            if (size <= ours) confirming.add(index);
          },
          (error: unknown) => {
            if (error instanceof ForkError) fork ??= error;
            failures.push({ url, error: asError(error) });
          },
        )
        .then(() => {
          open--;
          if (open === 0 || enough() || fork !== undefined) resolve();
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

// The size of the tree that a replica shows with a quorum's cosignatures.
async function checkAnswer(
  context: ReachContext,
  ask: AskCheckpoint,
  url: string,
): Promise<number> {
  const note = await ask(url);
  const { roster, checkpoint: ours } = context.evidence;
  const theirs = await runPlan(context.verifier, planCheckpoint(note, roster));
  const { size, root, origin } = theirs.checkpoint;
  if (size !== ours.checkpoint.size || equalBytes(root, ours.checkpoint.root)) return size;
  throw new ForkError(
    { origin, size, rosters: context.rosters, first: context.note, second: formatNote(note) },
    encodeHex(root),
    encodeHex(ours.checkpoint.root),
  );
}

function unreachable(
  roster: Roster,
  answered: number,
  failures: readonly ReplicaFailure[],
  rule: ReachRule,
): TooFewAnsweredError {
  const { quorum, weak, total } = roster.thresholds;
  // With weights the number of replicas says little; then the weights are given as well.
  const equal = total === roster.replicas.length;
  const weight = rule === 'current' && answered < weak ? weak : quorum;
  const needed = equal ? `${weight} needed` : `weight ${weight} of ${total} needed`;
  return new TooFewAnsweredError(
    unreachableMessage(answered, roster.replicas.length, needed),
    failures,
  );
}

/** The sentence of exit 3. */
export function unreachableMessage(answered: number, total: number, needed: string): string {
  return (
    `could not reach a quorum: ${answered} of ${total} replicas answered, ${needed}. ` +
    'Nothing was proven wrong and nothing was verified.'
  );
}
