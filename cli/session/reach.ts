// Whether enough replicas can be reached to say anything about the present. One live replica can hand
// out a checkpoint that a quorum cosigned minutes ago; its age bounds how old it is, but with a quorum
// silent there may be newer entries that nobody here can know of, and the log cannot take any.
//
// The rule of this version: replicas of a *quorum* of weight must answer with a valid checkpoint of
// the log, of any size. A weak quorum would be enough to confirm that a checkpoint is current
// (DESIGN 7); the stronger rule is chosen because "the log works" is then one question with one
// answer for verifying, installing and publishing. An answer isn't authenticated beyond its
// connection: this is about availability, and what is verified never depends on it.
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
import { describeFailure } from '../output/diagnose.ts';

/** Asks a replica for its checkpoint note, by address. */
export type AskCheckpoint = (url: string) => Promise<SignedNote>;

/** Who answered. */
export interface Reach {
  /** Names of the replicas that answered. */
  readonly answered: readonly string[];
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
 * Waits until replicas of a quorum of weight have answered, or all have been heard.
 *
 * @throws {CliError} BP7001 below a quorum
 * @throws {ForkError} when an answer and the evidence are two logs of one size
 */
export async function requireReach(context: ReachContext, ask: AskCheckpoint): Promise<Reach> {
  const { roster } = context.evidence;
  const answered = new Set<number>();
  const failures: ReplicaFailure[] = [];
  let fork: ForkError | undefined;
  const enough = (): boolean =>
    weightOf(answered, rosterWeights(roster)) >= roster.thresholds.quorum;

  await new Promise<void>((resolve) => {
    let open = roster.replicas.length;
    for (const [index, { url }] of roster.replicas.entries()) {
      void checkAnswer(context, ask, url)
        .then(
          () => answered.add(index),
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
  if (fork !== undefined) throw fork;
  if (!enough()) throw unreachable(roster, answered.size, failures);
  const names = roster.replicas.flatMap(({ name }, index) => (answered.has(index) ? [name] : []));
  return { answered: names, failures: [...failures] };
}

async function checkAnswer(context: ReachContext, ask: AskCheckpoint, url: string): Promise<void> {
  const note = await ask(url);
  const { roster, checkpoint: ours } = context.evidence;
  const theirs = await runPlan(context.verifier, planCheckpoint(note, roster));
  const { size, root, origin } = theirs.checkpoint;
  if (size !== ours.checkpoint.size || equalBytes(root, ours.checkpoint.root)) return;
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
): CliError {
  const { quorum, total } = roster.thresholds;
  // With weights the number of replicas says little; then the weights are given as well.
  const equal = total === roster.replicas.length;
  const needed = equal ? `${quorum} needed` : `weight ${quorum} of ${total} needed`;
  return new CliError('BP7001', unreachableMessage(answered, roster.replicas.length, needed), {
    details: failures.map(({ url, error }) => [url, describeFailure(error)] as const),
    hints: ['try again, or use --bundle <file>', 'bftpkg explain BP7001'],
  });
}

/** The sentence of exit 3. */
export function unreachableMessage(answered: number, total: number, needed: string): string {
  return (
    `could not reach a quorum: ${answered} of ${total} replicas answered, ${needed}. ` +
    'Nothing was proven wrong and nothing was verified.'
  );
}
