// What the signers of a statement saw when they signed (DESIGN 4.4): each statement carries a head of
// this log, and the log takes it only if that head is its own history. So a replica group that showed
// somebody another history can't log what they sign, and the signed statement is the proof of it.
import { equalBytes } from '../bytes.ts';
import { quote } from '../errors.ts';
import type { Observed } from '../statements/observed.ts';
import { LedgerError } from './errors.ts';
import type { LedgerView } from './view.ts';

/**
 * Requires the head of this log that the statement names to be one of its own past.
 *
 * @throws {LedgerError} `OBSERVED_MISSING` without a head of this log; `OBSERVED_AHEAD` when the head
 *         is beyond the present size (catch up and ask again); `OBSERVED_HEAD_UNKNOWN` when the log
 *         had another root at that size
 */
export function requireObserved(
  view: Pick<LedgerView, 'tip' | 'roster' | 'rootAt'>,
  observed: Observed,
): void {
  const { origin } = view.roster;
  const head = observed.get(origin);
  if (head === undefined) {
    throw new LedgerError(
      'OBSERVED_MISSING',
      `the statement does not say which head of ${quote(origin)} its signers saw`,
    );
  }
  if (head.size > view.tip.size) {
    throw new LedgerError(
      'OBSERVED_AHEAD',
      `the statement was signed at size ${head.size}, this log has ${view.tip.size}`,
    );
  }
  const root = view.rootAt(head.size);
  if (root === undefined || !equalBytes(root, head.root)) {
    throw new LedgerError(
      'OBSERVED_HEAD_UNKNOWN',
      `the head of size ${head.size} that the signers saw is not in this log's history`,
      {
        hint: 'keep the statement and the checkpoint it was made from: together they may prove a fork',
      },
    );
  }
}
