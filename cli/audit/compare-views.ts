// Several servers' views of one log side by side.
import { equalBytes } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { ForkError } from '../../verifier/evidence/trust.ts';
import { formatNote } from '../../verifier/note.ts';
import type { ReplicaClient } from '../client/replica.ts';
import { asError } from '../client/hedge.ts';
import type { ReplicaFailure } from '../errors.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { weightOf } from '../../verifier/quorum.ts';
import { rosterWeights } from '../../verifier/roster.ts';
import { openView, type LogView } from './log-view.ts';

/** What several servers showed. */
export interface Views {
  /** Verified ones, in the order of the servers. */
  readonly views: readonly LogView[];
  readonly failures: readonly ReplicaFailure[];
  /** The one of the largest tree. */
  readonly newest: LogView | undefined;
}

/** Asks all servers at once. */
export async function openViews(
  replicas: readonly ReplicaClient[],
  pin: string,
  verifier: SignatureVerifier,
  signal: AbortSignal,
): Promise<Views> {
  const failures: ReplicaFailure[] = [];
  const found = await Promise.all(
    replicas.map(async (replica) => {
      try {
        return [await openView(replica, pin, verifier, signal)];
      } catch (error) {
        failures.push({ url: replica.url, error: asError(error) });
        return [];
      }
    }),
  );
  const views = found.flat();
  const newest = views.reduce<LogView | undefined>(
    (best, view) => (best === undefined || sizeOf(view) > sizeOf(best) ? view : best),
    undefined,
  );
  return { views, failures, newest };
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

/** Two roots of one size, each cosigned by a quorum, whoever shows them. */
export function forkAmong(views: readonly LogView[]): ForkError | undefined {
  for (const [i, first] of views.entries()) {
    for (const second of views.slice(i + 1)) {
      const [a, b] = [first.checkpoint.checkpoint, second.checkpoint.checkpoint];
      if (a.size !== b.size || equalBytes(a.root, b.root)) continue;
      const newer = first.envelopes.length > second.envelopes.length ? first : second;
      return new ForkError(
        {
          origin: a.origin,
          size: a.size,
          rosters: newer.envelopes,
          first: formatNote(first.note),
          second: formatNote(second.note),
        },
        encodeHex(b.root),
        encodeHex(a.root),
      );
    }
  }
  return undefined;
}
