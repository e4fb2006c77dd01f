// The roster in force, by those replicas that a configuration names. Each shows a chain from the pin, which nobody can
// make up, and may show less of it than there is, or one more that was signed and never came into force: a checkpoint
// does not say of which roster it is. So it takes several to say where the chain ends.
import { statementHash } from '../../verifier/dsse.ts';
import { assert } from '../../verifier/errors.ts';
import type { TrustState } from '../../verifier/evidence/trust.ts';
import { planRosterChain, type Roster } from '../../verifier/roster.ts';
import { runPlan, type SignatureVerifier } from '../../verifier/signatures.ts';
import { machineClock } from '../client/clock.ts';
import { asError } from '../client/hedge.ts';
import { isNotReady, type ReplicaClient } from '../client/replica.ts';
import { UnreachableError, type ReplicaFailure } from '../errors.ts';
import { cosignedBy } from '../trust/cosigned-by.ts';
import { requireKnownRoster } from '../trust/known-roster.ts';
import { PATIENCE_MS } from './ask-view.ts';

/** Who is asked, and what is known. */
export interface RosterQuestion {
  readonly replicas: readonly ReplicaClient[];
  /** Hash of the roster that trust starts from, hex. */
  readonly pin: string;
  readonly trusted: TrustState | undefined;
  /** So many answers end the wait, if one of them is good: all but those that may be faulty. */
  readonly enough: number;
  readonly verifier: SignatureVerifier;
  readonly signal: AbortSignal;
}

/**
 * Asks for it. All of them together can still hide what this machine has not accepted: the roster says whom to ask and
 * whom to count, never what is in the log.
 *
 * @throws {UnreachableError} when nobody gave a good answer
 */
export async function askForRoster(question: RosterQuestion): Promise<Roster> {
  const { replicas, enough } = question;
  const stop = new AbortController();
  const signal = AbortSignal.any([question.signal, stop.signal]);
  const failures: ReplicaFailure[] = [];
  const chains: (readonly Roster[])[] = [];
  let heard = 0;
  let isPatient = true;
  try {
    await new Promise<void>((resolve) => {
      const look = (): void => {
        const isEnough = chains.length > 0 && (heard >= enough || !isPatient);
        if (heard === replicas.length || isEnough) resolve();
      };
      void machineClock.pause(PATIENCE_MS, signal).then(() => {
        isPatient = false;
        look();
      });
      for (const replica of replicas) {
        void askOne(replica, question, signal)
          .then(
            (chain) => void chains.push(chain),
            (error: unknown) => {
              failures.push({ url: replica.url, error: asError(error) });
            },
          )
          .then(() => {
            heard++;
            look();
          });
      }
    });
  } finally {
    stop.abort();
  }
  const roster = endOf(chains, replicas.length - enough + 1);
  if (roster !== undefined) return roster;
  throw new UnreachableError(`none of ${replicas.length} replicas gave a usable answer`, failures);
}

// The latest that so many show, or all where fewer have answered. All show the pinned one.
function endOf(chains: readonly (readonly Roster[])[], count: number): Roster | undefined {
  const supporters = Math.min(count, chains.length);
  return chains
    .flat()
    .toSorted((a, b) => b.epoch - a.epoch)
    .find(({ hash }) => {
      const showing = chains.filter((chain) => chain.some((roster) => roster.hash === hash));
      return showing.length >= supporters;
    });
}

// From the pin to the one that is in force by what the replica shows.
async function askOne(
  replica: ReplicaClient,
  { pin, trusted, verifier }: RosterQuestion,
  signal: AbortSignal,
): Promise<readonly Roster[]> {
  // In this order: a roster that comes into force in between is in the later answer.
  const note = await replica.checkpoint(signal).catch((error: unknown) => {
    if (isNotReady(error)) return undefined;
    throw error;
  });
  const chain = await replica.rosters(signal);
  const start = chain.findIndex(({ payload }) => statementHash(payload) === pin);
  const rosters = await runPlan(verifier, planRosterChain(pin, chain.slice(Math.max(0, start))));
  const [first] = rosters;
  const newest = rosters.at(-1);
  assert(first !== undefined && newest !== undefined, 'a verified roster chain is not empty');
  // A pin beyond what was accepted is the user's own word.
  const known = trusted !== undefined && first.epoch <= trusted.epoch ? trusted : undefined;
  // Those that were replaced would be asked else: mailboxes that are gone, or that somebody else has by now.
  const hashes = rosters.map(({ hash }) => hash);
  if (known !== undefined) requireKnownRoster(hashes, newest, known);
  // A log without a checkpoint has had no change of its roster.
  const inForce = note === undefined ? first : (await cosignedBy(note, rosters, verifier)).roster;
  return upTo(rosters, Math.max(inForce.epoch, known?.epoch ?? 0));
}

function upTo(rosters: readonly Roster[], last: number): readonly Roster[] {
  return rosters.filter(({ epoch }) => epoch <= last);
}
