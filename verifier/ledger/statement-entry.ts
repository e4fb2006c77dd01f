// How a submission becomes an entry.
import { ENTRY_BYTES_MAX, formatEntry } from '../entry.ts';
import { VerifyError } from '../errors.ts';
import { LedgerError } from './errors.ts';
import type { Submission } from './submission.ts';

/**
 * The entry of a submission in a batch of that time.
 *
 * @throws {LedgerError} `ENTRY_TOO_LARGE`: an envelope may just be within its own bound
 */
export function statementEntry({ kind, envelope }: Submission, timeSeconds: number): Uint8Array {
  try {
    return formatEntry({ kind, time: timeSeconds, envelope });
  } catch (cause) {
    if (!(cause instanceof VerifyError)) throw cause;
    throw new LedgerError(
      'ENTRY_TOO_LARGE',
      `the statement with its signatures does not fit into an entry of ${ENTRY_BYTES_MAX} bytes`,
      { cause, hint: 'release fewer packages with one statement' },
    );
  }
}
