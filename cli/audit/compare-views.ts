// Several servers' views of one log side by side.
import { equalBytes } from '../../verifier/bytes.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { ForkError } from '../../verifier/evidence/trust.ts';
import { formatNote } from '../../verifier/note.ts';
import type { ReplicaClient } from '../client/replica.ts';
import { asError } from '../client/hedge.ts';
import type { ReplicaFailure } from '../errors.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { weightOf } from '../../verifier/quorum.ts';
import { rosterWeights, type Roster } from '../../verifier/roster.ts';
import { openView, type LogView } from './log-view.ts';

/** What several servers showed. */
export interface Views {
  /** Verified ones, in the order of the servers. */
  readonly views: readonly LogView[];
  readonly failures: readonly ReplicaFailure[];
  /** The one of the largest tree. */
  readonly newest: LogView | undefined;
}

/**
 * Asks all servers at once.
 *
 * @param member given to ask members of the newest roster beside them, by address: a configuration need not name all,
 *        and may be from before a change of the roster
 */
export async function openViews(
  replicas: readonly ReplicaClient[],
  pin: string,
  verifier: SignatureVerifier,
  signal: AbortSignal,
  member?: (url: string) => ReplicaClient,
): Promise<Views> {
  const failures: ReplicaFailure[] = [];
  const openAll = async (servers: readonly ReplicaClient[]): Promise<readonly LogView[]> => {
    const found = await Promise.all(
      servers.map(async (replica) => {
        try {
          return [await openView(replica, pin, verifier, signal)];
        } catch (error) {
          failures.push({ url: replica.url, error: asError(error) });
          return [];
        }
      }),
    );
    return found.flat();
  };
  const named = await openAll(replicas);
  const known = new Set(replicas.map(({ url }) => url));
  const members = newestOf(named)?.roster.replicas ?? [];
  const others = members.flatMap(({ url }) => (known.has(url) ? [] : (member?.(url) ?? [])));
  const views = [...named, ...(await openAll(others))];
  return { views, failures, newest: newestOf(views) };
}

function newestOf(views: readonly LogView[]): LogView | undefined {
  return views.reduce<LogView | undefined>(
    (best, view) => (best === undefined || sizeOf(view) > sizeOf(best) ? view : best),
    undefined,
  );
}

/** Entries in the tree of a view. */
export function sizeOf(view: LogView): number {
  return view.checkpoint.checkpoint.size;
}

/** Whether replicas of a quorum of weight showed a view, by the newest roster that was shown. */
export function isQuorum({ views, newest }: Pick<Views, 'views' | 'newest'>): boolean {
  if (newest === undefined) return false;
  const { roster } = newest;
  const urls = new Set(views.map(({ url }) => url));
  const members = roster.replicas.flatMap(({ url }, i) => (urls.has(url) ? [i] : []));
  return weightOf(members, rosterWeights(roster)) >= roster.thresholds.quorum;
}

/**
 * Two roots of one size, each cosigned by a quorum, whoever shows them. Views whose rosters part have none in
 * common: `partedRosters` finds those.
 */
export function forkAmong(views: readonly LogView[]): ForkError | undefined {
  for (const [first, second] of pairsOf(views)) {
    const [a, b] = [first.checkpoint.checkpoint, second.checkpoint.checkpoint];
    if (a.size !== b.size || equalBytes(a.root, b.root) || partAt(first, second) !== undefined) {
      continue;
    }
    const longer = first.rosters.length > second.rosters.length ? first : second;
    return new ForkError(
      {
        origin: a.origin,
        size: a.size,
        rosters: verifiedChain(longer),
        first: formatNote(first.note),
        second: formatNote(second.note),
      },
      encodeHex(b.root),
      encodeHex(a.root),
    );
  }
  return undefined;
}

/**
 * The rosters of a view from the pinned one on. Those before it are whatever the server likes, and in evidence of
 * a fork they would make it worthless: by the very server that showed its side of it.
 */
export function verifiedChain({ envelopes, rosters }: LogView): readonly Envelope[] {
  return envelopes.slice(-rosters.length);
}

/** Two rosters that follow the same one, each of which has cosigned a log of its own. */
export interface PartedRosters {
  readonly origin: string;
  readonly epoch: number;
  /** Their hashes, and a server that shows each. */
  readonly sides: readonly [RosterSide, RosterSide];
}

interface RosterSide {
  readonly hash: string;
  readonly url: string;
}

/** Finds them: a quorum of the roster before signed both, so more of it are faulty than may be, or have lost their keys. */
export function partedRosters(views: readonly LogView[]): PartedRosters | undefined {
  for (const [first, second] of pairsOf(views)) {
    const at = partAt(first, second);
    const [a, b] = at === undefined ? [] : [first.rosters[at], second.rosters[at]];
    if (a === undefined || b === undefined) continue;
    const side = ({ hash }: Roster, { url }: LogView): RosterSide => ({ hash, url });
    return { origin: a.origin, epoch: a.epoch, sides: [side(a, first), side(b, second)] };
  }
  return undefined;
}

/** What they mean, for people. */
export function describeParted({ origin, epoch, sides }: PartedRosters): string {
  const [a, b] = sides;
  return (
    `log ${origin}: SPLIT VIEW - two rosters of epoch ${epoch}, both signed by a quorum of epoch ${epoch - 1}, and each ` +
    `cosigns a log of its own: ${a.hash} (${a.url}) and ${b.hash} (${b.url})`
  );
}

// Where two views go different ways, from the pin on. Only as far as the rosters that cosigned: one that was signed and
// then given up for another one proves nothing.
function partAt(first: LogView, second: LogView): number | undefined {
  const [a, b] = [first, second].map(({ rosters, roster }) =>
    rosters.slice(0, rosters.indexOf(roster) + 1),
  );
  const at = a?.findIndex(({ hash }, i) => b?.[i] !== undefined && b[i].hash !== hash) ?? -1;
  return at < 0 ? undefined : at;
}

function pairsOf(views: readonly LogView[]): readonly (readonly [LogView, LogView])[] {
  return views.flatMap((first, i) => views.slice(i + 1).map((second) => [first, second] as const));
}
