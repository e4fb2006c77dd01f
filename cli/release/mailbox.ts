// The mailboxes of the replicas, from a maintainer's side. A proposal goes to all of them and is read from
// all that answer: with a quorum on either side no faulty replica can hide one. What comes back is
// checked here against the maintainer set that the log proves; a replica's word counts for nothing.
import { formatEnvelope, parseEnvelope, type Envelope } from '../../verifier/dsse.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { weightOf } from '../../verifier/quorum.ts';
import { rosterWeights, type Roster } from '../../verifier/roster.ts';
import { RELEASE_PAYLOAD_TYPE } from '../../verifier/statements/release.ts';
import { asError } from '../client/hedge.ts';
import { isRuling, type ReplicaClient } from '../client/replica.ts';
import { CliError, type ReplicaFailure, type TransportError } from '../errors.ts';
import { describeFailure } from '../output/diagnose.ts';
import type { LogSession } from '../session/log-session.ts';
import { draftId, envelopeOf, makeDraft, mergeDrafts, type Draft } from './draft.ts';

// After a quorum has answered the rest may still do so for a moment: one that hangs must not cost its
// whole timeout each time.
const LATE_MS = 1_000;

/** How a proposal was taken. */
export interface Posted {
  /** Addresses of the replicas that keep it. */
  readonly kept: readonly string[];
  readonly failures: readonly ReplicaFailure[];
}

/**
 * Hands a signed release to the co-maintainers.
 *
 * @throws {CliError} BP7001 when so few replicas keep it that all of them may be faulty; BP5004 or BP6005
 *         when more replicas refuse it than may be faulty
 */
export async function postProposal(
  session: LogSession,
  draft: Draft,
  signal: AbortSignal,
): Promise<Posted> {
  const roster = await session.roster();
  const { text } = envelopeOf(draft);
  const answers = await askAll(session, roster, signal, (replica, stop) =>
    replica.postProposal(text, stop),
  );
  const weights = rosterWeights(roster);
  const { weak } = roster.thresholds;
  const rulings = answers.failed.filter(
    (each): each is FailedAnswer & { readonly error: TransportError } => isRuling(each.error),
  );
  const [ruling] = rulings;
  if (
    ruling !== undefined &&
    weightOf(
      rulings.map(({ index }) => index),
      weights,
    ) >= weak
  ) {
    const { error } = ruling;
    throw new CliError(error.status === 409 ? 'BP5004' : 'BP6005', error.remote?.message ?? '', {
      details: [['rule', error.remote?.code ?? 'not said']],
      cause: error,
    });
  }
  if (
    weightOf(
      answers.good.map(({ index }) => index),
      weights,
    ) < weak
  ) {
    throw unreachable('the mailbox took it', roster, answers.good.length, answers.failed, weak);
  }
  return { kept: answers.good.map(({ url }) => url), failures: answers.failed };
}

/** What waits for signatures. */
export interface Waiting {
  /** Drafts of releases with whatever signatures there are, unchecked; by id. */
  readonly drafts: readonly Draft[];
  readonly failures: readonly ReplicaFailure[];
}

/**
 * Everything that the mailboxes have for a package.
 *
 * @throws {CliError} BP7001 when less than a quorum answers: a proposal could be hidden
 */
export async function fetchProposals(
  session: LogSession,
  name: string,
  signal: AbortSignal,
): Promise<Waiting> {
  return await gather(session, signal, (replica, stop) => replica.proposals(name, stop));
}

/** One proposal, by its id; `undefined` when no mailbox has it. @throws as {@link fetchProposals} */
export async function fetchProposal(
  session: LogSession,
  id: string,
  signal: AbortSignal,
): Promise<Draft | undefined> {
  const { drafts } = await gather(session, signal, async (replica, stop) => {
    const found = await replica.proposal(id, stop);
    return found === undefined ? [] : [found];
  });
  return drafts.find((draft) => draftId(draft) === id);
}

async function gather(
  session: LogSession,
  signal: AbortSignal,
  ask: Ask<readonly Envelope[]>,
): Promise<Waiting> {
  const roster = await session.roster();
  const { good, failed } = await askAll(session, roster, signal, ask);
  const { quorum } = roster.thresholds;
  const weight = weightOf(
    good.map(({ index }) => index),
    rosterWeights(roster),
  );
  if (weight < quorum) throw unreachable('answered', roster, good.length, failed, quorum);
  const byId = new Map<string, Draft>();
  for (const { value } of good) {
    for (const envelope of value) {
      const draft = readProposal(envelope);
      if (draft === undefined) continue;
      const id = draftId(draft);
      const known = byId.get(id);
      byId.set(id, known === undefined ? draft : mergeDrafts(known, draft));
    }
  }
  const drafts = [...byId].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, draft]) => draft);
  return { drafts, failures: failed };
}

// A replica may make up anything; what is no release is of no use here and says nothing about the others.
function readProposal(envelope: Envelope): Draft | undefined {
  if (envelope.payloadType !== RELEASE_PAYLOAD_TYPE) return undefined;
  try {
    const { payloadType, payload, signatures } = parseEnvelope(formatEnvelope(envelope));
    return { ...makeDraft(payloadType, payload), signatures };
  } catch (error) {
    if (error instanceof VerifyError) return undefined;
    throw error;
  }
}

interface GoodAnswer<T> {
  readonly index: number;
  readonly url: string;
  readonly value: T;
}

interface FailedAnswer extends ReplicaFailure {
  readonly index: number;
}

type Ask<T> = (replica: ReplicaClient, stop: AbortSignal) => Promise<T>;

async function askAll<T>(
  session: LogSession,
  roster: Roster,
  signal: AbortSignal,
  ask: Ask<T>,
): Promise<{ readonly good: readonly GoodAnswer<T>[]; readonly failed: readonly FailedAnswer[] }> {
  const good: GoodAnswer<T>[] = [];
  const failed: FailedAnswer[] = [];
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  let late: NodeJS.Timeout | undefined;
  await Promise.all(
    roster.replicas.map(async ({ url }, index) => {
      try {
        good.push({ index, url, value: await ask(session.replica(url), both) });
        const heard = weightOf(
          good.map((each) => each.index),
          rosterWeights(roster),
        );
        if (heard >= roster.thresholds.quorum) late ??= setTimeout(() => stop.abort(), LATE_MS);
      } catch (error) {
        failed.push({ index, url, error: asError(error) });
      }
    }),
  );
  clearTimeout(late);
  return { good, failed };
}

function unreachable(
  what: string,
  roster: Roster,
  count: number,
  failures: readonly ReplicaFailure[],
  needed: number,
): CliError {
  const total = roster.replicas.length;
  return new CliError(
    'BP7001',
    `could not reach the mailboxes: ${count} of ${total} replicas ${what}, weight ${needed} of ` +
      `${roster.thresholds.total} needed`,
    {
      details: failures.map(({ url, error }) => [url, describeFailure(error)] as const),
      hints: ['try again, or hand the draft on as a file'],
    },
  );
}
