// Gossip: every head that anybody shows has to be one that the log went through, whatever its size. One
// that is larger than what was checked is kept until the log has come that far.
import { equalBytes } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { ForkError } from '../../verifier/evidence/trust.ts';
import { parseCheckpoint } from '../../verifier/checkpoint.ts';
import type { LedgerView } from '../../verifier/ledger/view.ts';
import { formatNote, type SignedNote } from '../../verifier/note.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { sizeOf, verifiedChain, type Views } from '../audit/compare-views.ts';
import type { HttpClient } from '../client/http.ts';
import { ReplicaClient } from '../client/replica.ts';
import { TransportError } from '../errors.ts';
import { cosignedBy } from '../trust/cosigned-by.ts';
import type { MonitorConfig } from './config.ts';
import { notice, type Notice } from './notices.ts';

/** A checkpoint that a quorum cosigned, and who showed it. */
export interface Head {
  readonly url: string;
  readonly note: SignedNote;
}

/** What heads say about each other. */
export interface ComparedHeads {
  /** Two roots of one size, provable to anybody. */
  readonly forks: readonly ForkError[];
  readonly notices: readonly Notice[];
  /** Larger than what was checked, one for each address: the oldest, so that newer ones can't push it out. */
  readonly open: readonly Head[];
}

/** What the replicas showed. */
export function headsOf({ views }: Views): readonly Head[] {
  return views.map(({ url, note }) => ({ url, note }));
}

/** Asks the other sources for the heads that they were shown. */
export async function sourceHeads(
  request: {
    readonly config: MonitorConfig;
    readonly http: HttpClient;
    readonly verifier: SignatureVerifier;
    readonly signal: AbortSignal;
  },
  { views }: Views,
): Promise<readonly Head[]> {
  const { config, http, verifier, signal } = request;
  // The longest chain: one replica that keeps back the newest roster must not make others' heads unreadable.
  const [longest] = views.toSorted((a, b) => b.rosters.length - a.rosters.length);
  if (longest === undefined) return [];
  const heads = await Promise.all(
    config.sources.map(async (url): Promise<readonly Head[]> => {
      try {
        const note = await new ReplicaClient(url, http).checkpoint(signal);
        await cosignedBy(note, longest.rosters, verifier);
        return [{ url, note }];
      } catch (error) {
        // A source that is down or shows nonsense proves nothing.
        if (error instanceof TransportError || error instanceof VerifyError) return [];
        throw error;
      }
    }),
  );
  return heads.flat();
}

/**
 * Compares heads with what replicas show now and with the log that was checked.
 *
 * @param heads those that were kept first
 * @param ledger of this round's check; `undefined` leaves everything open but what replicas show
 */
export function compareHeads(
  heads: readonly Head[],
  { views }: Views,
  ledger: LedgerView | undefined,
): ComparedHeads {
  const forks: ForkError[] = [];
  const notices: Notice[] = [];
  const open = new Map<string, Head>();
  const shown = new Set(views.map(({ note }) => note));
  for (const head of heads) {
    const { origin, size, root } = parseCheckpoint(head.note.text);
    // Replicas among themselves have been compared already.
    const other = shown.has(head.note)
      ? undefined
      : views.find(
          (view) => sizeOf(view) === size && !equalBytes(view.checkpoint.checkpoint.root, root),
        );
    if (other !== undefined) {
      const [first, second] = [formatNote(other.note), formatNote(head.note)];
      const { checkpoint } = other.checkpoint;
      forks.push(
        new ForkError(
          { origin, size, rosters: verifiedChain(other), first, second },
          encodeHex(root),
          encodeHex(checkpoint.root),
        ),
      );
      continue;
    }
    const known = ledger?.rootAt(size);
    if (known === undefined) {
      if (!open.has(head.url)) open.set(head.url, head);
    } else if (!equalBytes(known, root)) {
      const message =
        `${head.url} shows a log ${origin} of size ${size} that is not the beginning of the one that ` +
        `others show; a quorum cosigned both. ${formatNote(head.note)}`;
      notices.push(notice('fork', message, [origin, size, encodeHex(root)]));
    }
  }
  return { forks, notices, open: [...open.values()] };
}
